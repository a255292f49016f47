package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/access"
)

// replyGrace is how long after the end of the window replies may still come.
const replyGrace = 10 * time.Second

// window is the part of a run that is measured. Times are since base, which
// carries a monotonic clock.
type window struct {
	base     time.Time
	from, to time.Duration
}

func (w *window) now() time.Duration { return time.Since(w.base) }

func (w *window) holds(at time.Duration) bool { return at >= w.from && at < w.to }

// Target names the broker and how it is measured; shared by both loads.
type Target struct {
	Address       string
	Self          access.Client // who it is to the broker
	Connections   int
	Topic         string
	Queues        int
	Serialization frame.Serialization
	Warmup        time.Duration
	Duration      time.Duration // of the measured window
	PID           int           // of the broker, 0 for none
	Progress      func(string)  // told now and then how far the run is; may be nil
}

// progressEvery is the time between two reports.
const progressEvery = 10 * time.Second

// report tells how far the run is until it has ended.
func (t *Target) report(ended <-chan struct{}, w *window) {
	if t.Progress == nil {
		return
	}
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			t.Progress(fmt.Sprintf("%v of at most %v", w.now().Round(time.Second), w.to))
		}
	}
}

// longestRun bounds runs that end by themselves.
const longestRun = 24 * time.Hour

func (t *Target) check() error {
	switch {
	case t.Connections < 1:
		return fmt.Errorf("run load: %d connections, at least 1 is needed", t.Connections)
	case t.Queues < 1:
		return fmt.Errorf("run load: %d queues, at least 1 is needed", t.Queues)
	case t.Topic == "":
		return errors.New("run load: the topic has no name")
	case t.Duration <= 0 || t.Warmup < 0 || t.Duration+t.Warmup > longestRun:
		return fmt.Errorf("run load: warm-up %v and duration %v: allowed are 0 and more, in sum up to %v", t.Warmup, t.Duration, longestRun)
	}
	return nil
}

// worker is the load of one connection.
type worker interface {
	// run works until the window has ended and nothing is in flight.
	run() error
	// counts is what run has measured; valid after it.
	counts() *tally
}

// dial opens the connections of a run. Every wait on them ends replyGrace
// after the window, so a broker that hangs cannot hang the run.
func dial(ctx context.Context, t *Target, connections int) ([]net.Conn, error) {
	conns := make([]net.Conn, 0, connections)
	for range connections {
		conn, err := t.connect(ctx)
		if err == nil {
			conns = append(conns, conn)
			err = conn.SetDeadline(time.Now().Add(t.Warmup + t.Duration + replyGrace))
		}
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("connect to broker %s: %w", t.Address, err)
		}
	}
	return conns, nil
}

// connect opens one, with TLS if the target has it.
func (t *Target) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	if t.Self.TLS != nil {
		return (&tls.Dialer{Config: t.Self.TLS}).DialContext(ctx, "tcp", t.Address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", t.Address)
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// crew carries out a load.
type crew struct {
	conns    []net.Conn
	workers  []worker
	zeroName string    // of reply code 0
	arrivals *arrivals // nil where they are not counted
	// bytesOfArrival says that a message counts when it has arrived and not when
	// its send is answered, and how long its body is. 0 if that isn't so.
	bytesOfArrival int
}

// measure runs the workers, watches the processes during the window, and
// sums up.
func measure(ctx context.Context, t *Target, w *window, c crew) (*Result, error) {
	started := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	// One failed connection ends the others.
	stop := context.AfterFunc(groupCtx, func() { closeAll(c.conns) })
	defer stop()
	for i, worker := range c.workers {
		group.Go(func() error {
			if err := worker.run(); err != nil {
				return fmt.Errorf("connection %d of %d: %w", i+1, len(c.workers), err)
			}
			return nil
		})
	}
	ended := make(chan struct{})
	watched := make(chan watch, 1)
	go func() { watched <- watchWindow(ctx, ended, t.PID, w, c.arrivals) }()
	go t.report(ended, w)
	err := group.Wait()
	until := w.now()
	close(ended)
	seen := <-watched
	if err == nil {
		err = seen.err
	}
	if err = errors.Join(ctx.Err(), err); err != nil {
		return nil, err
	}
	total := newTally()
	for _, worker := range c.workers {
		total.merge(worker.counts())
	}
	if until >= w.to {
		until = w.to
	} else {
		until = total.last // the load has ended by itself
	}
	if c.bytesOfArrival > 0 {
		total.messages, total.bytes = seen.arrived, seen.arrived*int64(c.bytesOfArrival)
	}
	result := total.result(until-w.from, c.zeroName)
	result.Started, result.Arrived = started, seen.arrived
	result.perMessage(seen.generator, seen.server)
	return result, nil
}

// watch is what happened during the window beside the load.
type watch struct {
	generator time.Duration // CPU time
	server    *Process
	arrived   int64 // messages
	err       error
}

// watchWindow waits for the window, and measures until it ends or the load
// has ended by itself.
func watchWindow(ctx context.Context, ended <-chan struct{}, pid int, w *window, arrived *arrivals) watch {
	wait(ctx, ended, w.from-w.now())
	own := ownCPU()
	var s *sampler
	if pid != 0 {
		var err error
		if s, err = startSampler(ctx, pid); err != nil {
			return watch{err: err}
		}
	}
	before, err := arrived.countAtStart(ctx, w)
	wait(ctx, ended, w.to-w.now())
	after, errAfter := arrived.count(ctx)
	seen := watch{generator: ownCPU() - own, arrived: after - before, err: errors.Join(err, errAfter)}
	if s != nil {
		seen.server, err = s.stop()
		seen.err = errors.Join(seen.err, err)
	}
	return seen
}

func wait(ctx context.Context, ended <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-ended:
	case <-timer.C:
	}
}
