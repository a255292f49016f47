package queue

import (
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

const (
	chunkEntriesMin = 8
	chunkEntriesMax = 1024
)

// chunk holds consecutive entries of one queue in one run. The applier fills
// entries[count] before it stores count; readers look at nothing past the
// count they loaded.
type chunk struct {
	first   event.Offset
	run     *Run // nil only where there is no entry
	count   atomic.Uint32
	entries []indexfile.Slot
}

func newChunk(first event.Offset, run *Run, room int) *chunk {
	return &chunk{first: first, run: run, entries: make([]indexfile.Slot, room)}
}

// grown copies c into a chunk of the given run with more room. The run may
// differ from c's only when c is empty.
func (c *chunk) grown(run *Run) *chunk {
	g := newChunk(c.first, run, max(chunkEntriesMin, 2*len(c.entries)))
	n := c.count.Load()
	copy(g.entries, c.entries[:n])
	g.count.Store(n)
	return g
}

func (c *chunk) full() bool { return int(c.count.Load()) == len(c.entries) }

// end is the offset after the chunk's last entry.
func (c *chunk) end() event.Offset { return c.first + event.Offset(c.count.Load()) }

// slots are the entries so far.
func (c *chunk) slots() []indexfile.Slot { return c.entries[:c.count.Load()] }

// put adds an entry to a chunk that has room.
func (c *chunk) put(s indexfile.Slot) {
	n := c.count.Load()
	c.entries[n] = s
	c.count.Store(n + 1)
}

// read copies entries from offset from on, which is not before the chunk, to
// dst and returns how many.
func (c *chunk) read(from event.Offset, dst []Entry) int {
	stored, at := c.slots(), int64(from-c.first)
	if at >= int64(len(stored)) {
		return 0
	}
	stored = stored[at:]
	n := min(len(stored), len(dst))
	for i, s := range stored[:n] {
		dst[i] = entryOf(c.run.Segment, s)
	}
	return n
}

func entryOf(segment event.Position, s indexfile.Slot) Entry {
	return Entry{
		Segment:     segment,
		FrameOffset: s.FrameOffset,
		Bytes:       s.Bytes,
		Tag:         s.Tag,
		Position:    segment + event.Position(s.Position),
	}
}

// startsBefore reports whether the chunk has an entry before a position.
func (c *chunk) startsBefore(position event.Position) bool {
	s := c.slots()
	return len(s) > 0 && c.run.Segment+event.Position(s[0].Position) < position
}

// offsetAt is the offset of the first entry at or after a position, the
// chunk's end where none is.
func (c *chunk) offsetAt(position event.Position) event.Offset {
	s := c.slots()
	return c.first + event.Offset(sort.Search(len(s), func(i int) bool {
		return c.run.Segment+event.Position(s[i].Position) >= position
	}))
}
