package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/bench/check"
)

// brokerSite is one broker of the cluster as its clients know it.
type brokerSite struct {
	name      string
	number    int      // queues of it begin at number × check.QueuesEach
	addresses []string // of its replicas, each of which takes requests
}

// address is where to go at a try: to one replica after the other.
func (b *brokerSite) address(try int) string { return b.addresses[try%len(b.addresses)] }

func (b *brokerSite) queue(id int) check.Queue { return check.Queue(b.number*check.QueuesEach + id) }

// traffic is all that clients do.
type traffic struct {
	recorder    *check.Recorder
	nameservers []string
	sites       []*brokerSite
	rate        int

	writers atomic.Uint32
	readers atomic.Uint32

	mu      sync.Mutex
	open    map[check.Message]arrival // confirmed or received, not both
	waiting int                       // confirmed and not received
}

type arrival uint8

const (
	isConfirmed arrival = iota + 1
	isReceived
)

func newTraffic(r *check.Recorder, nameservers []string, sites []*brokerSite, rate int) *traffic {
	return &traffic{recorder: r, nameservers: nameservers, sites: sites, rate: rate, open: map[check.Message]arrival{}}
}

// source is a kind of producer.
type source struct {
	traffic   *traffic
	name      string
	confirmed atomic.Int64
}

// writer declares a new writer of the source.
func (s *source) writer(tries uint32, line bool) *writer {
	id := s.traffic.writers.Add(1)
	s.traffic.recorder.Record(check.Event{Kind: check.WriterBegan, Message: check.Message{Writer: id}, Tries: tries, Line: line, Text: s.name})
	return &writer{source: s, id: id}
}

// writer numbers messages. begin is called by one goroutine at a time.
type writer struct {
	source *source
	id     uint32
	sent   uint64
}

func (w *writer) begin(q check.Queue) check.Message {
	m := check.Message{Writer: w.id, Number: w.sent}
	w.sent++
	w.source.traffic.recorder.Record(check.Event{Kind: check.SendBegan, Message: m, Queue: q})
	return m
}

// end records how a send ended.
func (w *writer) end(e check.Event) {
	e.Kind = check.SendEnded
	w.source.traffic.recorder.Record(e)
	if e.Status == check.OK {
		w.source.confirmed.Add(1)
		w.source.traffic.settle(e.Message, isConfirmed)
	}
}

// settle remembers messages that were confirmed and not received yet.
func (t *traffic) settle(m check.Message, a arrival) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch before := t.open[m]; {
	case before == 0:
		t.open[m] = a
		if a == isConfirmed {
			t.waiting++
		}
	case before != a:
		delete(t.open, m)
		if before == isConfirmed {
			t.waiting--
		}
	}
}

// missing is how many confirmed messages no consumer has.
func (t *traffic) missing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

// received records a message that a push consumer got.
func (t *traffic) received(reader uint32, q check.Queue, offset int64, m check.Message) {
	t.recorder.Record(check.Event{Kind: check.Received, Reader: reader, Queue: q, Offset: offset, Message: m})
	t.settle(m, isReceived)
}

// broken records what no client should ever see.
func (t *traffic) broken(text string) {
	t.recorder.Record(check.Event{Kind: check.Broken, Text: text})
}

// pace lets events happen at a rate: it returns a channel that ticks.
func pace(ctx context.Context, perSecond int) <-chan struct{} {
	const slice = 10 * time.Millisecond
	ticks := make(chan struct{}, perSecond)
	go func() {
		ticker := time.NewTicker(slice)
		defer ticker.Stop()
		due := 0.0
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for due += float64(perSecond) * slice.Seconds(); due >= 1; due-- {
				select {
				case ticks <- struct{}{}:
				default: // nobody could send for a second: what was missed stays missed
					due = 0
				}
			}
		}
	}()
	return ticks
}
