package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/check"
)

const (
	// extraTime is what a run may take besides its duration.
	extraTime = 4 * time.Minute
	// serviceTime bounds the wait for confirmed sends when nothing is broken.
	serviceTime = 45 * time.Second
	// drainTime bounds the wait for consumers. A group whose consumer died is
	// shared anew after two minutes at the worst.
	drainTime = 150 * time.Second
	pollTime  = 20 * time.Millisecond
)

// Result is the outcome of a run.
type Result struct {
	Verdict *check.Verdict
	Repeat  string // the command that does the same again
	Dir     string // of data and logs; empty when it is removed
}

// run is a run under way.
type run struct {
	options  Options
	kinds    []kind
	dir      string
	began    time.Time
	recorder *check.Recorder
	cluster  *cluster.Cluster
	traffic  *traffic
	sources  []*source
	lives    uint64 // processes started so far, for their seeds
	ending   atomic.Bool
}

// Run does one run. An error means that there is no verdict. Data and logs are
// kept unless all is well.
func Run(ctx context.Context, o Options) (*Result, error) {
	topology, allowed, err := o.check()
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	r := &run{options: o, kinds: allowed, began: time.Now()}
	if r.dir, err = os.MkdirTemp(o.Dir, "apogee-chaos-"); err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	fmt.Fprintf(o.Out, "repeat with: %s\ndata and logs: %s\n", o.repeat(), r.dir)
	ctx, cancel := context.WithTimeoutCause(ctx, o.lasts()+extraTime, errors.New("the run takes too long"))
	defer cancel()
	verdict, err := r.record(ctx, topology)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w; data and logs are in %s", err, r.dir)
	}
	result := &Result{Verdict: verdict, Repeat: o.repeat(), Dir: r.dir}
	if verdict.Err() == nil && !o.Keep {
		result.Dir = ""
		err = os.RemoveAll(r.dir)
	}
	return result, err
}

// record makes the history and judges it.
func (r *run) record(ctx context.Context, t cluster.Topology) (*check.Verdict, error) {
	path := filepath.Join(r.dir, "history")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r.recorder = check.NewRecorder(file, func() time.Duration { return time.Since(r.began) })
	r.cluster, err = cluster.Open(cluster.Options{Dir: r.dir, Binary: r.options.Binary, Topology: t, Flush: r.options.Flush,
		Settings: r.options.Settings, FirstPort: r.options.Port, Died: r.died})
	if err != nil {
		return nil, err
	}
	err = r.live(ctx)
	r.ending.Store(true)
	if err = errors.Join(err, r.cluster.Close(), r.recorder.Close()); err != nil {
		return nil, err
	}
	open := check.Open(func() (io.ReadCloser, error) { return os.Open(path) })
	return check.Judge(open, check.Rules{GapMax: r.options.GapMax, Handovers: t.Brokers > 1})
}

// died notes that a process ended that nobody ended.
func (r *run) died(node int, cause error) {
	if !r.ending.Load() {
		r.broken("node %d: %v", node, cause)
	}
}

func (r *run) broken(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.say("BROKEN: %s", text)
	r.recorder.Record(check.Event{Kind: check.Broken, Text: text})
}

// say tells people what happens.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.options.Out, "%8.3f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// live starts the cluster, runs load and faults, and reads back.
func (r *run) live(ctx context.Context) error {
	if err := r.cluster.Start(ctx, r.medium); err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	load, endLoad := context.WithCancel(ctx)
	defer endLoad()
	watch, endWatch := context.WithCancel(ctx)
	defer endWatch()
	endPush, err := r.traffic.push()
	if err != nil {
		return err
	}
	var clients, watchers errgroup.Group
	clients.Go(func() error { return r.traffic.produce(load, r.sources) })
	for _, site := range r.traffic.sites {
		watchers.Go(func() error { return r.traffic.pullAll(watch, site) })
		watchers.Go(func() error { return r.traffic.watchOffsets(watch, site) })
	}
	err = r.suffer(ctx)
	endLoad()
	err = errors.Join(err, clients.Wait())
	r.recorder.Record(check.Event{Kind: check.LoadEnded})
	endWatch()
	err = errors.Join(err, watchers.Wait())
	endPush()
	if err == nil {
		err = r.conclude(ctx)
	}
	return err
}

