package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	callTime      = 10 * time.Second
	callsMax      = 1 << 15 // in flight on a connection; beyond it messages become late
	progressEvery = 5 * time.Second
	restInterval  = 10 * time.Millisecond
)

// run is one rate.
type run struct {
	options  *Options
	rate     int
	messages int
	id       uint64
	base     time.Time
	sent     time.Duration // when all had been sent and answered
	over     atomic.Bool   // answers don't count any more
	failed   context.CancelFunc
}

func (r *run) now() time.Duration { return time.Since(r.base) }

// counts reports whether a message that is due then is measured.
func (r *run) counts(at time.Duration) bool { return at >= r.options.Warmup }

func (r *run) enough() bool {
	select {
	case <-r.options.Enough:
		return true
	default:
		return false
	}
}

// Run measures all rates, one after the other. Canceling ctx ends it with an
// error.
func Run(ctx context.Context, o Options) (*Results, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := load.CreateTopic(ctx, o.Self, o.Address, o.Topic, o.Queues); err != nil {
		return nil, err
	}
	results := &Results{Load: o.String(), Machine: load.DescribeMachine(), Started: time.Now()}
	for i, rate := range o.Rates {
		o.tell("rate %d of %d: %d messages a second for %v", i+1, len(o.Rates), rate, o.Warmup+o.Duration)
		sample, err := measure(ctx, &o, rate)
		if err != nil {
			return nil, fmt.Errorf("bench e2e at %d messages a second: %w", rate, err)
		}
		results.Samples = append(results.Samples, *sample)
	}
	return results, nil
}

func (o *Options) tell(format string, arguments ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, arguments...))
	}
}

// measure runs one rate on connections of its own.
func measure(parent context.Context, o *Options, rate int) (*Sample, error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	r := &run{options: o, rate: rate, messages: o.messages(rate), id: rand.Uint64(), failed: cancel}
	producers, consumers, done, err := r.connect(ctx)
	defer done()
	if err != nil {
		return nil, err
	}
	offsets, err := ends(ctx, o, consumers[0].client)
	if err != nil {
		return nil, err
	}
	cpu, err := r.serverCPU()
	if err != nil {
		return nil, err
	}
	r.base = time.Now()
	for queue, offset := range offsets {
		consumers[queue%len(consumers)].pull(queue, offset)
	}
	var sending errgroup.Group
	for _, p := range producers {
		sending.Go(func() error { return p.produce(ctx) })
	}
	stop := context.AfterFunc(ctx, func() { closeAll(producers) }) // answers that will not come end as errors
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- sending.Wait() }()
	err = errors.Join(r.watch(ctx, producers, consumers, ended), parent.Err())
	r.over.Store(true)
	if err != nil {
		cancel()
		_ = sending.Wait() // it has ended with the connections
		return nil, err
	}
	after, err := r.serverCPU()
	if err != nil {
		return nil, err
	}
	return r.sum(producers, consumers, after-cpu), nil
}

func closeAll(producers []*producer) {
	for _, p := range producers {
		p.client.Close()
	}
}

// serverCPU is the CPU time of the broker so far, 0 when it is not measured.
func (r *run) serverCPU() (time.Duration, error) {
	if r.options.PID == 0 {
		return 0, nil
	}
	return load.ReadCPU(r.options.PID)
}

