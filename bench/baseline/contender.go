package baseline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// The names of the servers that are compared, as in the tables.
const (
	RocketMQ = "RocketMQ"
	Floor    = "floor"
	Gathered = "floor, gathered"
	Apogee   = "Apogee"
	Other    = "Apogee, other build"
	DLedger  = "RocketMQ, DLedger of 3"
	Group    = "Apogee, group of 3"
)

// Where an instance's ports are in its range. A broker also takes the port two
// below its own, for clients with a channel of their own, and RocketMQ's takes
// the next one for replication.
const (
	nameserverPortAt = 1
	brokerPortAt     = 11
	adminPortAt      = 13
)

// contender is a kind of server.
type contender struct {
	name string
	sort sort
	// start runs the server in i, whose dir exists and is empty. It sets the
	// address, and returns when the measured process was started.
	start func(ctx context.Context, i *instance, at place) (began time.Time, err error)
}

// sort is what a contender can do.
type sort uint8

const (
	answers  sort = iota // sends, and no more
	broker               // everything; it has to warm up
	replicas             // a broker in several processes, for the rows that are about that
)

// takes tells whether a row is measured on the contender.
func (c *contender) takes(row *row) bool {
	switch {
	case row.alone != "":
		return c.name == Apogee
	case c.sort == replicas:
		return row.replicated
	}
	return c.sort == broker || row.kind == sendRow
}

// newContender knows the contenders by their command-line names.
func newContender(name string, o *Options) (contender, error) {
	switch name {
	case "rocketmq":
		return contender{RocketMQ, broker, o.startRocketMQ}, nil
	case "floor":
		return contender{Floor, answers, o.startFloor("each")}, nil
	case "gathered":
		return contender{Gathered, answers, o.startFloor("gathered")}, nil
	case "apogee":
		return contender{Apogee, broker, o.startApogee(o.Apogee)}, nil
	case "dledger":
		return contender{DLedger, replicas, o.startDLedger}, nil
	case "group":
		return contender{Group, replicas, o.startGroup}, nil
	case "other":
		return contender{Other, broker, o.startApogee(o.Other)}, nil
	}
	return contender{}, fmt.Errorf("run baseline: server %q: allowed are rocketmq, floor, gathered, apogee, dledger, group and other", name)
}

// open starts an instance and waits until it serves.
func (c *contender) open(ctx context.Context, at place) (*instance, error) {
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	i := &instance{name: fmt.Sprintf("%s %s", c.name, at.flush), dir: at.dir}
	i.start = func(ctx context.Context) (time.Time, error) { return c.start(ctx, i, at) }
	began, err := i.start(ctx)
	if err != nil {
		return i, err
	}
	return i, i.awaitService(ctx, began)
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// startFloor starts a floor that answers in one of its ways.
func (o *Options) startFloor(answers string) func(context.Context, *instance, place) (time.Time, error) {
	return func(_ context.Context, i *instance, at place) (time.Time, error) {
		mode := "sync"
		if at.flush == AsyncFlush {
			mode = "write"
		}
		i.address = loopback(at.port)
		began := time.Now()
		return began, i.add("floor.out", o.Self, "bench", "floor", "--listen", i.address, "--mode", mode, "--answers", answers, "--dir", at.dir)
	}
}

// apogeeArguments is the command line of Apogee's server.
func (o *Options) apogeeArguments(binary string, at place, more ...string) []string {
	settings := []string{
		"listenPort=" + strconv.Itoa(at.port+brokerPortAt), "namesrvListenPort=" + strconv.Itoa(at.port+nameserverPortAt),
		"adminListenPort=" + strconv.Itoa(at.port+adminPortAt), "brokerIP1=127.0.0.1",
		"storePathRootDir=" + filepath.Join(at.dir, "store"), "flushDiskType=" + string(at.flush),
	}
	argv := []string{binary, "server"}
	for _, s := range slices.Concat(settings, more, o.ApogeeSettings) {
		argv = append(argv, "--set", s)
	}
	return argv
}

func (o *Options) startApogee(binary string) func(context.Context, *instance, place) (time.Time, error) {
	return func(_ context.Context, i *instance, at place) (time.Time, error) {
		i.address, i.nameserver = loopback(at.port+brokerPortAt), loopback(at.port+nameserverPortAt)
		began := time.Now()
		return began, i.add("apogee.out", o.apogeeArguments(binary, at)...)
	}
}
