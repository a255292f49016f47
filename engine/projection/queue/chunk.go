package queue

import (
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

const (
	chunkEntriesMin = 4
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
	alone   *[]*chunk // the list of this chunk, nil where it was not made
}

func newChunk(first event.Offset, run *Run, room int) *chunk {
	return &chunk{first: first, run: run, entries: make([]indexfile.Slot, room)}
}

// outset is a chunk with the list in which it stands alone, made at once: with
// very many queues most get an event or two in a run, and each needs one.
type outset struct {
	chunk chunk
	list  []*chunk
	alone [1]*chunk
}

// roomyOutset is an outset whose chunk takes entries.
type roomyOutset struct {
	outset
	entries [chunkEntriesMin]indexfile.Slot
}

// pair is a list of two chunks. It is not part of either: the newer one would
// keep the older one in memory for as long as it lives.
type pair struct {
	list []*chunk
	both [2]*chunk
}

// emptyChunk returns a chunk that keeps the counter of a queue without entries
// in memory.
func emptyChunk(next event.Offset) *chunk {
	o := &outset{}
	return o.begin(next)
}

// firstChunk returns a queue's first chunk in a run.
func firstChunk(next event.Offset, run *Run) *chunk {
	o := &roomyOutset{}
	o.chunk.run, o.chunk.entries = run, o.entries[:]
	return o.begin(next)
}

func (o *outset) begin(next event.Offset) *chunk {
	o.alone[0], o.list = &o.chunk, o.alone[:]
	o.chunk.first, o.chunk.alone = next, &o.list
	return &o.chunk
}

// grown copies c into a chunk with more room.
func (c *chunk) grown() *chunk {
	g := newChunk(c.first, c.run, 2*len(c.entries))
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
