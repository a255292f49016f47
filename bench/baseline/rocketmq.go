package baseline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	nameserverOptions = "-server -Xms256m -Xmx256m -XX:+UseG1GC"
	// brokerOptions are G1 with a stated heap. The heap is not touched before
	// it is used, so that resident memory is what the broker needed.
	brokerOptions = "-server -XX:+UseG1GC"
)

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
