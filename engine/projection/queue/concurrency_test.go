package queue_test

import (
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// reader checks what it sees of q while the applier runs: entry n of the
// queue has tag n and position 24·n, and bounds move up only.
type reader struct {
	x           *queue.Index
	q           event.Queue
	first, next event.Offset
	dst         [100]queue.Entry
}

func (r *reader) step(t *testing.T) bool {
	first, next := r.x.Bounds(r.q)
	if first < r.first || next < r.next || first > next {
		t.Errorf("bounds %d, %d after %d, %d", first, next, r.first, r.next)
		return false
	}
	r.first, r.next = first, next
	for _, from := range []event.Offset{first, (first + next) / 2, next - 1} {
		found, err := r.x.Lookup(r.q, from, r.dst[:])
		if err != nil {
			t.Error(err)
			return false
		}
		for i, e := range r.dst[:found] {
			n := int64(from) + int64(i)
			if int64(e.Tag) != n || int64(e.Position) != 24*n || e.Bytes != 24 || int64(e.FrameOffset) != n || e.Segment > e.Position {
				t.Errorf("entry %d reads %+v", n, e)
				return false
			}
		}
	}
	// Time is the offset divided by four. A block may be dropped meanwhile.
	ms := int64(next) / 8
	if from, to, _ := r.x.BlockAt(r.q, ms); from > event.Offset(4*ms) && from > first || to < event.Offset(4*ms) {
		if now, _ := r.x.Bounds(r.q); now == first {
			t.Errorf("%d ms: block %d to %d", ms, from, to)
			return false
		}
	}
	return true
}

func TestReadersSeeWholeEntriesWhileTheApplierAppendsAndDrops(t *testing.T) {
	t.Parallel()
	const count, perSegment = 60_000, 3_000
	x, q := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1, ID: 1}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			r := reader{x: x, q: q}
			for r.step(t) {
				select {
				case <-done:
					r.step(t)
					return
				default:
				}
			}
		})
	}
	for i := range count {
		segment := i / perSegment * perSegment
		x.Apply(projection.Place{Position: event.Position(24 * i), Timestamp: int64(i / 4),
			Segment: event.Position(24 * segment), FrameOffset: uint32(i)}, message(q, int32(i)))
		// Another topic comes and goes, so that the maps change too.
		same := projection.Place{Position: event.Position(24 * i), Timestamp: int64(i / 4), Segment: event.Position(24 * segment)}
		x.Apply(same, message(event.Queue{Topic: 2, ID: uint32(i % 50)}, 0))
		if i%perSegment == perSegment-1 {
			x.DropSegment(event.Position(24*(segment-2*perSegment)), nil)
			x.Apply(same, deletion(2))
		}
	}
	close(done)
	readers.Wait()
	if first, next := x.Bounds(q); next != count || first != count-3*perSegment {
		t.Fatalf("bounds %d, %d", first, next)
	}
}

func deletion(topic event.TopicID) event.Event {
	d := event.Draft{Kind: event.KindTopicDeleted, Topic: topic}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}
