package queue_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// fill gives each of queues queues the same number of events, in turn.
func fill(x *queue.Index, queues, each int) {
	events := make([]event.Event, queues)
	for i := range events {
		events[i] = message(event.Queue{Topic: event.TopicID(1 + i/8), ID: uint32(i % 8)}, 0)
	}
	for i := range queues * each {
		x.Apply(projection.Place{Position: event.Position(24 * i), Timestamp: int64(i)}, events[i%queues])
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Not parallel: the heap must be this test's alone.
func TestAHundredThousandQueuesTakeAtMost60Megabytes(t *testing.T) {
	before := heapBytes()
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 100_000, 4)
	used := heapBytes() - before
	t.Logf("%d bytes a queue", used/100_000)
	if used > 60<<20 {
		t.Fatalf("%d bytes", used)
	}
	runtime.KeepAlive(x)
}

func TestALongQueueTakesAtMostTwiceItsEntries(t *testing.T) {
	const count = 500_000
	before := heapBytes()
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 1, count)
	used := heapBytes() - before
	t.Logf("%.1f bytes an entry", float64(used)/count)
	if used > 2*16*count {
		t.Fatalf("%d bytes", used)
	}
	runtime.KeepAlive(x)
}

func TestLookingUpAllocatesNothing(t *testing.T) {
	x, q := queue.New(queue.DefaultRunBytes), event.Queue{Topic: 1}
	fill(x, 1, 5000)
	var dst [32]queue.Entry
	if n := testing.AllocsPerRun(100, func() {
		if n, err := x.Lookup(q, 1010, dst[:]); n != len(dst) || err != nil {
			t.Error("nothing found")
		}
		x.Bounds(q)
		_, _, _ = x.BlockAt(q, 2000)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestTrimmingQueuesWithoutEntriesAllocatesNothingPerQueue(t *testing.T) {
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 100, 3)
	x.DropSegment(1<<40, nil)
	if n := testing.AllocsPerRun(10, func() { x.DropSegment(1<<40, nil) }); n > 10 {
		t.Fatalf("%v allocations for 100 queues", n)
	}
}

func TestApplyingAllocatesLessThanOnceInAHundredEvents(t *testing.T) {
	x, e, at := queue.New(queue.DefaultRunBytes), message(event.Queue{Topic: 1}, 0), projection.Place{}
	fill(x, 1, 1024)
	if n := testing.AllocsPerRun(10, func() {
		for range 10_000 {
			x.Apply(at, e)
		}
	}); n > 100 {
		t.Fatalf("%v allocations for 10,000 events", n)
	}
}

func TestAQueueWithOneEventInARunCostsTwoAllocations(t *testing.T) {
	const queues = 1000
	x, at := queue.New(1), int64(0)
	events := make([]event.Event, queues)
	for i := range events {
		events[i] = message(event.Queue{Topic: 1, ID: uint32(i)}, 0)
	}
	round := func() {
		sealed := x.Advance(queue.Frame{Index: event.Index(at + 1), Offset: at})
		for i := range uint32(queues) {
			x.Apply(projection.Place{Position: event.Position(at), FrameOffset: uint32(at)}, events[i])
			at++
		}
		if sealed != nil {
			x.Forget(sealed)
		}
	}
	round()
	n := testing.AllocsPerRun(1, round)
	for range 4 {
		n = min(n, testing.AllocsPerRun(1, round))
	}
	if n > 2.1*queues {
		t.Fatalf("%v allocations for %d queues", n, queues)
	}
}

func benchmarkApply(b *testing.B, queues int) {
	events := make([]event.Event, queues)
	for i := range events {
		events[i] = message(event.Queue{Topic: event.TopicID(1 + i/8), ID: uint32(i % 8)}, int32(i))
	}
	x, at := queue.New(queue.DefaultRunBytes), projection.Place{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		// A segment of 1 GiB with records of 1 KiB; four stay in memory.
		if i%(1<<20) == 0 {
			at.Segment = at.Position
			x.DropSegment(event.Position(max(0, int64(at.Position)-4<<30)), nil)
		}
		at.Timestamp = int64(i / 1000)
		x.Apply(at, events[i%queues])
		at.Position += 1024
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkApplyTo8Queues(b *testing.B)      { benchmarkApply(b, 8) }
func BenchmarkApplyTo100000Queues(b *testing.B) { benchmarkApply(b, 100_000) }

func BenchmarkLookupOf32(b *testing.B) {
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 8, 100_000)
	var dst [32]queue.Entry
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = x.Lookup(event.Queue{Topic: 1, ID: uint32(i % 8)}, event.Offset(i*7919%99_000), dst[:])
	}
}

func BenchmarkBounds100000Queues(b *testing.B) {
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 100_000, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i * 7919 % 100_000
		x.Bounds(event.Queue{Topic: event.TopicID(1 + n/8), ID: uint32(n % 8)})
	}
}

func BenchmarkCheckpointOfAMillionEntries(b *testing.B) {
	x := queue.New(queue.DefaultRunBytes)
	fill(x, 8, 125_000)
	for b.Loop() {
		if err := x.Checkpoint(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
