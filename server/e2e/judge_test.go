package e2e

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/check"
	"github.com/apogeemq/apogee/server/broker/record"
)

// history is what the writers of a load did and were told.
type history struct {
	began time.Time

	mu     sync.Mutex
	events check.Events
}

func newHistory() *history { return &history{began: time.Now()} }

func (h *history) record(e check.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.At = time.Since(h.began)
	h.events = append(h.events, e)
}

// judge reads all queues of a topic, each from its first offset on, and
// compares. It returns how many messages are stored.
func (h *history) judge(t *testing.T, p *peer, topic string, queues int) int {
	t.Helper()
	read := make([]check.Events, queues)
	var readers errgroup.Group
	for queue := range queues {
		readers.Go(func() (err error) {
			read[queue], err = readBack(p, topic, queue)
			return err
		})
	}
	if err := readers.Wait(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	events := slices.Clone(h.events)
	h.mu.Unlock()
	v, err := check.Judge(append(events, slices.Concat(read...)...), check.Rules{})
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(v.Stored)
}

// readBack reads a queue.
func readBack(p *peer, topic string, queue int) (check.Events, error) {
	var events check.Events
	err := p.readQueue(topic, queue, func(r record.Record) error {
		m, err := check.Identify(r.Body)
		events = append(events, check.Event{Kind: check.Stored, Message: m, Queue: check.Queue(r.QueueID), Offset: r.QueueOffset,
			Position: r.Position, StoredMillis: r.StoreTimestamp})
		return err
	})
	return append(events, check.Event{Kind: check.QueueRead, Queue: check.Queue(queue), Offset: int64(len(events))}), err
}
