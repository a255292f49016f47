package engine

import (
	"runtime"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// bulk appends frames of perFrame messages with bodies of bodyBytes, spread
// over queues in turn, until count messages are stored.
func bulk(t testing.TB, e *Engine, queues, perFrame, count, bodyBytes int) {
	t.Helper()
	body := event.Bytes(make([]byte, bodyBytes))
	drafts := make([]event.Draft, perFrame)
	for n := 0; n < count; n += perFrame {
		for i := range drafts {
			q := (n + i) % queues
			drafts[i] = event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: event.TopicID(1 + q/8), Queue: uint32(q % 8),
				Keys: []uint64{uint64(n+i) * 0x9E3779B97F4A7C15}, Payload: body}
		}
		if _, err := e.Append(int64(2000+n), drafts...); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, e)
}

func diskOptions(t testing.TB) Options {
	t.Helper()
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(d, 1)
	o.Log.SegmentBytes, o.Log.TailBytes, o.Log.HistoryBytes = 32<<20, 8<<20, 8<<20
	o.RunBytes, o.IndexCacheBytes = 8<<20, DefaultIndexCacheBytes
	o.CommitAt, o.FlushInterval = CommitWritten, time.Minute
	return o
}

// Not parallel: the heap must be this test's alone.
func TestAHundredThousandQueuesTakeAtMost200MegabytesWithRunsAndMerges(t *testing.T) {
	o := diskOptions(t)
	e := mustOpen(t, o)
	var most uint64
	for range 3 {
		bulk(t, e, 100_000, 1000, 150_000, 100)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	mustClose(t, e)
	e = mustOpen(t, o)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d MiB of heap at most before a collection, %d MiB after a start, %d index files", most>>20, m.HeapAlloc>>20, len(e.indexer.files))
	if most > 200<<20 || m.HeapAlloc > 200<<20 {
		t.Fatalf("%d bytes while writing, %d after a start", most, m.HeapAlloc)
	}
	if n := len(e.Queues()); n != 100_000 {
		t.Fatalf("%d queues", n)
	}
	mustClose(t, e)
}

func BenchmarkRebuild(b *testing.B) {
	o := diskOptions(b)
	o.RunBytes, o.Log.SegmentBytes = 64<<20, 256<<20
	const count = 1_000_000
	e := mustOpen(b, o)
	bulk(b, e, 8, 1000, count, 200)
	mustClose(b, e)
	for b.Loop() {
		deleteIndex(b, o.Log.Disk)
		mustClose(b, mustOpen(b, o))
	}
	b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkOpen(b *testing.B) {
	o := diskOptions(b)
	e := mustOpen(b, o)
	bulk(b, e, 1000, 1000, 500_000, 1000)
	mustClose(b, e)
	for b.Loop() {
		mustClose(b, mustOpen(b, o))
	}
	b.ReportMetric(float64(len(e.indexer.files)), "files")
}

func BenchmarkReadAColdQueue(b *testing.B) {
	o := diskOptions(b)
	e := mustOpen(b, o)
	defer mustClose(b, e)
	const count, queues = 400_000, 4
	bulk(b, e, queues, 1000, count, 100)
	b.ReportAllocs()
	for b.Loop() {
		at, next := event.Offset(0), event.Offset(count/queues)
		for at < next {
			after, err := e.ReadQueue(event.Queue{Topic: 1, ID: 2}, at, ReadLimits{Count: 32, Bytes: 1 << 20, Scan: 32}, nil, func(Message) error { return nil })
			if err != nil || after == at {
				b.Fatal(at, err)
			}
			at = after
		}
	}
	b.ReportMetric(float64(b.N)*count/queues/b.Elapsed().Seconds(), "messages/s")
}
