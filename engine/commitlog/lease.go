package commitlog

import "github.com/apogeemq/apogee/engine/event"

// Lease is memory of the tail in which the data of one frame is put together
// where it will be written from, so that Append needn't copy it. The zero value
// is none.
//
// Leases are appended in the order in which they were taken, and before
// anything that isn't leased.
type Lease struct{ chunk *chunk }

// None reports whether there is no memory.
func (l Lease) None() bool { return l.chunk == nil }

// Lease takes memory for this many bytes of data and returns it; none where the
// tail has no room to spare. Its capacity is what data can grow to without
// Extend.
func (l *Log) Lease(bytes int) (Lease, []byte) {
	t := l.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.usableLocked() != nil {
		return Lease{}, nil
	}
	c := t.leaseLocked(bytes)
	if c == nil {
		return Lease{}, nil
	}
	return Lease{c}, t.leasedData(c, bytes)
}

// Extend returns the leased data with a length of this many bytes, and more
// capacity; nil where it can't grow in its place.
func (l *Log) Extend(lease Lease, bytes int) []byte {
	t := l.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.extendLocked(lease.chunk, bytes) {
		return nil
	}
	return t.leasedData(lease.chunk, bytes)
}

// Release gives the memory of the newest lease back.
func (l *Log) Release(lease Lease) {
	t := l.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.chunks) - 1
	c := t.chunks[last]
	if c != lease.chunk {
		panic("BUG: commitlog: a lease is given back before one that was taken later")
	}
	t.leased -= len(c.buf)
	t.head = t.arenaOffset(c)
	t.chunks = t.chunks[:last]
	t.reuseLocked(c)
}

// A leased chunk's buf is, from its first byte: a block for what the log's last
// block holds already, the frame's header, the data.

// leaseStep is how much a lease takes at a time.
func (t *tail) leaseStep() int { return min(alignedStartBytes, t.leasesMax()/16) }

// leasesMax bounds the memory in leases. A quarter of the tail may be on its way
// to the disk beside them, and readers want the rest.
func (t *tail) leasesMax() int { return len(t.arena) / 2 }

func (t *tail) leaseBytes(data int) int {
	return roundUp(t.block+frameBytes(data)+t.leaseStep(), t.block)
}

func (t *tail) leasedData(c *chunk, bytes int) []byte {
	at := t.block + headerBytes
	return c.buf[at : at+bytes : len(c.buf)-frameAlignBytes]
}

func (t *tail) leaseLocked(bytes int) *chunk {
	need := t.leaseBytes(bytes)
	if t.leased+need > t.leasesMax() {
		return nil
	}
	from, ok := t.placeLocked(need)
	if !ok {
		return nil
	}
	c := t.newChunkLocked()
	c.state, c.buf = chunkLeased, t.arena[from:from+need]
	t.pushLocked(c)
	t.head = from + need
	t.leased += need
	return c
}

func (t *tail) extendLocked(c *chunk, bytes int) bool {
	need, have := t.leaseBytes(bytes), len(c.buf)
	if t.chunks[len(t.chunks)-1] != c || t.leased+need-have > t.leasesMax() {
		return false
	}
	from := t.arenaOffset(c)
	if t.freeFromLocked(from, need) < need {
		return false
	}
	c.buf = t.arena[from : from+need]
	t.head = from + need
	t.leased += need - have
	return true
}

// adoptLocked makes the oldest leased chunk an open one that holds a frame of n
// bytes at file offset at of segment s, and returns the frame. If at is inside a
// block, the frame moves up to what the block holds already.
func (t *tail) adoptLocked(c *chunk, s *segment, at int64, n int) []byte {
	if i := t.firstLeasedLocked(); i == len(t.chunks) || t.chunks[i] != c {
		panic("BUG: commitlog: leases are appended in another order than they were taken in")
	}
	t.leased -= len(c.buf)
	from, start := t.arenaOffset(c), int(at%int64(t.block))
	if start == 0 {
		from += t.block
	} else {
		whole := c.buf
		copy(whole[start+headerBytes:start+n], whole[t.block+headerBytes:])
	}
	c.segment, c.offset, c.start, c.state, c.adopted = s, at-int64(start), start, chunkOpen, true
	c.buf = t.arena[from : from+start+n]
	if start > 0 {
		t.copyBlockLocked(c, start)
	}
	need := roundUp(len(c.buf), t.block)
	t.unwritten += need
	if t.chunks[len(t.chunks)-1] == c {
		t.head = from + need
	}
	return c.buf[start:]
}

// firstLeasedLocked is the index in chunks of the oldest leased one.
func (t *tail) firstLeasedLocked() int {
	i := len(t.chunks)
	for i > 0 && t.chunks[i-1].state == chunkLeased {
		i--
	}
	return i
}

// frameRoomLocked returns the bytes of a frame, with its data in them, and their
// chunk: where the data is already, or room of its own. It gives up with nil when the log
// fails while the tail is full.
func (l *Log) frameRoomLocked(s *segment, b *Batch, at int64, n int) (c *chunk, frame []byte) {
	if !b.Lease.None() {
		return b.Lease.chunk, l.tail.adoptLocked(b.Lease.chunk, s, at, n)
	}
	if l.tail.leased > 0 {
		panic("BUG: commitlog: a batch is appended before leases that were taken earlier")
	}
	if c = l.tail.reserveLocked(s, at, n); c == nil {
		return nil, nil
	}
	frame = c.buf[len(c.buf)-n:]
	copy(frame[headerBytes:], b.Data)
	return c, frame
}

// sum is the checksum of a batch's data.
func (b *Batch) sum(seed event.Seed) uint32 {
	if b.Sum.bytes == len(b.Data) && b.Kind == FrameEvents {
		return b.Sum.crc
	}
	return sumOf(b.Kind, b.Data, seed)
}
