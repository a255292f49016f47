package queue_test

import (
	"math"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
	"github.com/apogeemq/apogee/engine/projection/queue"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// twin is the slow and obvious index: all entries of all queues in slices.
type twin map[event.Queue]*twinQueue

type twinQueue struct {
	first   event.Offset
	entries []queue.Entry
	times   []int64
}

func (m twin) apply(s projectiontest.Step) {
	if s.Event.Kind() == event.KindTopicDeleted {
		for q := range m {
			if q.Topic == s.Event.Topic() {
				delete(m, q)
			}
		}
	}
	if s.Event.Stream() != event.StreamQueue {
		return
	}
	q := m[s.Event.Queue()]
	if q == nil {
		q = &twinQueue{}
		m[s.Event.Queue()] = q
	}
	q.entries = append(q.entries, queue.Entry{Segment: s.At.Segment, FrameOffset: s.At.FrameOffset,
		Bytes: uint32(len(s.Event)), Tag: s.Event.Tag(), Position: s.At.Position})
	q.times = append(q.times, s.At.Timestamp)
}

func (m twin) drop(base event.Position) {
	for _, q := range m {
		for len(q.entries) > 0 && q.entries[0].Segment < base {
			q.entries, q.times, q.first = q.entries[1:], q.times[1:], q.first+1
		}
	}
}

func compareWithTwin(t *rapid.T, x *queue.Index, m twin) {
	if got := x.Queues(); len(got) != len(m) {
		t.Fatalf("queues %v, expected %d", got, len(m))
	}
	for id, q := range m {
		first, next := x.Bounds(id)
		if first != q.first || next != q.first+event.Offset(len(q.entries)) || x.Next(id) != next {
			t.Fatalf("queue %v has bounds %d, %d, expected %d and %d entries", id, first, next, q.first, len(q.entries))
		}
		from := event.Offset(rapid.Int64Range(int64(first)-1, int64(next)+1).Draw(t, "from"))
		dst := make([]queue.Entry, rapid.IntRange(0, len(q.entries)+1).Draw(t, "room"))
		n, err := x.Lookup(id, from, dst)
		if err != nil {
			t.Fatal(err)
		}
		dst = dst[:n]
		want := q.entries[:0]
		if from >= first && from < next {
			want = q.entries[from-first:]
			want = want[:min(cap(dst), len(want))]
		}
		if diff := gocmp.Diff(append([]queue.Entry{}, want...), append([]queue.Entry{}, dst...)); diff != "" {
			t.Fatalf("queue %v from %d: %s", id, from, diff)
		}
		checkBlock(t, x, id, q, rapid.Int64().Draw(t, "any time"))
		if len(q.times) > 0 {
			ms := rapid.SampledFrom(q.times).Draw(t, "time") + rapid.Int64Range(-1, 1).Draw(t, "beside")
			checkBlock(t, x, id, q, ms)
		}
	}
}

func checkBlock(t *rapid.T, x *queue.Index, id event.Queue, q *twinQueue, ms int64) {
	from, to, err := x.BlockAt(id, ms)
	if err != nil || from < q.first || to < from || to > q.first+event.Offset(len(q.times)) {
		t.Fatalf("queue %v at %d ms: block %d to %d, %v", id, ms, from, to, err)
	}
	for i, time := range q.times {
		offset := q.first + event.Offset(i)
		if offset < from && time >= ms || offset >= to && time < ms {
			t.Fatalf("queue %v at %d ms: block %d to %d, but offset %d has %d ms", id, ms, from, to, offset, time)
		}
	}
}

func TestTheIndexAnswersLikeItsSimpleTwin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, m := queue.New(queue.DefaultRunBytes), twin{}
		steps := projectiontest.Logs().Draw(t, "log")
		every := rapid.IntRange(1, len(steps)).Draw(t, "drop after this many events")
		for i, s := range steps {
			projectiontest.Apply(x, steps[i:i+1])
			m.apply(s)
			if i%every == every-1 {
				base := steps[rapid.IntRange(0, i).Draw(t, "trimmed")].At.Segment
				x.DropSegment(base, nil)
				m.drop(base)
				compareWithTwin(t, x, m)
			}
		}
		compareWithTwin(t, x, m)
	})
}

