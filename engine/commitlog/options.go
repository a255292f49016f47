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

	SegmentBytes int64 // DefaultSegmentBytes
	TailBytes    int   // DefaultTailBytes
	HistoryBytes int   // DefaultHistoryBytes
	// FillAheadBytes is how far behind the log's end, into the next segment,
	// the file is kept ready with zeros; DefaultFillAheadBytes. It rises to what
	// the log takes in a second.
	FillAheadBytes int64
	Policy         FlushPolicy
	Method         FlushMethod

	// Source is called by the flusher whenever it could write more and nothing
	// is waiting. It calls Append once, if it has atLeast bytes of data.
	Source func(atLeast int)
	// OnMarks is called by the flusher after Written or Durable moved.
	OnMarks func()
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
		o.TailBytes = DefaultTailBytes
	}
	if o.HistoryBytes == 0 {
		o.HistoryBytes = DefaultHistoryBytes
	}
	if o.FillAheadBytes == 0 {
		o.FillAheadBytes = DefaultFillAheadBytes
	}
	if o.Source == nil {
		o.Source = func(int) {}
	}
	if o.OnMarks == nil {
		o.OnMarks = func() {}
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
	case o.TailBytes < 16*int(block) || o.TailBytes%int(block) != 0:
		return fmt.Errorf("open log: tail of %d bytes is not allowed; use a multiple of %d from %d", o.TailBytes, block, 16*block)
	case o.HistoryBytes < historyBlockBytes:
		return fmt.Errorf("open log: history cache of %d bytes is not allowed; use at least %d", o.HistoryBytes, historyBlockBytes)
	}
	return nil
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
