package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// lockedBuffer is a log that a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func rules(t *testing.T, text string) []faultdisk.Rule {
	t.Helper()
	r, err := faultdisk.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWithoutSpaceForTheIndexItIsServedFromMemoryAndWrittenLater(t *testing.T) {
	t.Parallel()
	inner := simdisk.New(8, simdisk.Options{})
	d := faultdisk.New(inner, rules(t, "write:index/*:*=ENOSPC"), faultdisk.SystemClock{})
	o := testOptions(d, 8)
	text := &lockedBuffer{}
	o.Log.Log = slog.New(slog.NewTextHandler(text, nil))
	e, w := mustOpen(t, o), newWorkload(8)
	for range 3 {
		if _, err := w.run(e, 200); err != nil {
			t.Fatal(err)
		}
		w.check(t, e)
		e.indexer.tick()
	}
	if n := text.count("index file not written"); n != 1 {
		t.Fatalf("%d warnings, expected 1", n)
	}
	if n := e.queues.RunsInMemory(); n < 5 {
		t.Fatalf("%d runs in memory", n)
	}
	grown := dump(t, e)
	d.Set(nil)
	e.indexer.tick()
	settle(t, e)
	if n := e.queues.RunsInMemory(); n > 2 {
		t.Fatalf("%d runs still in memory after there was space", n)
	}
	if got := dump(t, e); got != grown || text.count("written again") != 1 {
		t.Fatalf("after there was space: %s", firstDifference(grown, got))
	}
	mustClose(t, e)
	// A start without space rebuilds in memory.
	deleteIndex(t, inner)
	d.Set(rules(t, "write:index/*:*=ENOSPC"))
	e = mustOpen(t, o)
	if got := dump(t, e); got != grown {
		t.Fatalf("rebuilt without space: %s", firstDifference(grown, got))
	}
	mustClose(t, e)
}

func TestReadersSeeWholeQueuesWhileRunsAreWrittenMergedAndTrimmed(t *testing.T) {
	t.Parallel()
	o := testOptions(simdisk.New(9, simdisk.Options{}), 9)
	o.IndexCacheBytes = 1
	e := mustOpen(t, o)
	q := event.Queue{Topic: 1, ID: 3}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				if !readSome(t, e, q) {
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	const frames, perFrame = 160, 10
	for i := range frames {
		drafts := make([]event.Draft, perFrame)
		for j := range drafts {
			n := i*perFrame + j
			drafts[j] = event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Queue: 3, Tag: int32(n),
				Payload: event.Bytes(make([]byte, 900))}
		}
		position, err := e.Append(int64(2000+i), drafts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.WaitApplied(t.Context(), position); err != nil {
			t.Fatal(err)
		}
		if ends := e.log.SegmentEnds(); len(ends) > 3 {
			if err := trimNow(t.Context(), e, ends[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	readers.Wait()
	if first, next := e.Bounds(q); first == 0 || next != frames*perFrame {
		t.Fatalf("bounds %d, %d", first, next)
	}
	mustClose(t, e)
}

// readSome reads from the start, the middle and near the end of a queue whose
// event n has tag n.
func readSome(t *testing.T, e *Engine, q event.Queue) bool {
	first, next := e.Bounds(q)
	for _, from := range []event.Offset{first, (first + next) / 2, max(first, next-5)} {
		after, err := e.ReadQueue(q, from, ReadLimits{Count: 40, Bytes: 1 << 20, Scan: 40}, nil, func(m Message) error {
			if int64(m.Event.Tag()) != int64(m.Offset) || m.Timestamp != 2000+int64(m.Offset)/10 {
				t.Errorf("offset %d reads tag %d, time %d", m.Offset, m.Event.Tag(), m.Timestamp)
			}
			return nil
		})
		now, _ := e.Bounds(q)
		if trimmed := from < now; err != nil && !trimmed || after == from && from < next && !trimmed {
			t.Errorf("read from %d of %d to %d: %d, %v", from, first, next, after, err)
			return false
		}
	}
	return true
}
