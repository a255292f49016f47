package commitlog

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func TestValuesAreCountedInTheirBucket(t *testing.T) {
	t.Parallel()
	h := histogram{bounds: []int64{1, 10, 100}}
	for _, v := range []int64{0, 1, 2, 10, 11, 100, 101, 1000} {
		h.observe(v)
	}
	d := h.distribution()
	if want := [4]uint64{2, 2, 2, 2}; [4]uint64(d.Counts) != want || d.Sum != 1225 {
		t.Errorf("counts %v, sum %d; want %v, 1225", d.Counts, d.Sum, want)
	}
	for _, bounds := range [][]int64{durationBounds, sizeBounds, countBounds} {
		if len(bounds)+1 > bucketsMax {
			t.Errorf("%d bounds, %d buckets", len(bounds), bucketsMax)
		}
	}
}

func TestStatsCountWhatTheLogDoes(t *testing.T) {
	t.Parallel()
	o := testOptions(t, simdisk.New(1, simdisk.Options{}))
	o.SegmentBytes, o.TailBytes = 128<<10, 64<<10
	var now atomic.Int64
	o.Clock = func() int64 { return now.Add(1000) }
	l, _ := mustOpen(t, o)
	// A writer may stay ahead of the zero-fill, which then finds nothing to do.
	for deadline := time.Now().Add(time.Minute); l.Stats().FillBytes == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("nothing was filled ahead of an empty log")
		}
	}
	for round := range 3 {
		appendMany(t, l, round*300, 300, 1000)
		if err := l.Trim(l.lastSegment().start.index); err != nil {
			t.Fatal(err)
		}
	}
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	first, _ := l.First()
	if err := l.NewReader().Frame(first, func(Frame) error { return nil }); err != nil {
		t.Fatal(err)
	}
	s := l.Stats()
	count := func(d Distribution) (n uint64) {
		for _, c := range d.Counts {
			n += c
		}
		return n
	}
	if count(s.BatchEvents) != 900 || s.BatchEvents.Sum != 900 || s.BatchBytes.Sum < 900*1000 || s.FrameBytes < 900*1000 {
		t.Errorf("batches: %+v, %+v, %d bytes written", s.BatchEvents, s.BatchBytes, s.FrameBytes)
	}
	if count(s.Sync) == 0 || s.Sync.Sum < 1000 || count(s.Write) != count(s.WriteBytes) || s.Write.Sum < 1000 {
		t.Errorf("sync %+v, write %+v", s.Sync, s.Write)
	}
	if s.FillBytes == 0 || s.TornTails != 0 || s.DiskFull {
		t.Errorf("stats %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
