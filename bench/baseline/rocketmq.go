package baseline

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// rocketMQVersion is what pom.xml names.
const rocketMQVersion = "5.5.0"

//go:embed pom.xml
var pom []byte

const (
	nameserverOptions = "-server -Xms256m -Xmx256m -XX:+UseG1GC"
	// brokerOptions are G1 with a stated heap. The heap is not touched before
	// it is used, so that resident memory is what the broker needed.
	brokerOptions = "-server -XX:+UseG1GC"
)

// fetchRocketMQ copies the jars into the cache unless they are there, and
// returns their directory.
func fetchRocketMQ(ctx context.Context, cache string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(cache, rocketMQVersion))
	if err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	jars := filepath.Join(dir, "lib")
	if _, err := os.Stat(jars); err == nil {
		return jars, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w: install Maven, or leave rocketmq out of --servers", err)
	}
	part := filepath.Join(dir, "part")
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644)); err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+part)
	mvn.Dir = dir
	if output, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch RocketMQ with Maven: %w\n%s", err, output)
	}
	// Only a complete set of jars gets the name that is looked for.
	if err := os.Rename(part, jars); err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	return jars, nil
}

// brokerConfig is a broker.conf with RocketMQ's defaults but for addresses,
// paths and the flush.
func brokerConfig(at place) string {
	return strings.Join([]string{
		"brokerClusterName=baseline", "brokerName=baseline-a", "brokerId=0",
		"brokerIP1=127.0.0.1", "bindAddress=127.0.0.1",
		fmt.Sprintf("listenPort=%d", at.port+brokerPortAt),
		"namesrvAddr=" + loopback(at.port+nameserverPortAt),
		"storePathRootDir=" + filepath.Join(at.dir, "store"),
		"storePathCommitLog=" + filepath.Join(at.dir, "store", "commitlog"),
		"flushDiskType=" + string(at.flush), "autoCreateTopicEnable=true", "",
	}, "\n")
}

// java is the command line of one of RocketMQ's main classes. Its home is the
// instance's directory: there it writes logs and state.
func (o *Options) java(dir, options, class, config string) []string {
	argv := append([]string{"java"}, strings.Fields(options)...)
	return append(argv, "-Duser.home="+dir, "-Drocketmq.home.dir="+dir,
		"-cp", filepath.Join(o.jars, "*"), class, "-c", config)
}

func (o *Options) startRocketMQ(ctx context.Context, i *instance, at place) (time.Time, error) {
	nameserverFile, brokerFile := filepath.Join(at.dir, "namesrv.conf"), filepath.Join(at.dir, "broker.conf")
	nameserver := fmt.Sprintf("listenPort=%d\nbindAddress=127.0.0.1\n", at.port+nameserverPortAt)
	err := errors.Join(os.WriteFile(nameserverFile, []byte(nameserver), 0o600), os.WriteFile(brokerFile, []byte(brokerConfig(at)), 0o600))
	if err != nil {
		return time.Time{}, fmt.Errorf("configure RocketMQ: %w", err)
	}
	i.address = loopback(at.port + brokerPortAt)
	if err := i.add("namesrv.out", o.java(at.dir, nameserverOptions, "org.apache.rocketmq.namesrv.NamesrvStartup", nameserverFile)...); err != nil {
		return time.Time{}, err
	}
	// Its start shall not be in the broker's.
	if err := i.awaitPort(ctx, loopback(at.port+nameserverPortAt)); err != nil {
		return time.Time{}, err
	}
	heap := fmt.Sprintf(" -Xms%s -Xmx%s", o.Heap, o.Heap)
	began := time.Now()
	return began, i.add("broker.out", o.java(at.dir, brokerOptions+heap, "org.apache.rocketmq.broker.BrokerStartup", brokerFile)...)
}

// javaVersion is the first line of what java tells about itself.
func javaVersion(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run java: %w: install a Java runtime, or leave rocketmq out of --servers", err)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line), nil
}
