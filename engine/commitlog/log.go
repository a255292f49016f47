package commitlog

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Log is one open copy of the log. Append has one caller at a time; everything
// else is safe for concurrent use.
type Log struct {
	opts  Options
	disk  disk.Disk
	meta  Meta
	seed  event.Seed
	block int
	lock  interface{ Close() error }

	tail     *tail
	segments atomic.Pointer[[]*segment] // immutable; replaced whole
	history  *history
	flusher  *flusher
	keeper   *keeper
	arena    *disk.Arena
	meters   meters

	cutAfter event.Index // while opening: a Truncate to here is to be finished

	// The appender's state, guarded by tail.mu.
	end      chain
	endAt    int64 // file offset after the last frame
	mayskip  int   // bytes that frames may skip to begin in a block of their own
	failed   error
	closed   bool
	appended atomic.Uint64
	written  atomic.Uint64
	durable  atomic.Uint64

	waitMu  sync.Mutex
	waiting *sync.Cond

	trimming sync.Mutex

	loss atomic.Pointer[Loss] // nil for none

	repairing sync.Mutex // held while the log looks for damage and repairs it
	unmended  unmended   // guarded by repairing
	ticks     atomic.Uint64
}

// Batch is the data of one frame.
type Batch struct {
	Kind      FrameKind
	Term      event.Term
	Events    int
	Timestamp int64 // raised to the frame's before, so that time never goes back
	Data      []byte
	// Sum of the events in Data, where the caller has summed them up as it made
	// them.
	Sum Sum
	// Lease that Data is in, if any.
	Lease Lease

	crc uint32 // of Data, taken before the lock
}

// Ticket tells where a batch was placed.
type Ticket struct {
	Index     event.Index
	Position  event.Position // of the first data byte
	Timestamp int64
}

// Meta is the identity of the log.
func (l *Log) Meta() Meta { return l.meta }

// Seed is the checksum seed of this log, needed to encode and verify events.
func (l *Log) Seed() event.Seed { return l.seed }

// DataBytesMax is the most data that one Append accepts.
func (l *Log) DataBytesMax() int { return l.opts.dataBytesMax() }

// Marks returns the current marks. Each is read on its own; the order
// Durable ≤ Written ≤ Appended holds between them.
func (l *Log) Marks() Marks {
	d := event.Index(l.durable.Load())
	w := event.Index(l.written.Load())
	return Marks{Durable: d, Written: w, Appended: event.Index(l.appended.Load())}
}

// End returns index, term and position after the last appended frame.
func (l *Log) End() (event.Index, event.Term, event.Position) {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	return l.end.index, l.end.term, l.end.position
}

// First returns the index and position at which the log begins.
func (l *Log) First() (event.Index, event.Position) {
	s := (*l.segments.Load())[0]
	return s.first(), s.base()
}

// Base is the frame before the first that the log holds.
func (l *Log) Base() Base { return (*l.segments.Load())[0].start.base() }

// Append places a batch in the order, in memory, and returns without waiting
// for the disk. It has one caller at a time. Data that isn't leased is copied.
func (l *Log) Append(b Batch) (Ticket, error) {
	one := [1]Batch{b}
	return l.AppendAll(one[:])
}

// AppendAll places batches one behind the other, so that the flusher takes
// them together: one write as far as they fit in one. It returns the ticket of
// the last one placed; after an error that may be an earlier one, or none.
func (l *Log) AppendAll(batches []Batch) (last Ticket, err error) {
	for i := range batches {
		batches[i].crc = batches[i].sum(l.seed)
	}
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	for i := range batches {
		b := &batches[i]
		if err := l.acceptableLocked(b); err != nil {
			return last, fmt.Errorf("append: %w", err)
		}
		if err := l.prepareRollLocked(len(b.Data)); err != nil {
			return last, fmt.Errorf("append: %w", err)
		}
		h := Header{
			Kind: b.Kind, DataBytes: uint32(len(b.Data)), Events: uint32(b.Events), Term: b.Term,
			DataCRC: b.crc, DurableWhenBuilt: event.Index(l.durable.Load()),
		}
		if !l.placeLocked(&h, b) {
			return last, fmt.Errorf("append: %w", l.usableLocked())
		}
		last = Ticket{Index: h.Index, Position: h.Position, Timestamp: h.Timestamp}
	}
	return last, nil
}

