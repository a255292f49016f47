package baseline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/process"
	"github.com/apogeemq/apogee/server/access"
)

// Flush is what a server does before it answers, in RocketMQ's words.
type Flush string

// The two kinds of flush that are compared.
const (
	SyncFlush  Flush = "SYNC_FLUSH"
	AsyncFlush Flush = "ASYNC_FLUSH"
)

const (
	startTimeout  = 180 * time.Second
	probeInterval = 5 * time.Millisecond
	probeTopic    = "baseline-probe"
)

// place is where an instance runs.
type place struct {
	dir   string
	port  int // the first of portsEach ports
	flush Flush
}

const portsEach = 60

// instance is one running server.
type instance struct {
	name        string
	address     string
	dir         string
	processes   []*process.Process // the one that is measured comes last
	nameserver  string             // address, where there is one
	startTime   time.Duration
	restartTime time.Duration // after kill -9, with the backlog
	idleMemory  load.Memory
	// members are the nodes of a group by their addresses for clients; nil for
	// a broker by itself.
	members map[string]*process.Process
	// start runs its server, at first or again.
	start func(ctx context.Context) (began time.Time, err error)
}

func (i *instance) server() *process.Process { return i.processes[len(i.processes)-1] }

// add starts one more process of the instance.
func (i *instance) add(logName string, argv ...string) error {
	p, err := process.Start(i.dir, logName, nil, argv...)
	if err != nil {
		return err
	}
	i.processes = append(i.processes, p)
	return nil
}

// awaitService waits until the server creates a topic, and notes how long
// that took since began.
func (i *instance) awaitService(ctx context.Context, began time.Time) error {
	err := i.await(ctx, func(ctx context.Context) error {
		if i.members != nil {
			return i.findLeader(ctx)
		}
		return load.CreateTopic(ctx, access.Client{}, i.address, probeTopic, 1)
	})
	i.startTime = time.Since(began)
	return err
}

// awaitPort waits until the process started last accepts connections.
func (i *instance) awaitPort(ctx context.Context, address string) error {
	return i.await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// await tries until probe succeeds, the process started last has ended, or
// startTimeout is over.
func (i *instance) await(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start %s: it does not answer: %w", i.name, errors.Join(ctx.Err(), err))
		case <-i.server().Ended():
			return fmt.Errorf("start %s: %w", i.name, i.server().Failure())
		case <-tick.C:
		}
	}
}

// idle lets the server rest and notes its memory.
func (i *instance) idle(ctx context.Context, rest time.Duration) error {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	var err error
	i.idleMemory, err = load.ReadMemory(i.server().PID())
	return err
}

// restart kills the server and starts it again: after that nothing is in its
// memory. It notes how long that took.
func (i *instance) restart(ctx context.Context, rest time.Duration) error {
	if err := i.server().Kill(); err != nil {
		return err
	}
	i.processes = i.processes[:len(i.processes)-1]
	unix.Sync()
	began, err := i.start(ctx)
	if err != nil {
		return err
	}
	if err := i.awaitService(ctx, began); err != nil {
		return err
	}
	i.restartTime = i.startTime
	return i.idle(ctx, rest)
}

// pause stops the server from running; resume lets it go on.
func (i *instance) pause() error { return i.signal(unix.SIGSTOP) }

func (i *instance) resume() error {
	for _, p := range i.processes {
		select {
		case <-p.Ended():
			return fmt.Errorf("measure %s: %w", i.name, p.Failure())
		default:
		}
	}
	return i.signal(unix.SIGCONT)
}

func (i *instance) signal(s unix.Signal) error {
	var err error
	for _, p := range i.processes {
		err = errors.Join(err, p.Signal(s))
	}
	return err
}

// close ends the server and removes its data.
func (i *instance) close() error {
	var err error
	for at := len(i.processes) - 1; at >= 0; at-- {
		err = errors.Join(err, i.processes[at].Kill())
	}
	return errors.Join(err, os.RemoveAll(i.dir))
}
