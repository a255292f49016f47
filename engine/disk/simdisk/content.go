package simdisk

// SectorBytes is the unit that a power cut leaves whole: a sector holds one of
// its versions unless Options.TornSectors says otherwise.
const SectorBytes = 512

const (
	pageBytes  = 4096
	chunkPages = 64
	chunkBytes = chunkPages * pageBytes
)

// owner tells apart who may write a page in place. Its address is its identity.
type owner struct{ _ byte }

type page struct {
	owner *owner
	data  [pageBytes]byte
}

type chunk struct {
	owner *owner
	pages [chunkPages]*page
}

// content is the bytes of a file: sparse, and cheap to copy because copies
// share pages until one of them writes.
type content struct {
	owner  *owner
	chunks []*chunk
}

func newContent() content { return content{owner: new(owner)} }

// share returns a copy. Both sides copy a page before they write it.
func (c *content) share() content {
	c.owner = new(owner)
	chunks := make([]*chunk, len(c.chunks))
	copy(chunks, c.chunks)
	return content{owner: new(owner), chunks: chunks}
}

// lookup returns the page with this number, or nil if it was never written.
func (c *content) lookup(number int64) *page {
	index := number / chunkPages
	if index >= int64(len(c.chunks)) || c.chunks[index] == nil {
		return nil
	}
	return c.chunks[index].pages[number%chunkPages]
}

// own returns the page with this number, ready to be written in place.
func (c *content) own(number int64) *page {
	index := number / chunkPages
	for int64(len(c.chunks)) <= index {
		c.chunks = append(c.chunks, nil)
	}
	held := c.chunks[index]
	switch {
	case held == nil:
		held = &chunk{owner: c.owner}
	case held.owner != c.owner:
		held = &chunk{owner: c.owner, pages: held.pages}
	}
	c.chunks[index] = held
	slot := &held.pages[number%chunkPages]
	switch {
	case *slot == nil:
		*slot = &page{owner: c.owner}
	case (*slot).owner != c.owner:
		*slot = &page{owner: c.owner, data: (*slot).data}
	}
	return *slot
}

// readAt fills p from offset at; what was never written is zero.
func (c *content) readAt(p []byte, at int64) {
	for len(p) > 0 {
		within := at % pageBytes
		length := min(int64(len(p)), pageBytes-within)
		if held := c.lookup(at / pageBytes); held != nil {
			copy(p[:length], held.data[within:])
		} else {
			clear(p[:length])
		}
		p, at = p[length:], at+length
	}
}

// writeAt stores p at offset at.
func (c *content) writeAt(p []byte, at int64) {
	for len(p) > 0 {
		n := copy(c.own(at / pageBytes).data[at%pageBytes:], p)
		p, at = p[n:], at+int64(n)
	}
}

// truncate forgets every byte at and after size.
func (c *content) truncate(size int64) {
	if within := size % pageBytes; within != 0 {
		if c.lookup(size/pageBytes) != nil {
			clear(c.own(size / pageBytes).data[within:])
		}
		size += pageBytes - within
	}
	first := size / pageBytes
	for number := first; number%chunkPages != 0; number++ {
		if c.lookup(number) == nil {
			continue
		}
		c.own(number)
		c.chunks[number/chunkPages].pages[number%chunkPages] = nil
	}
	keep := (size + chunkBytes - 1) / chunkBytes
	if keep < int64(len(c.chunks)) {
		clear(c.chunks[keep:])
		c.chunks = c.chunks[:keep]
	}
}

// pagesFrom counts the written pages with number first and above.
func (c *content) pagesFrom(first int64) int64 {
	count := int64(0)
	for index := first / chunkPages; index < int64(len(c.chunks)); index++ {
		if c.chunks[index] == nil {
			continue
		}
		for within, held := range c.chunks[index].pages {
			if held != nil && index*chunkPages+int64(within) >= first {
				count++
			}
		}
	}
	return count
}

// missing counts the pages of [at, at+length) that were never written, from
// page number first on.
func (c *content) missing(at, length, first int64) int64 {
	if length == 0 {
		return 0
	}
	count := int64(0)
	for number := max(at/pageBytes, first); number <= (at+length-1)/pageBytes; number++ {
		if c.lookup(number) == nil {
			count++
		}
	}
	return count
}

func pagesFor(bytes int64) int64 { return (bytes + pageBytes - 1) / pageBytes }