// message returns an event of queue q as it is in the log.
func message(q event.Queue, tag int32) event.Event {
	d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: q.Topic, Queue: q.ID, Tag: tag}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func TestEveryOffsetOfALongQueueIsFoundAcrossChunksAndSegments(t *testing.T) {
	t.Parallel()
	x, q := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1, ID: 2}
	const count, perSegment = 10_000, 2_500
	for i := range count {
		x.Apply(projection.Place{Index: event.Index(i + 1), Position: event.Position(24 * i), Timestamp: int64(i / 10),
			Segment: event.Position(24 * (i / perSegment * perSegment)), FrameOffset: uint32(i)}, message(q, int32(i)))
	}
	var dst [7]queue.Entry
	for from := range event.Offset(count) {
		n, err := x.Lookup(q, from, dst[:])
		if err != nil || n != min(len(dst), count-int(from)) {
			t.Fatalf("%d entries from %d on", n, from)
		}
		for i, e := range dst[:n] {
			at := int(from) + i
			if e.Tag != int32(at) || e.Position != event.Position(24*at) || e.FrameOffset != uint32(at) || e.Segment != event.Position(24*(at/perSegment*perSegment)) {
				t.Fatalf("offset %d: %+v", at, e)
			}
		}
	}
	for ms := range int64(count / 10) {
		if from, to, err := x.BlockAt(q, ms); err != nil || from > event.Offset(10*ms) || to < event.Offset(10*ms) {
			t.Fatalf("%d ms: block %d to %d, expected one with %d; %v", ms, from, to, 10*ms, err)
		}
	}
}

func TestCountersSurviveWhenAllSegmentsAreDropped(t *testing.T) {
	t.Parallel()
	x, q := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1}
	for i := range 5 {
		x.Apply(projection.Place{Position: event.Position(24 * i)}, message(q, 0))
	}
	for range 2 {
		x.DropSegment(1000, nil)
		if first, next := x.Bounds(q); first != 5 || next != 5 {
			t.Fatalf("bounds %d, %d, expected 5, 5", first, next)
		}
		if from, to, _ := x.BlockAt(q, math.MaxInt64); from != 5 || to != 5 {
			t.Fatalf("block %d to %d, expected 5 to 5", from, to)
		}
	}
	x.Apply(projection.Place{Position: 1000, Segment: 1000}, message(q, 9))
	var dst [2]queue.Entry
	if n, _ := x.Lookup(q, 5, dst[:]); n != 1 || dst[0].Tag != 9 {
		t.Fatalf("found %d entries, %+v", n, dst[0])
	}
}

func TestADeletedTopicStartsAfresh(t *testing.T) {
	t.Parallel()
	x, gone, kept := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1, ID: 7}, event.Queue{Topic: 2, ID: 7}
	x.Apply(projection.Place{}, message(gone, 0))
	x.Apply(projection.Place{Position: 24}, message(kept, 0))
	deletion := event.Draft{Kind: event.KindTopicDeleted, Topic: 1}
	b := make([]byte, deletion.EncodedBytes())
	deletion.Encode(b, 0)
	x.Apply(projection.Place{Position: 48}, event.Event(b))
	if x.Next(gone) != 0 || x.Next(kept) != 1 {
		t.Fatalf("next offsets %d and %d, expected 0 and 1", x.Next(gone), x.Next(kept))
	}
}

func TestAnUnknownQueueIsEmpty(t *testing.T) {
	t.Parallel()
	x, q := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1}
	first, next := x.Bounds(q)
	from, to, _ := x.BlockAt(q, 5)
	if n, _ := x.Lookup(q, 0, make([]queue.Entry, 1)); n != 0 || first != 0 || next != 0 || from != 0 || to != 0 || x.Next(q) != 0 {
		t.Fatalf("found %d entries, bounds %d, %d, block %d to %d", n, first, next, from, to)
	}
}

func TestAnImpossiblePlacePanicsWithBothSides(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]projection.Place{
		"BUG: event at position 4 is said to stand in the segment at 5":          {Position: 4, Segment: 5},
		"BUG: event at position 4294967296 is said to stand in the segment at 0": {Position: 1 << 32},
		"the index has reached the segment at 500":                               {Position: 600, Segment: 400},
	} {
		func() {
			x := queue.New(queue.DefaultRunBytes)
			x.Apply(projection.Place{Position: 500, Segment: 500}, message(event.Queue{Topic: 1, ID: 2}, 0))
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("panic %q, expected one with %q", got, want)
				}
			}()
			x.Apply(at, message(event.Queue{Topic: 1, ID: 2}, 0))
		}()
	}
}