func (l *Log) acceptableLocked(b *Batch) error {
	if len(b.Data) == 0 || !b.Kind.known() {
		return fmt.Errorf("%v frame with %d data bytes; a frame has a known kind and at least one byte", b.Kind, len(b.Data))
	}
	if most := l.opts.dataBytesMax(); len(b.Data) > most {
		return fmt.Errorf("%d bytes: %w; at most %d are allowed with this segment and tail size", len(b.Data), ErrTooLarge, most)
	}
	if b.Term < l.end.term {
		return fmt.Errorf("term %d after term %d", b.Term, l.end.term)
	}
	return l.usableLocked()
}

// prepareRollLocked makes sure that there is a file for the next segment before
// a frame is placed in it: a full disk refuses the batch, and nothing is
// stored. It lets go of the lock while it works on the disk.
func (l *Log) prepareRollLocked(dataBytes int) error {
	last, end := l.lastSegment(), l.endAt+int64(frameBytes(dataBytes))
	if end <= last.bytes {
		if end > last.bytes-l.heldBack() && !last.unmade() && !l.keeper.knows() {
			l.tail.mu.Unlock()
			_ = l.keeper.prepare() // this frame has room; those who ask Room are told
			l.tail.mu.Lock()
		}
		return l.usableLocked()
	}
	if l.lastSegment().unmade() { // the tail is shorter than a segment
		panic("BUG: commitlog: what waits to be written reaches over two ends of segments")
	}
	l.tail.mu.Unlock()
	err := l.keeper.prepare()
	l.tail.mu.Lock()
	if errors.Is(err, disk.ErrNoSpace) {
		return fmt.Errorf("%w: %w; free space or shorten the retention", ErrDiskFull, err)
	}
	return errors.Join(err, l.usableLocked())
}

func (l *Log) usableLocked() error {
	if l.failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	if l.closed {
		return ErrClosed
	}
	return nil
}

// placeLocked builds the frame in the tail. It reports false when the log
// failed while the tail was full.
func (l *Log) placeLocked(h *Header, b *Batch) bool {
	n := frameBytes(len(b.Data))
	s := l.lastSegment()
	if l.endAt+int64(n) > s.bytes {
		s = l.rollLocked()
	}
	at := l.startLocked(s, n)
	c, frame := l.frameRoomLocked(s, b, at, n)
	if c == nil {
		return false
	}
	h.Index, h.Position, h.Chain = l.end.index+1, l.end.position, l.end.crc
	h.Timestamp = max(b.Timestamp, l.end.timestamp)
	h.put(frame, l.seed)
	clear(frame[headerBytes+len(b.Data):])
	c.frames = append(c.frames, frameRef{header: *h, at: len(c.buf) - n})
	s.note(h, at)
	l.end, l.endAt = l.end.next(h), at+int64(n)
	l.appended.Store(uint64(h.Index))
	l.meters.batchEvents.observe(int64(h.Events))
	l.meters.batchBytes.observe(int64(h.DataBytes))
	if !l.flusher.asking.Load() {
		l.flusher.wake()
	}
	return true
}

// startLocked is the file offset at which a frame of n bytes begins: behind the
// one before or, to be written beside it, at the next block. What that skips is
// bounded by a share of all bytes, so that the log stays dense at every load.
func (l *Log) startLocked(s *segment, n int) int64 {
	l.mayskip = min(l.mayskip+n/skipShare+skipFrameBytes, skipBytesMax)
	if n < alignedStartBytes || l.tail.openLocked() != nil {
		return l.endAt
	}
	at := int64(roundUp(int(l.endAt), l.block))
	skip := int(at - l.endAt)
	if at+int64(n) > s.bytes || skip > l.mayskip {
		return l.endAt
	}
	l.mayskip -= skip
	return at
}

