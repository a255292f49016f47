package commitlog

import (
	"sort"
	"sync"

	"github.com/apogeemq/apogee/engine/event"
)

// tail is the newest part of the log in memory: a ring of chunks, each of them
// one write. Chunks stay after they are written, for readers, until the room
// is needed. One appender adds; the flusher takes chunks in order.
type tail struct {
	arena []byte
	block int

	mu     sync.Mutex
	room   *sync.Cond // chunks were written or unpinned
	chunks []*chunk   // oldest first; a window that moves over store
	store  []*chunk
	head   int      // arena offset after the newest chunk
	spare  []*chunk // chunk values for reuse

	next      int  // index in chunks of the oldest chunk not submitted
	written   int  // index in chunks of the oldest chunk not Written
	unwritten int  // arena bytes of chunks not yet Written
	leased    int  // arena bytes of leased chunks
	broken    bool // nothing will be written any more
}

type chunkState uint8

const (
	chunkOpen    chunkState = iota // frames are added
	chunkWriting                   // submitted; never modified again
	chunkWritten
	chunkLeased // memory for a frame that is not appended; always newer than all others
)

// chunk is a run of frames with consecutive file offsets: one write.
type chunk struct {
	segment *segment
	offset  int64 // in the file, of buf[0]; block-aligned
	buf     []byte
	start   int // bytes before it repeat the block that the chunk before ended in
	frames  []frameRef
	state   chunkState
	adopted bool // was leased: nothing is added to it
	pins    int
}

type frameRef struct {
	header Header
	at     int // of the header in buf
}