// connect opens all connections; done closes those that are open.
func (r *run) connect(ctx context.Context) (producers []*producer, consumers []*consumer, done func(), err error) {
	var open []*remoting.Client
	done = func() {
		for _, c := range open {
			c.Close()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	for i := range r.options.Producers + r.options.Consumers {
		c, err := r.options.Self.Dial(ctx, r.options.Address, remoting.ClientOptions{CallsMax: callsMax})
		if err != nil {
			return nil, nil, done, err
		}
		open = append(open, c)
		if i < r.options.Producers {
			producers = append(producers, newProducer(r, c, i))
		} else {
			consumers = append(consumers, &consumer{run: r, client: c, took: load.NewHistogram(), seen: newSet(r.messages)})
		}
	}
	return producers, consumers, done, nil
}

// ends are the next offsets of all queues: the run begins there.
func ends(ctx context.Context, o *Options, c *remoting.Client) ([]int64, error) {
	var offsets []int64
	for queue := range o.Queues {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		answer, err := c.Call(ctx, &remoting.Request{Code: remoting.RequestGetMaxOffset, Header: []remoting.TextField{
			{Key: "topic", Value: o.Topic}, {Key: "queueId", Value: strconv.Itoa(queue)}}})
		cancel()
		if err != nil {
			return nil, err
		}
		offset, ok := answer.Int("offset")
		if !ok {
			return nil, fmt.Errorf("ask for the end of queue %d: code %d: %s", queue, answer.Code, answer.Remark)
		}
		offsets = append(offsets, offset)
	}
	return offsets, nil
}

// watch waits until all has been sent, and then for what is still under way.
func (r *run) watch(ctx context.Context, producers []*producer, consumers []*consumer, sent <-chan error) error {
	tick, report := time.NewTicker(restInterval), time.NewTicker(progressEvery)
	defer tick.Stop()
	defer report.Stop()
	want := int64(r.measured()) // at most
	rest := time.Duration(-1)   // when the wait for the rest is over; -1 while sending
	for {
		var arrived int64
		for _, c := range consumers {
			n, err := c.progress()
			if err != nil {
				return err
			}
			arrived += n
		}
		if rest >= 0 && (arrived >= want || r.now() > rest) {
			return nil
		}
		select {
		case err := <-sent:
			if err != nil {
				return err
			}
			r.sent = r.now()
			rest, sent, want = r.sent+r.options.Rest, nil, 0
			for _, p := range producers {
				want += p.stored // all answers are there
			}
		case <-ctx.Done():
			if _, err := firstProblem(consumers); err != nil {
				return err
			}
			return ctx.Err()
		case <-report.C:
			r.options.tell("%v: %d of %d measured messages have arrived", r.now().Round(time.Second), arrived, want)
		case <-tick.C:
		}
	}
}

func firstProblem(consumers []*consumer) (n int64, err error) {
	for _, c := range consumers {
		if n, err = c.progress(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// measured is how many messages are due after the warm-up.
func (r *run) measured() int {
	n := 0
	for number := r.messages - 1; number >= 0 && r.counts(due(number, r.rate)); number-- {
		n++
	}
	return n
}

// sum puts together what all connections have counted.
func (r *run) sum(producers []*producer, consumers []*consumer, cpu time.Duration) *Sample {
	s := &Sample{Rate: r.rate, Took: r.now()}
	sent, late, took := load.NewHistogram(), load.NewHistogram(), load.NewHistogram()
	for _, p := range producers {
		p.mu.Lock()
		sent.Merge(p.sent)
		late.Merge(p.late)
		s.Due += int(p.due)
		s.Stored += p.stored
		if s.Errors += p.errors; s.FirstError == "" {
			s.FirstError = p.first
		}
		p.mu.Unlock()
	}
	for _, c := range consumers {
		c.mu.Lock()
		took.Merge(c.took)
		s.Delivered += c.delivered
		s.Duplicates += c.duplicates
		c.mu.Unlock()
	}
	s.Missing = max(0, s.Stored-s.Delivered)
	s.EndToEnd, s.Send, s.Lateness = load.Percentiles(took), load.Percentiles(sent), load.Percentiles(late)
	// What is delivered after the last message was due lengthens the time.
	last := max(s.Took-r.options.Warmup, min(r.options.Duration, r.sent-r.options.Warmup))
	s.PerSecond = float64(s.Delivered) / last.Seconds()
	s.ServerCPU = cpu.Seconds() * 1e6 / max(1, float64(r.messages)*min(1, r.sent.Seconds()/(r.options.Warmup+r.options.Duration).Seconds()))
	return s
}
