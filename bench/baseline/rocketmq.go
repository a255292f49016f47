package baseline

import (
	"context"
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
func brokerConfig(at place, nameserver string, more ...string) string {
	return strings.Join(append([]string{
		"brokerClusterName=baseline", "brokerName=baseline-a", "brokerId=0",
		"brokerIP1=127.0.0.1", "bindAddress=127.0.0.1",
		fmt.Sprintf("listenPort=%d", at.port+brokerPortAt),
		"namesrvAddr=" + nameserver,
		"storePathRootDir=" + filepath.Join(at.dir, "store"),
		"storePathCommitLog=" + filepath.Join(at.dir, "store", "commitlog"),
		"flushDiskType=" + string(at.flush), "autoCreateTopicEnable=true",
	}, append(more, "")...), "\n")
}

// java is the command line of one of RocketMQ's main classes. Its home is the
// instance's directory: there it writes logs and state.
func (o *Options) java(dir, options, class, config string) []string {
	argv := append([]string{"java"}, strings.Fields(options)...)
	return append(argv, "-Duser.home="+dir, "-Drocketmq.home.dir="+dir,
		"-cp", filepath.Join(o.jars, "*"), class, "-c", config)
}

func (o *Options) startRocketMQ(ctx context.Context, i *instance, at place) (time.Time, error) {
	i.address = loopback(at.port + brokerPortAt)
	if err := o.startNameserver(ctx, i, at); err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	return began, o.startBroker(i, "broker.out", at, brokerConfig(at, i.nameserver))
}

// startNameserver starts RocketMQ's nameserver, whose start shall not be in the
// broker's.
func (o *Options) startNameserver(ctx context.Context, i *instance, at place) error {
	file := filepath.Join(at.dir, "namesrv.conf")
	text := fmt.Sprintf("listenPort=%d\nbindAddress=127.0.0.1\n", at.port+nameserverPortAt)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure RocketMQ: %w", err)
	}
	i.nameserver = loopback(at.port + nameserverPortAt)
	if err := i.add("namesrv.out", o.java(at.dir, nameserverOptions, "org.apache.rocketmq.namesrv.NamesrvStartup", file)...); err != nil {
		return err
	}
	return i.awaitPort(ctx, i.nameserver)
}

// startBroker starts RocketMQ's broker in a folder of its own.
func (o *Options) startBroker(i *instance, log string, at place, config string) error {
	file := filepath.Join(at.dir, "broker.conf")
	err := os.MkdirAll(at.dir, 0o700)
	if err == nil {
		err = os.WriteFile(file, []byte(config), 0o600)
	}
	if err != nil {
		return fmt.Errorf("configure RocketMQ: %w", err)
	}
	heap := fmt.Sprintf(" -Xms%s -Xmx%s", o.Heap, o.Heap)
	return i.add(log, o.java(at.dir, brokerOptions+heap, "org.apache.rocketmq.broker.BrokerStartup", file)...)
}
