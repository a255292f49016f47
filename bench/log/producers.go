package log

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// phase of a sample. What completes while measuring counts.
type phase int32

const (
	warming phase = iota
	measuring
	over
)

const (
	latencyMin    = int64(time.Microsecond)
	latencyMax    = int64(2 * time.Minute)
	latencyDigits = 2 // within 1 %
)

// producer is one closed loop: the next message goes when the one before is
// stored.
type producer struct {
	messages int64
	latency  *hdrhistogram.Histogram // nanoseconds
	err      error
}

// run stores messages until it is over; it tells of the first one that counts.
func (p *producer) run(s store, number int, now *atomic.Int32, first chan<- struct{}) {
	for phase(now.Load()) != over {
		began := time.Now()
		if p.err = s.put(number); p.err != nil {
			return
		}
		if phase(now.Load()) != measuring {
			continue
		}
		p.messages++
		if p.err = p.latency.RecordValue(min(int64(time.Since(began)), latencyMax)); p.err != nil {
			return
		}
		if p.messages == 1 {
			select {
			case first <- struct{}{}:
			default:
			}
		}
	}
}

// measure runs the producers against a store for a time, and longer if no
// message is stored within it.
func measure(ctx context.Context, s store, c Cell, warmup, duration time.Duration) (Sample, error) {
	var now atomic.Int32
	producers := make([]producer, c.Depth)
	var running sync.WaitGroup
	first, ended := make(chan struct{}, 1), make(chan struct{})
	for i := range producers {
		producers[i].latency = hdrhistogram.New(latencyMin, latencyMax, latencyDigits)
		running.Go(func() { producers[i].run(s, i, &now, first) })
	}
	go func() { running.Wait(); close(ended) }()
	wait(ctx, warmup)
	operations, used, began := s.operations(), readUsage(), time.Now()
	now.Store(int32(measuring))
	wait(ctx, duration)
	select {
	case <-first:
	case <-ended: // all have failed
	case <-ctx.Done():
	}
	now.Store(int32(over))
	sample := Sample{Cell: c, Seconds: time.Since(began).Seconds(), Operations: s.operations().minus(operations)}
	delta := readUsage().minus(used)
	<-ended
	total := hdrhistogram.New(latencyMin, latencyMax, latencyDigits)
	for i := range producers {
		if err := producers[i].err; err != nil {
			return sample, fmt.Errorf("bench log: producer %d: %w", i, err)
		}
		sample.Messages += producers[i].messages
		total.Merge(producers[i].latency)
	}
	sample.Latency = latencyOf(total)
	sample.divide(delta)
	return sample, ctx.Err()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
