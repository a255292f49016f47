package commitlog

import (
	"slices"
	"sync/atomic"
	"time"
)

// Distribution is how often values fell between bounds, as a histogram shows it.
type Distribution struct {
	Bounds []int64  // upper bounds, ascending, inclusive
	Counts []uint64 // one for each bound, and one for larger values
	Sum    int64    // of all values
}

// Stats are counters of a log since it was opened. Durations are in
// nanoseconds; there are none without Options.Clock.
type Stats struct {
	Sync        Distribution // durations of syncs
	Write       Distribution // durations of writes of frames
	WriteBytes  Distribution // sizes of writes of frames, with what they repeat
	BatchEvents Distribution // events of a frame
	BatchBytes  Distribution // data bytes of a frame

	FrameBytes uint64 // written for frames
	FillBytes  uint64 // written as zeros ahead of the log's end
	Overruns   uint64 // writes that overtook the zero fill
	Recycled   uint64 // trimmed segments whose file was kept for the next
	TornTails  uint64 // torn tails cut at the start: 0 or 1

	Damages    uint64 // places at which frames were found damaged, with every attempt to repair them
	Repaired   uint64 // damaged frames replaced by those of another copy
	Unrepaired uint64 // attempts to repair that failed

	HistoryHits   uint64 // blocks found in the history cache
	HistoryMisses uint64 // blocks read from the disk
	HistoryBytes  uint64 // bytes read from the disk into the cache

	DiskFull bool // there is no space for another segment
}

var (
	durationBounds = []int64{
		int64(20 * time.Microsecond), int64(50 * time.Microsecond), int64(100 * time.Microsecond), int64(200 * time.Microsecond),
		int64(500 * time.Microsecond), int64(time.Millisecond), int64(2 * time.Millisecond), int64(5 * time.Millisecond),
		int64(10 * time.Millisecond), int64(20 * time.Millisecond), int64(50 * time.Millisecond), int64(100 * time.Millisecond),
		int64(500 * time.Millisecond), int64(time.Second), int64(5 * time.Second),
	}
	sizeBounds  = []int64{512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20, 16 << 20}
	countBounds = []int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000}
)

const bucketsMax = 16

// histogram counts without a lock and without allocating.
type histogram struct {
	bounds []int64
	counts [bucketsMax]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

func (h *histogram) distribution() Distribution {
	d := Distribution{Bounds: slices.Clone(h.bounds), Counts: make([]uint64, len(h.bounds)+1), Sum: h.sum.Load()}
	for i := range d.Counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// meters are what Stats shows.
type meters struct {
	sync, write, writeBytes, batchEvents, batchBytes histogram

	frameBytes, fillBytes, overruns, recycled, tornTails atomic.Uint64
	damages, repaired, unrepaired                        atomic.Uint64
}

func (m *meters) init() {
	m.sync.bounds, m.write.bounds = durationBounds, durationBounds
	m.writeBytes.bounds, m.batchBytes.bounds, m.batchEvents.bounds = sizeBounds, sizeBounds, countBounds
}

// Clock is the time of Options.Clock, by which durations are counted.
func (l *Log) Clock() int64 { return l.opts.Clock() }

// DiskFull reports whether the disk has no space for another segment.
func (l *Log) DiskFull() bool { return l.keeper.full() }

// Stats returns the counters as they are now.
func (l *Log) Stats() Stats {
	m := &l.meters
	s := Stats{
		Sync: m.sync.distribution(), Write: m.write.distribution(), WriteBytes: m.writeBytes.distribution(),
		BatchEvents: m.batchEvents.distribution(), BatchBytes: m.batchBytes.distribution(),
		FrameBytes: m.frameBytes.Load(), FillBytes: m.fillBytes.Load(), Overruns: m.overruns.Load(),
		Recycled: m.recycled.Load(), TornTails: m.tornTails.Load(), DiskFull: l.DiskFull(),
		Damages: m.damages.Load(), Repaired: m.repaired.Load(), Unrepaired: m.unrepaired.Load(),
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	s.HistoryHits, s.HistoryMisses, s.HistoryBytes = l.history.hits, l.history.misses, l.history.bytesRead
	return s
}
