package e2e

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/bench/check"
)

const (
	loadTopic       = "e2e-load"
	loadQueues      = 4
	loadConnections = 3
	loadInFlight    = 32 // of each connection
)

// load is a fast load of pipelined sends over several connections.
type load struct {
	t       *testing.T
	history *history
	writers []*writer // of all rounds

	pipelines []*pipeline // of this round
	answers   atomic.Int64
}

// newLoad makes a load. Its first message, which has a writer of its own,
// creates the topic: messages that arrive while a topic is being created are in
// no order.
func newLoad(t *testing.T, s *server) *load {
	t.Helper()
	l := &load{t: t, history: newHistory()}
	answered := make(chan struct{})
	first := l.connect(s, func() { close(answered) })
	first.send()
	first.stop()
	await(t, "answer to the first message", answered)
	return l
}

// connect adds a writer on a connection of its own.
func (l *load) connect(s *server, answered func()) *pipeline {
	l.t.Helper()
	w := newWriter(l.history, uint32(len(l.writers)), true)
	l.writers = append(l.writers, w)
	return &pipeline{writer: w, topic: loadTopic, queues: loadQueues, client: dial(l.t, s.brokerAddress()).client, answered: answered}
}

// begin starts a round: each connection is a new writer. The channel is closed
// when the round has had so many answers.
func (l *load) begin(s *server, answers int64) <-chan struct{} {
	l.t.Helper()
	reached := make(chan struct{})
	l.answers.Store(0)
	l.pipelines = nil
	for range loadConnections {
		l.pipelines = append(l.pipelines, l.connect(s, func() {
			if l.answers.Add(1) == answers {
				close(reached)
			}
		}))
	}
	for _, p := range l.pipelines {
		p.begin(loadInFlight)
	}
	return reached
}

// end waits until the connections, whose server is gone, have ended.
func (l *load) end() {
	l.t.Helper()
	for _, p := range l.pipelines {
		p.stop()
		await(l.t, "end of a connection whose server is gone", p.client.Done())
	}
}

// confirmed is the number of receipts of all rounds.
func (l *load) confirmed() int {
	n := 0
	for _, w := range l.writers {
		n += w.confirmed()
	}
	return n
}

// verify reads everything, judges, and returns how many messages are stored.
func (l *load) verify(s *server) int {
	l.t.Helper()
	return l.history.judge(l.t, dial(l.t, s.brokerAddress()), loadTopic, loadQueues)
}

const (
	officialTopic   = "e2e-official"
	officialWriters = 4
)

// officialLoad are goroutines that send with one official producer, one
// message after the other, for as long as the server lives and beyond.
type officialLoad struct {
	producer rocketmq.Producer
	history  *history
	writers  []*writer
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func beginOfficialLoad(t *testing.T, s *server) *officialLoad {
	t.Helper()
	return continueOfficialLoad(t, s, newHistory(), 0)
}

// continueOfficialLoad begins a load whose writers, numbered from first on, add
// to a history.
func continueOfficialLoad(t *testing.T, s *server, h *history, first uint32) *officialLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &officialLoad{producer: newProducer(t, s), history: h, cancel: cancel}
	for i := range officialWriters {
		w := newWriter(l.history, first+uint32(i), false)
		l.writers = append(l.writers, w)
		if i == 0 && first == 0 && !l.send(ctx, w) {
			t.Fatal("the message that creates the topic was not confirmed")
		}
		l.running.Go(func() {
			for ctx.Err() == nil {
				if !l.send(ctx, w) {
					pause(ctx)
				}
			}
		})
	}
	return l
}

// send sends the writer's next message, once, and reports whether it was
// confirmed.
func (l *officialLoad) send(ctx context.Context, w *writer) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	w.mu.Lock()
	m := w.next(check.NoQueue)
	w.mu.Unlock()
	ended := check.Event{Message: m, Status: check.Unknown, Position: check.NoPosition}
	result, err := l.producer.SendSync(ctx, primitive.NewMessage(officialTopic, check.Body(m)))
	if err == nil && result.Status == primitive.SendOK {
		ended.Status, ended.Queue, ended.Offset = check.OK, check.Queue(result.MessageQueue.QueueId), result.QueueOffset
		ended.Position = check.PositionOf(result.OffsetMsgID)
	}
	w.take(ended)
	return ended.Status == check.OK
}

// pause keeps a writer whose server is gone from spinning.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// missing is how many confirmed messages are not among the bodies.
func (l *officialLoad) missing(bodies []string) int {
	arrived := make(map[string]bool, len(bodies))
	for _, body := range bodies {
		arrived[body] = true
	}
	missing := 0
	for _, w := range l.writers {
		w.mu.Lock()
		for _, number := range w.receipts {
			if !arrived[string(check.Body(w.message(number)))] {
				missing++
			}
		}
		w.mu.Unlock()
	}
	return missing
}

func (l *officialLoad) confirmed() int {
	n := 0
	for _, w := range l.writers {
		n += w.confirmed()
	}
	return n
}

// end lets the writers finish.
func (l *officialLoad) end() {
	l.cancel()
	l.running.Wait()
}