func (l *Log) lastSegment() *segment {
	all := *l.segments.Load()
	return all[len(all)-1]
}

// rollLocked seals the last segment and begins the next. The flusher makes its
// file before it writes the first chunk.
func (l *Log) rollLocked() *segment {
	s := &segment{start: l.end, bytes: l.opts.SegmentBytes}
	old := *l.segments.Load()
	old[len(old)-1].sealedAt = l.endAt
	all := append(old[:len(old):len(old)], s)
	l.segments.Store(&all)
	l.endAt = int64(l.block)
	return s
}

// heldBackShare is the part of a segment that is held back on a full disk, for
// what gives space back.
const heldBackShare = 8

// heldBack is how much of the last segment Room leaves out.
func (l *Log) heldBack() int64 {
	return max(l.opts.SegmentBytes/heldBackShare, int64(l.opts.dataBytesMax()))
}

// Room is how many bytes of data can still be appended: where the disk has no
// space for another segment, what is left of the last one but for the part that
// is held back. It errs on the low side; math.MaxInt64 means that there is space
// for another segment.
func (l *Log) Room() int64 { return l.roomBut(l.heldBack()) }

// lastWordBytes are left when everything else is used up: for the decision to
// trim.
const lastWordBytes = 64 << 10

// RoomToFree is Room for what has to be stored before space can be freed: it
// may use what is held back.
func (l *Log) RoomToFree() int64 {
	return l.roomBut(min(lastWordBytes, int64(l.opts.dataBytesMax())/2))
}

func (l *Log) roomBut(bytes int64) int64 {
	if !l.keeper.full() {
		return math.MaxInt64
	}
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	return max(0, l.lastSegment().bytes-l.endAt-bytes)
}

// Mark names one of the marks to Wait for.
type Mark uint8

// The marks of one copy of the log.
const (
	Written Mark = iota
	Durable
)

// Wait blocks until the mark has passed the ticket. With FlushOnRequest,
// waiting for Durable needs somebody to call Flush.
func (l *Log) Wait(t Ticket, m Mark) error {
	mark := &l.written
	if m == Durable {
		mark = &l.durable
	}
	l.waitMu.Lock()
	defer l.waitMu.Unlock()
	for event.Index(mark.Load()) < t.Index {
		l.tail.mu.Lock()
		err := l.usableLocked()
		l.tail.mu.Unlock()
		if err != nil {
			return fmt.Errorf("wait for frame %d: %w", t.Index, err)
		}
		l.waiting.Wait()
	}
	return nil
}

// Flush asks for everything appended so far to become Durable and doesn't
// wait for it.
func (l *Log) Flush() { l.flusher.requestSync() }

// Wake tells the flusher that Source has something.
func (l *Log) Wake() { l.flusher.wake() }

// Tick drives what happens about once a second, off the hot path: the mark
// file and the pace of the zero-fill.
func (l *Log) Tick() {
	l.ticks.Add(1)
	l.keeper.tick()
}

// moved publishes new marks.
func (l *Log) moved() {
	l.waitMu.Lock()
	l.waiting.Broadcast()
	l.waitMu.Unlock()
	l.opts.OnMarks()
}

// fail latches the first error and ends the process.
func (l *Log) fail(err error) {
	l.tail.mu.Lock()
	if l.failed == nil {
		l.failed = err
	}
	l.tail.breakLocked()
	l.tail.mu.Unlock()
	l.waitMu.Lock()
	l.waiting.Broadcast()
	l.waitMu.Unlock()
	l.opts.Fatal(fmt.Errorf("commit log %s: %w; the state of the file is unknown now, restart to recover", l.disk.Path(), err))
}

// scratch is aligned memory for one block-sized read or write outside the hot path.
func (l *Log) scratch(n int) []byte { return alignedBytes(roundUp(n, l.block), l.block) }