func newTail(arena []byte, block int) *tail {
	t := &tail{arena: arena, block: block}
	t.room = sync.NewCond(&t.mu)
	return t
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

func (c *chunk) end() int64          { return c.offset + int64(len(c.buf)) }
func (c *chunk) lastFrame() *Header  { return &c.frames[len(c.frames)-1].header }
func (c *chunk) firstFrame() *Header { return &c.frames[0].header }

// reserveLocked returns room for n bytes at file offset at of segment s, in the
// open chunk or a new one. It waits while the ring is full of unwritten bytes,
// and gives up with nil when the log fails.
func (t *tail) reserveLocked(s *segment, at int64, n int) *chunk {
	for {
		if t.broken {
			return nil
		}
		if c := t.openLocked(); c != nil && c.segment == s && c.end() == at && t.growLocked(c, n) {
			return c
		}
		if c := t.beginLocked(s, at, n); c != nil {
			return c
		}
		t.room.Wait()
	}
}

func (t *tail) openLocked() *chunk {
	if len(t.chunks) == 0 {
		return nil
	}
	if c := t.chunks[len(t.chunks)-1]; c.state == chunkOpen && !c.adopted {
		return c
	}
	return nil
}

// growLocked extends the newest chunk by n bytes where the ring has room behind it.
func (t *tail) growLocked(c *chunk, n int) bool {
	if len(c.buf)+n > min(chunkBytesMax, len(t.arena)/4) {
		return false
	}
	from := t.head - roundUp(len(c.buf), t.block)
	need := roundUp(len(c.buf)+n, t.block)
	if t.freeFromLocked(from, need) < need {
		return false
	}
	t.unwritten += need - roundUp(len(c.buf), t.block)
	c.buf = t.arena[from : from+len(c.buf)+n]
	t.head = from + need
	return true
}

// freeFromLocked drops old chunks that are in the way until need bytes from
// arena offset from are free, and returns how many are.
func (t *tail) freeFromLocked(from, need int) int {
	for {
		if len(t.chunks) == 0 || t.arenaOffset(t.chunks[0]) < from || t.startsAtLocked(from) {
			return len(t.arena) - from
		}
		oldest := t.arenaOffset(t.chunks[0])
		if oldest-from >= need || !t.dropOldestLocked() {
			return oldest - from
		}
	}
}

// wrappedLocked: the oldest chunk lies behind the newest in the arena, so what
// is free lies between the two.
func (t *tail) wrappedLocked() bool {
	return len(t.chunks) > 0 && t.arenaOffset(t.chunks[0]) >= t.head
}

// startsAtLocked: the only chunk left is the one that grows.
func (t *tail) startsAtLocked(from int) bool {
	return len(t.chunks) == 1 && t.chunks[0].state != chunkWriting && t.chunks[0].state != chunkWritten && t.arenaOffset(t.chunks[0]) == from
}

func (t *tail) arenaOffset(c *chunk) int { return cap(t.arena) - cap(c.buf) }

func (t *tail) dropOldestLocked() bool {
	// The newest chunk with frames stays: the next one repeats its last block.
	if len(t.chunks) <= 1 || t.chunks[1].state == chunkLeased || t.chunks[0].state != chunkWritten || t.chunks[0].pins > 0 {
		return false
	}
	c := t.chunks[0]
	t.chunks[0] = nil
	t.chunks = t.chunks[1:]
	t.next--
	t.written--
	t.reuseLocked(c)
	return true
}

func (t *tail) reuseLocked(c *chunk) {
	*c = chunk{frames: c.frames[:0]}
	t.spare = append(t.spare, c)
}

// beginLocked opens a chunk for n bytes at file offset at, or returns nil when
// the ring has no room.
func (t *tail) beginLocked(s *segment, at int64, n int) *chunk {
	start := int(at % int64(t.block))
	need := roundUp(start+n, t.block)
	from, ok := t.placeLocked(need)
	if !ok {
		return nil
	}
	c := t.newChunkLocked()
	c.segment, c.offset, c.start, c.state = s, at-int64(start), start, chunkOpen
	c.buf = t.arena[from : from+start+n]
	if start > 0 {
		t.copyBlockLocked(c, start)
	}
	t.pushLocked(c)
	t.head = from + need
	t.unwritten += need
	return c
}

// placeLocked finds the arena offset of need bytes for the next chunk, behind
// the newest or at the arena's start.
func (t *tail) placeLocked(need int) (from int, ok bool) {
	if t.freeFromLocked(t.head, need) >= need {
		return t.head, true
	}
	return 0, !t.wrappedLocked() && t.freeFromLocked(0, need) >= need
}

// pushLocked adds the newest chunk, moving the window back to the front of its
// store instead of growing without end.
func (t *tail) pushLocked(c *chunk) {
	if len(t.chunks) == cap(t.chunks) {
		if 2*len(t.chunks) > len(t.store) {
			t.store = make([]*chunk, 2*len(t.chunks)+64)
		}
		n := copy(t.store, t.chunks)
		clear(t.store[n:])
		t.chunks = t.store[:n]
	}
	t.chunks = append(t.chunks, c)
}

func (t *tail) newChunkLocked() *chunk {
	if n := len(t.spare); n > 0 {
		c := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return c
	}
	return &chunk{}
}

// copyBlockLocked repeats the partly filled block in which the log ends: the
// chunk before may be on its way to the disk and must not change.
func (t *tail) copyBlockLocked(c *chunk, start int) {
	i := len(t.chunks) - 1
	for i >= 0 && (t.chunks[i] == c || t.chunks[i].state == chunkLeased) {
		i--
	}
	if i >= 0 {
		last := t.chunks[i]
		if last.segment == c.segment && last.end() == c.offset+int64(start) && len(last.buf) >= start {
			copy(c.buf[:start], last.buf[len(last.buf)-start:])
			return
		}
	}
	panic("BUG: commitlog: the block before a chunk is not in the tail")
}

// nextLocked is the oldest chunk that has frames and is not submitted, or nil.
func (t *tail) nextLocked() *chunk {
	if t.next >= len(t.chunks) || len(t.chunks[t.next].frames) == 0 {
		return nil
	}
	return t.chunks[t.next]
}

// takeLocked gives the flusher the next chunk to write, or nil. A chunk that
// begins in a block still being written waits for that write.
func (t *tail) takeLocked() *chunk {
	c := t.nextLocked()
	if c == nil {
		return nil
	}
	if t.next > 0 && c.start > 0 && t.chunks[t.next-1].state == chunkWriting {
		return nil
	}
	c.state = chunkWriting
	t.next++
	return c
}

// padded is the block-aligned memory of a chunk that is submitted, with zeros
// after the last frame.
func (t *tail) padded(c *chunk) []byte {
	n := roundUp(len(c.buf), t.block)
	whole := c.buf[:n:n]
	clear(whole[len(c.buf):])
	return whole
}

// wroteLocked marks a chunk written and returns the last frame up to which all
// chunks are, or 0 if an older one is still on its way.
func (t *tail) wroteLocked(c *chunk) (last event.Index) {
	c.state = chunkWritten
	t.unwritten -= roundUp(len(c.buf), t.block)
	t.room.Broadcast()
	for t.written < t.next && t.chunks[t.written].state == chunkWritten {
		last = t.chunks[t.written].lastFrame().Index
		t.written++
	}
	return last
}

// breakLocked releases whoever waits for room: there won't be any.
func (t *tail) breakLocked() {
	t.broken = true
	t.room.Broadcast()
}

// clear forgets everything, once readers have let go. All chunks are written.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.chunks) > 0 {
		if c := t.chunks[0]; c.pins > 0 {
			t.room.Wait()
			continue
		}
		t.chunks = t.chunks[1:]
		t.next--
		t.written--
	}
	t.head, t.next, t.written, t.unwritten, t.leased = 0, 0, 0, 0, 0
}

