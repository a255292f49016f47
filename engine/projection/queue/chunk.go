package queue

import (
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	chunkEntriesMin = 8
	chunkEntriesMax = 1024
	blockEntries    = 64
)

// A full chunk ends with a full block, so blocks count from the run's start.
const _ = -uint(chunkEntriesMax % blockEntries)

// packed is an entry as it is kept: the queue's chunk knows the rest.
type packed struct {
	frameOffset uint32
	bytes       uint32
	tag         int32
	position    uint32 // relative to the segment's base
}

// chunk holds consecutive entries of one queue in one segment. The applier
// fills entries[count] and times before it stores count; readers look at
// nothing past the count they loaded.
type chunk struct {
	first   event.Offset
	segment event.Position
	count   atomic.Uint32
	entries []packed
	times   []int64 // of entries 0, 64, 128 …
}

func newChunk(first event.Offset, segment event.Position, room int) *chunk {
	return &chunk{
		first:   first,
		segment: segment,
		entries: make([]packed, room),
		times:   make([]int64, (room+blockEntries-1)/blockEntries),
	}
}

// grown copies c into a chunk of the given segment with more room. The
// segment may differ from c's only when c is empty.
func (c *chunk) grown(segment event.Position) *chunk {
	g := newChunk(c.first, segment, max(chunkEntriesMin, 2*len(c.entries)))
	n := c.count.Load()
	copy(g.entries, c.entries[:n])
	copy(g.times, c.times)
	g.count.Store(n)
	return g
}

func (c *chunk) full() bool { return int(c.count.Load()) == len(c.entries) }

// end is the offset after the chunk's last entry.
func (c *chunk) end() event.Offset { return c.first + event.Offset(c.count.Load()) }

// put adds an entry to a chunk that has room.
func (c *chunk) put(p packed, timestamp int64) {
	n := c.count.Load()
	c.entries[n] = p
	if n%blockEntries == 0 {
		c.times[n/blockEntries] = timestamp
	}
	c.count.Store(n + 1)
}

// read copies entries from offset from on, which is not before the chunk, to
// dst and returns how many.
func (c *chunk) read(from event.Offset, dst []Entry) int {
	at, count := int64(from-c.first), int64(c.count.Load())
	if at >= count {
		return 0
	}
	stored := c.entries[at:count]
	n := min(len(stored), len(dst))
	for i, p := range stored[:n] {
		dst[i] = Entry{
			Segment:     c.segment,
			FrameOffset: p.frameOffset,
			Bytes:       p.bytes,
			Tag:         p.tag,
			Position:    c.segment + event.Position(p.position),
		}
	}
	return n
}

// startsBefore reports whether the chunk's first entry is older than ms.
func (c *chunk) startsBefore(ms int64) bool { return c.count.Load() > 0 && c.times[0] < ms }

// blockBefore returns the bounds of the last block whose first entry is older
// than ms. The chunk's first block is.
func (c *chunk) blockBefore(ms int64) (from, to event.Offset) {
	count := int(c.count.Load())
	blocks := (count + blockEntries - 1) / blockEntries
	b := sort.Search(blocks, func(i int) bool { return c.times[i] >= ms }) - 1
	return c.first + event.Offset(b*blockEntries), c.first + event.Offset(min((b+1)*blockEntries, count))
}
