package due

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/access"
)

// Options of a run.
type Options struct {
	Address     string        // of the broker
	Self        access.Client // who it is to the broker
	Topic       string        // of the delayed messages; the plain ones get one of their own
	Queues      int           // of both topics
	Connections int           // of the load that stores the delayed messages
	Messages    int64         // that become due at once
	Size        int           // bytes of a body, of both loads
	Rate        int           // of plain messages a second
	Warmup      time.Duration
	Duration    time.Duration // measured, without and with messages that become due
	Ahead       time.Duration // how long before they are due the delayed messages are stored
	Patience    time.Duration // longest wait for all of them
	PID         int           // of the broker, to measure its CPU time; 0 for none
	Progress    func(string)
}

// Results of a run.
type Results struct {
	Load     string       `json:"load"`
	Machine  load.Machine `json:"machine"`
	Started  time.Time    `json:"started"`
	Messages int64        `json:"messages"`
	// Early are messages that were in their queues before they were due.
	Early int64 `json:"early"`
	// Seconds until the last of them was in its queue.
	Seconds float64    `json:"seconds"`
	Without e2e.Sample `json:"without"` // plain load with nothing beside it
	During  e2e.Sample `json:"during"`  // from when the delayed messages are due
}

// TailRatio is p99.9 of the plain sends while messages become due, against
// without.
func (r *Results) TailRatio() float64 { return r.During.Send.P999 / max(r.Without.Send.P999, 1e-3) }

const (
	pollEvery    = 20 * time.Millisecond
	fillInFlight = 256
	// margin is how long before the delayed messages are due the measured time
	// begins, so that connecting doesn't make it late.
	margin = 100 * time.Millisecond
)

func (o *Options) check() error {
	switch {
	case o.Messages < 1 || o.Topic == "":
		return fmt.Errorf("bench due: %d messages to topic %q: at least one and a name are needed", o.Messages, o.Topic)
	case o.Ahead <= o.Warmup+margin || o.Patience <= 0:
		return fmt.Errorf("bench due: %v ahead is too short for a warm-up of %v, or no patience (%v)", o.Ahead, o.Warmup, o.Patience)
	}
	return nil
}

// String is the run in one readable line.
func (o *Options) String() string {
	return fmt.Sprintf("%d messages of %d bytes due at one time in %d queues of %s, beside %d sends a second",
		o.Messages, o.Size, o.Queues, o.Address, o.Rate)
}

func (o *Options) tell(format string, arguments ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, arguments...))
	}
}

// Run measures. Canceling ctx ends it with an error.
func Run(ctx context.Context, o Options) (*Results, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &Results{Load: o.String(), Machine: load.DescribeMachine(), Started: time.Now(), Messages: o.Messages}
	if err := load.CreateTopic(ctx, o.Self, o.Address, o.Topic, o.Queues); err != nil {
		return nil, err
	}
	arrivals, err := load.OpenArrivals(ctx, o.Self, o.Address, o.Topic, o.Queues)
	if err != nil {
		return nil, err
	}
	defer arrivals.Close()
	before, err := arrivals.Count(ctx)
	if err != nil {
		return nil, err
	}
	o.tell("%d plain sends a second", o.Rate)
	if err := o.plain(ctx, &r.Without); err != nil {
		return nil, err
	}
	at, err := o.fill(ctx)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, time.Until(at)-o.Warmup-margin); err != nil {
		return nil, err
	}
	o.tell("the same while %d messages become due", o.Messages)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.plain(groupCtx, &r.During) })
	group.Go(func() error { return o.watch(groupCtx, r, arrivals, before, at) })
	return r, group.Wait()
}

// plain measures the plain load.
func (o *Options) plain(ctx context.Context, into *e2e.Sample) error {
	results, err := e2e.Run(ctx, e2e.Options{
		Address: o.Address, Self: o.Self, Topic: o.Topic + "-plain", Queues: o.Queues, Rates: []int{o.Rate}, Size: o.Size, Producers: o.Connections,
		Consumers: min(2, o.Queues), Warmup: o.Warmup, Duration: o.Duration, Rest: o.Patience, PID: o.PID, Group: "bench-due",
	})
	if err == nil {
		*into = results.Samples[0]
	}
	return err
}

// fill stores the delayed messages and returns when they are due.
func (o *Options) fill(ctx context.Context) (time.Time, error) {
	at := time.Now().Add(o.Ahead).Truncate(time.Millisecond)
	o.tell("store %d messages that are due at %s", o.Messages, at.Format(time.TimeOnly))
	result, err := load.Send(ctx, load.SendOptions{
		Target: load.Target{Address: o.Address, Self: o.Self, Connections: o.Connections, Topic: o.Topic, Queues: o.Queues, Duration: o.Ahead},
		Kind:   load.Delayed, Delay: load.Delay{At: at}, InFlight: fillInFlight, Size: o.Size, Batch: 1, Topics: 1,
		Messages: o.Messages, Create: load.CreateNever, Producers: "bench-due",
	})
	switch {
	case err != nil:
		return at, err
	case result.Messages != o.Messages:
		return at, fmt.Errorf("bench due: %d of %d delayed messages were stored in %v, %d refused: store them further ahead",
			result.Messages, o.Messages, o.Ahead, result.Errors)
	case time.Until(at) < o.Warmup+margin:
		return at, fmt.Errorf("bench due: storing %d messages took until %v before they are due: store them further ahead",
			o.Messages, time.Until(at))
	}
	return at, nil
}

// watch waits until all delayed messages are in their queues.
func (o *Options) watch(ctx context.Context, r *Results, arrivals *load.Arrivals, before int64, at time.Time) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		count, err := arrivals.Count(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if count -= before; now.Before(at) {
			r.Early = count
		}
		if count >= o.Messages {
			r.Seconds = now.Sub(at).Seconds()
			return nil
		}
		if now.Sub(at) > o.Patience {
			return fmt.Errorf("bench due: %d of %d messages are delivered %v after they were due", count, o.Messages, o.Patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), errors.New("bench due: canceled"))
	case <-timer.C:
		return nil
	}
}
