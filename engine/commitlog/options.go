package commitlog

import (
	"fmt"
	"log/slog"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// FlushPolicy says when the log syncs what it has written.
type FlushPolicy uint8

const (
	// FlushAtOnce: a sync follows every write, one in flight at a time, each
	// covering all writes that completed before it.
	FlushAtOnce FlushPolicy = iota
	// FlushOnRequest: only Flush, sealing a segment and Close sync.
	FlushOnRequest
)

// FlushMethod says how written bytes are made durable.
type FlushMethod uint8

const (
	// FlushFdatasync writes, then calls fdatasync.
	FlushFdatasync FlushMethod = iota
	// FlushDsync writes with RWF_DSYNC; for devices with FUA or power-loss protection.
	FlushDsync
)

// Options of a log. The zero value of a field takes the default named there.
type Options struct {
	Disk disk.Disk

	// Create is what a new log begins with. An existing log ignores it.
	Create Creation

	// Node is the node that opens the log: the folder of another is refused.
	// Zero opens the folder of any node.
	Node [16]byte

	// SegmentBytes is the size of new segments; 0 means DefaultSegmentBytes.
	// Those that exist keep theirs.
	SegmentBytes int64
	// TailBytes is the memory for what isn't written yet and the latest that
	// is. 0 means DefaultTailBytes, less with small segments and more with large
	// events.
	TailBytes    int
	HistoryBytes int // DefaultHistoryBytes
	// EventBytesMax is the largest event that must fit, envelope included: sizes
	// that don't let it in are refused. 0 asks for nothing.
	EventBytesMax int
	Policy        FlushPolicy
	Method        FlushMethod

	// Source is called by the flusher whenever it could write more and nothing
	// is waiting. It calls Append once, if it has atLeast bytes of data.
	Source func(atLeast int)
	// OnMarks is called by the flusher after Written or Durable moved.
	OnMarks func()
	// Copies lists other copies of the log, from which frames are fetched that are
	// damaged here, each as it is read. nil: there are none, and who reads a
	// damaged frame gets ErrCorrupt. It is called while the log is being opened,
	// too.
	Copies func() []Copy
	// OnRepair is told of frames that were replaced.
	OnRepair func(Repair)
	// Boot names the time since the machine was started; 0 means disk.Boot.
	Boot [16]byte
	// Clock is a monotonic time in nanoseconds, for Stats alone; nil counts no
	// durations.
	Clock func() int64
	// Fatal ends the process after a failed write or sync. It should not
	// return; the default panics.
	Fatal func(error)
	// Log gets the few lines that an operator needs.
	Log *slog.Logger
}

// Creation is the identity and the beginning of a new log.
type Creation struct {
	Meta Meta
	// Configuration is the Raft configuration that names this node as the only
	// voter, as hashicorp/raft encodes it. It becomes the frame at index 1, term
	// 1. Without one the log begins empty after Base: a replica gets its frames
	// from others.
	Configuration []byte
	// Base is where a log without Configuration begins.
	Base Base
	// Timestamp of the first frame in Unix milliseconds.
	Timestamp int64
}

// Base is the place at which a log begins: the frame before the first one that
// it holds. The zero value is the beginning of everything.
type Base struct {
	Index     event.Index
	Term      event.Term
	Position  event.Position // after the frame
	Timestamp int64
	Chain     uint32 // the frame's header checksum
}

func (b Base) chain() chain {
	return chain{index: b.Index, term: b.Term, position: b.Position, timestamp: b.Timestamp, crc: b.Chain}
}

func (c chain) base() Base {
	return Base{Index: c.index, Term: c.term, Position: c.position, Timestamp: c.timestamp, Chain: c.crc}
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.TailBytes == 0 {
		o.TailBytes = o.defaultTailBytes()
	}
	if o.HistoryBytes == 0 {
		o.HistoryBytes = DefaultHistoryBytes
	}
	if o.Source == nil {
		o.Source = func(int) {}
	}
	if o.OnMarks == nil {
		o.OnMarks = func() {}
	}
	if o.Boot == ([16]byte{}) {
		o.Boot = disk.Boot()
	}
	if o.OnRepair == nil {
		o.OnRepair = func(Repair) {}
	}
	if o.Clock == nil {
		o.Clock = func() int64 { return 0 }
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic("FATAL: " + err.Error()) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	block := int64(o.Disk.BlockBytes())
	switch {
	case o.SegmentBytes < 16*block || o.SegmentBytes > 1<<32-block || o.SegmentBytes%block != 0:
		return fmt.Errorf("open log: segment size %d is not allowed; use a multiple of %d from %d to %d",
			o.SegmentBytes, block, 16*block, int64(1)<<32-block)
	case o.TailBytes < 8*int(block) || o.TailBytes%int(block) != 0:
		return fmt.Errorf("open log: tail of %d bytes is not allowed; use a multiple of %d from %d", o.TailBytes, block, 8*block)
	case o.EventBytesMax < 0 || o.EventBytesMax > frameDataBytesMax:
		return fmt.Errorf("open log: events of %d bytes are not allowed; use at most %d", o.EventBytesMax, frameDataBytesMax)
	case o.SegmentBytes < SegmentBytesMin(o.EventBytesMax):
		return fmt.Errorf("open log: segments of %d bytes are too small for events of %d; use at least %d, or smaller events",
			o.SegmentBytes, o.EventBytesMax, SegmentBytesMin(o.EventBytesMax))
	case o.dataBytesMax() < o.EventBytesMax:
		return fmt.Errorf("open log: a tail of %d bytes is too small for events of %d; use at least %d",
			o.TailBytes, o.EventBytesMax, tailBytesMin(o.EventBytesMax))
	case int64(o.TailBytes)+int64(frameBytes(o.dataBytesMax()))+block > o.SegmentBytes:
		// What waits to be written may then reach over two ends of segments, and
		// there is room made sure of for one.
		return fmt.Errorf("open log: a tail of %d bytes is not allowed with segments of %d; it must be shorter by a frame and a block: use at most %d",
			o.TailBytes, o.SegmentBytes, o.SegmentBytes/4*3/block*block)
	case o.HistoryBytes < historyBlockBytes:
		return fmt.Errorf("open log: history cache of %d bytes is not allowed; use at least %d", o.HistoryBytes, historyBlockBytes)
	}
	return nil
}

// sizeUnit is a multiple of every block size.
const sizeUnit = 64 << 10

// tailBytesMin is the smallest tail that takes events of a size: four frames of
// one event, so that some can gather while others are on their way.
func tailBytesMin(eventBytes int) int {
	return 4 * roundUp(frameBytes(eventBytes)+frameAlignBytes, sizeUnit)
}

// SegmentBytesMin is the smallest segment that a log of events of up to so many
// bytes may have, 0 where nothing is known about them. It is more than four of
// the largest.
func SegmentBytesMin(eventBytes int) int64 {
	if eventBytes <= 0 {
		return 0
	}
	return int64(tailBytesMin(eventBytes)/4*5 + sizeUnit)
}

// defaultTailBytes is half a segment at most, but room for the largest event.
func (o Options) defaultTailBytes() int {
	block := int64(o.Disk.BlockBytes())
	half := int(min(DefaultTailBytes, o.SegmentBytes/2/block*block))
	if o.EventBytesMax == 0 {
		return half
	}
	return max(half, tailBytesMin(o.EventBytesMax))
}

// dataBytesMax is the largest batch that segment and tail can hold.
func (o Options) dataBytesMax() int {
	return int(min(int64(o.TailBytes/4), o.SegmentBytes/4, frameDataBytesMax)) - headerBytes - frameAlignBytes
}

// Marks are the progress of one copy of the log, as indexes of its last frames:
// Durable ≤ Written ≤ Appended.
type Marks struct {
	Appended event.Index // placed in the order, in memory
	Written  event.Index // the write completed: survives the death of the process
	Durable  event.Index // synced: survives a power cut
}
