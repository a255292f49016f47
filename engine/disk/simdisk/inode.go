package simdisk

// span is the byte range [from, to).
type span struct{ from, to int64 }

// change is one completed change of a file that is not durable yet: bytes
// written at an offset, a change of the size, or both.
type change struct {
	sequence uint64
	at       int64
	data     []byte // never modified; nil for a change of the size alone
	resizes  bool
	size     int64 // afterwards, if resizes
	reserved int64 // pages reserved by Allocate afterwards, if resizes
}

func (c *change) end() int64 { return c.at + int64(len(c.data)) }

// sectorEnd returns the first sector boundary from at on.
func sectorEnd(at int64) int64 { return (at + SectorBytes - 1) / SectorBytes * SectorBytes }

// clip forgets the bytes at and after limit.
func (c *change) clip(limit int64) {
	if c.end() > limit {
		c.data = c.data[:max(0, limit-c.at)]
	}
}

// inode is a file apart from its names.
type inode struct {
	number  uint64
	handles int
	linked  bool // has a name that the process sees

	// What the process sees. Of the space, pages below reserved belong to the
	// file whether written or not.
	current  content
	size     int64
	reserved int64

	// What a power cut leaves at least, and what may be left of since. Changes
	// stand in the order of their sequence numbers.
	durable         content
	durableSize     int64
	durableReserved int64
	changes         []change

	failing []span // reads here fail
}

func newInode(number uint64) *inode {
	return &inode{number: number, linked: true, current: newContent(), durable: newContent()}
}

// clone copies the file without its handles.
func (n *inode) clone() *inode {
	c := *n
	c.handles = 0
	c.current, c.durable = n.current.share(), n.durable.share()
	// The elements are values whose data nobody modifies.
	c.changes = append([]change(nil), n.changes...)
	c.failing = append([]span(nil), n.failing...)
	return &c
}

// reachable reports whether the process can get at the file.
func (n *inode) reachable() bool { return n.linked || n.handles > 0 }

// pages is the space that the file takes.
func (n *inode) pages() int64 { return n.reserved + n.current.pagesFrom(n.reserved) }

// write applies a completed write. It keeps data.
func (n *inode) write(sequence uint64, data []byte, at int64) {
	if len(data) == 0 {
		return
	}
	n.current.writeAt(data, at)
	c := change{sequence: sequence, at: at, data: data}
	if c.end() > n.size {
		n.size = c.end()
		c.resizes, c.size, c.reserved = true, n.size, n.reserved
	}
	n.changes = append(n.changes, c)
}

// resize applies a completed change of the size or of the reserved space.
func (n *inode) resize(sequence uint64, size, reserved int64) {
	if size < n.size {
		// The rest of the sector at the new end is zeroed in memory, so it may
		// be written back though the new size gets lost.
		if end := min(n.size, sectorEnd(size)); end > size {
			zeros := make([]byte, end-size)
			n.changes = append(n.changes, change{sequence: sequence, at: size, data: zeros})
		}
		n.current.truncate(size)
	}
	n.size, n.reserved = size, reserved
	n.changes = append(n.changes, change{sequence: sequence, resizes: true, size: size, reserved: reserved})
}

// sync makes everything up to and including sequence number cover durable.
func (n *inode) sync(cover uint64) {
	n.landSizes(cover)
	n.landData(cover)
}

// syncData makes data durable and the size only if the data needs it.
func (n *inode) syncData(cover uint64) {
	if n.needsSize(cover) {
		n.landSizes(cover)
	}
	n.landData(cover)
}

// syncWritten makes the sectors of a write that just completed durable, and
// the size if they need it, but nothing else.
func (n *inode) syncWritten(at, length int64) {
	if length == 0 {
		return
	}
	last := n.changes[len(n.changes)-1].sequence
	limit := n.durableSize
	for i := range n.changes {
		limit = n.changes[i].lowers(limit)
	}
	if at+length > limit {
		n.landSizes(last)
	}
	from := at - at%SectorBytes
	to := min(n.durableSize, sectorEnd(at+length))
	buffer := make([]byte, to-from)
	n.current.readAt(buffer, from)
	n.durable.writeAt(buffer, from)
	n.cut(span{from, to})
}

// lowers returns how far data reaches without the size change that c may be,
// if it reached limit before.
func (c *change) lowers(limit int64) int64 {
	if c.resizes && len(c.data) == 0 {
		return min(limit, c.size)
	}
	return limit
}

// needsSize reports whether data up to cover lies where the durable size, or a
// shrinking that is not durable, hides it.
func (n *inode) needsSize(cover uint64) bool {
	limit := n.durableSize
	for i := range n.changes {
		c := &n.changes[i]
		if c.sequence > cover {
			return false
		}
		limit = c.lowers(limit)
		if len(c.data) > 0 && c.end() > limit {
			return true
		}
	}
	return false
}

// landSizes makes the changes of the size up to cover durable. Data from
// before a shrinking goes with it.
func (n *inode) landSizes(cover uint64) {
	for i := range n.changes {
		c := &n.changes[i]
		if c.sequence > cover {
			break
		}
		if !c.resizes {
			continue
		}
		if c.size < n.durableSize {
			n.durable.truncate(c.size)
		}
		for earlier := range n.changes[:i] {
			n.changes[earlier].clip(c.size)
		}
		n.durableSize, n.durableReserved = c.size, c.reserved
		c.resizes = false
	}
	n.compact()
}

func (n *inode) landData(cover uint64) {
	for i := range n.changes {
		c := &n.changes[i]
		if c.sequence > cover {
			break
		}
		n.durable.writeAt(c.data, c.at)
		c.data = nil
	}
	n.compact()
}

// cut takes the bytes of s out of all changes: they are durable.
func (n *inode) cut(s span) {
	kept := make([]change, 0, len(n.changes)+1)
	for _, c := range n.changes {
		if c.end() <= s.from || c.at >= s.to {
			kept = append(kept, c)
			continue
		}
		tail := change{sequence: c.sequence, at: max(c.at, s.to)}
		if c.end() > s.to {
			tail.data = c.data[s.to-c.at:]
		}
		c.clip(s.from)
		kept = append(kept, c, tail)
	}
	n.changes = kept
	n.compact()
}

// compact drops changes that say nothing any more.
func (n *inode) compact() {
	kept := n.changes[:0]
	for _, c := range n.changes {
		if len(c.data) > 0 || c.resizes {
			kept = append(kept, c)
		}
	}
	clear(n.changes[len(kept):])
	n.changes = kept
	if len(kept) == 0 {
		n.changes = nil
	}
}