// seed puts the block in which a recovered log ends into the tail, so that the
// next chunk can repeat it.
func (t *tail) seed(s *segment, offset int64, block []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &chunk{segment: s, offset: offset, buf: t.arena[:len(block)], state: chunkWritten}
	copy(c.buf, block)
	t.pushLocked(c)
	t.head, t.next, t.written = t.block, 1, 1
}

// pinned is a view of a chunk at the time of pin. Its memory stays until unpin.
type pinned struct {
	chunk  *chunk
	frames []frameRef
	buf    []byte
}

// data returns the bytes of frame r's data.
func (p *pinned) data(r *frameRef) []byte {
	at := r.at + headerBytes
	return p.buf[at : at+int(r.header.DataBytes)]
}

// frame returns the frame that holds position, which the chunk holds.
func (p *pinned) frame(position event.Position) *frameRef {
	i := sort.Search(len(p.frames), func(i int) bool { return p.frames[i].header.End() > position })
	return &p.frames[i]
}

// pin finds the chunk that match accepts (0; <0 for older, >0 for newer) and
// keeps it until unpin. ok is false if it has left the tail or isn't there yet.
func (t *tail) pin(match func(first, last *Header) int) (p pinned, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lo, hi := 0, len(t.chunks)
	for lo < hi {
		mid := (lo + hi) / 2
		c := t.chunks[mid]
		if len(c.frames) == 0 { // the seed is older than every frame in the tail, a lease newer
			if c.state == chunkLeased {
				hi = mid
			} else {
				lo = mid + 1
			}
			continue
		}
		switch d := match(c.firstFrame(), c.lastFrame()); {
		case d < 0:
			hi = mid
		case d > 0:
			lo = mid + 1
		default:
			c.pins++
			return pinned{chunk: c, frames: c.frames, buf: c.buf}, true
		}
	}
	return pinned{}, false
}

func (t *tail) unpin(c *chunk) {
	t.mu.Lock()
	c.pins--
	if c.pins == 0 {
		t.room.Broadcast()
	}
	t.mu.Unlock()
}

// byIndex and byPosition order a wanted frame against a chunk's frames.
func byIndex(i event.Index) func(first, last *Header) int {
	return func(first, last *Header) int {
		switch {
		case i < first.Index:
			return -1
		case i > last.Index:
			return 1
		}
		return 0
	}
}

func byPosition(p event.Position) func(first, last *Header) int {
	return func(first, last *Header) int {
		switch {
		case p < first.Position:
			return -1
		case p >= last.End():
			return 1
		}
		return 0
	}
}