// prepare makes the topic and the clients' view of the cluster.
func (r *run) prepare(ctx context.Context) error {
	sites, err := makeTopic(ctx, r.cluster)
	if err != nil {
		return err
	}
	r.traffic = newTraffic(r.recorder, r.cluster.Nameservers(), sites, r.options.Rate)
	r.sources = r.traffic.sources()
	return nil
}

// medium draws what the next process stores on. A process that doesn't sync
// before it confirms loses confirmed messages with its disk, as it says.
func (r *run) medium() (cluster.Medium, uint64) {
	r.lives++
	random := draws(r.options.Seed, drawMedium<<32+r.lives)
	media := cluster.Media()
	if r.options.Flush == asyncFlush {
		media = media[:len(media)-1]
	}
	return media[random.IntN(len(media))], random.Uint64()
}

// draw draws a fault and the time of calm after it.
func (r *run) draw(number uint32) (text string, strike func(context.Context) error, calm time.Duration) {
	random := draws(r.options.Seed, drawFault<<32+uint64(number))
	f := &field{random: random, cluster: r.cluster, medium: r.medium, serves: r.serves, say: r.say, target: drawTarget(random, r.cluster)}
	text, planned := r.kinds[random.IntN(len(r.kinds))].plan(f)
	strike = func(ctx context.Context) error {
		n, err := f.target.find(ctx, r.cluster)
		if err != nil {
			return err
		}
		r.say("    which is node %d, on %s", n.Index(), n.Medium())
		return planned(ctx, n)
	}
	return text, strike, between(random, 100*time.Millisecond, 2*time.Second)
}

// suffer walks the schedule.
func (r *run) suffer(ctx context.Context) error {
	end := r.began.Add(r.options.Duration)
	if !r.serves(ctx, "after the start") {
		return context.Cause(ctx)
	}
	more := func(number uint32) bool {
		if r.options.Count > 0 {
			return number <= r.options.Count
		}
		return time.Now().Before(end)
	}
	for number := uint32(1); more(number) && ctx.Err() == nil; number++ {
		text, strike, calm := r.draw(number)
		r.say("%s", text)
		r.recorder.Record(check.Event{Kind: check.FaultBegan, Fault: number, Text: text})
		err := strike(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			r.broken("fault %d (%s): %v", number, text, err)
			return nil
		}
		if !r.serves(ctx, text) {
			break
		}
		r.recorder.Record(check.Event{Kind: check.FaultEnded, Fault: number}) // a group may settle only after the strike
		pause(ctx, calm)
	}
	r.cluster.Heal()
	return context.Cause(ctx)
}

// serves waits until each source has a confirmed send from after this moment,
// and reports whether it has.
func (r *run) serves(ctx context.Context, after string) bool {
	var before []int64
	for _, s := range r.sources {
		before = append(before, s.confirmed.Load())
	}
	deadline := time.Now().Add(serviceTime)
	for i, s := range r.sources {
		for s.confirmed.Load() == before[i] {
			if time.Now().After(deadline) {
				r.broken("%s: nothing of the %s is confirmed %v later", after, s.name, serviceTime)
				return false
			}
			if !pause(ctx, pollTime) {
				return false
			}
		}
	}
	return true
}

// conclude lets consumers finish, reads back, and looks at what is left.
func (r *run) conclude(ctx context.Context) error {
	r.say("the load is over; %d confirmed messages have reached no consumer yet", r.traffic.missing())
	endPush, err := r.traffic.push() // a new one joins its group at once
	if err != nil {
		return err
	}
	defer endPush()
	for deadline := time.Now().Add(drainTime); r.traffic.missing() > 0 && time.Now().Before(deadline); {
		if !pause(ctx, pollTime) {
			return context.Cause(ctx)
		}
	}
	endPush()
	r.recorder.Record(check.Event{Kind: check.Drained})
	if err := r.compare(ctx); err != nil {
		r.broken("%v", err)
	}
	if err := r.readBack(ctx); err != nil {
		r.broken("%v", err)
	}
	return r.inspect(ctx)
}

// inspect ends the processes in order and looks at their logs.
func (r *run) inspect(ctx context.Context) error {
	for _, n := range r.cluster.Nodes() {
		if err := n.Terminate(ctx); err != nil {
			r.broken("%v", err)
			continue
		}
		if err := n.Verify(ctx); err != nil {
			r.broken("%v", err)
		}
	}
	complaints, err := r.cluster.Complaints()
	for _, line := range complaints {
		r.broken("%s", line)
	}
	return err
}
