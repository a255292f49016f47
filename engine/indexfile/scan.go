package indexfile

import "iter"

// scanBlocks is how many blocks one read of a scan carries.
const scanBlocks = 16

// scanner reads one section from front to back, past the cache.
type scanner struct {
	file      *File
	from      uint32 // block at which the section begins
	items     uint32
	itemBytes int

	next   uint32
	buffer []byte
	first  uint32 // block that the buffer begins with
}

func (f *File) scan(from, items uint32, itemBytes int) *scanner {
	return &scanner{file: f, from: from, items: items, itemBytes: itemBytes}
}

// seek goes on with item i, which is not before the last one read.
func (s *scanner) seek(i uint32) { s.next = i }

// item returns the next item, nil at the end.
func (s *scanner) item() ([]byte, error) {
	if s.next >= s.items {
		return nil, nil
	}
	perBlock := uint32(payloadBytes / s.itemBytes)
	block := s.from + s.next/perBlock
	if block < s.first || block >= s.first+uint32(len(s.buffer)/blockBytes) {
		last := s.from + (s.items-1)/perBlock
		n := int(min(last-block+1, scanBlocks)) * blockBytes
		if cap(s.buffer) < n {
			s.buffer = make([]byte, n)
		}
		s.buffer, s.first = s.buffer[:n], block
		if err := s.file.readBlocks(s.buffer, block); err != nil {
			s.buffer = s.buffer[:0]
			return nil, err
		}
	}
	at := int(block-s.first)*blockBytes + int(s.next%perBlock)*s.itemBytes
	s.next++
	return s.buffer[at : at+s.itemBytes], nil
}

// Table goes through all rows in order, with large reads past the cache. It
// ends with the first error.
func (f *File) Table() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		s := f.scan(f.at.table, f.counts.rows, rowBytes)
		for {
			b, err := s.item()
			if err != nil {
				yield(Row{}, err)
				return
			}
			if b == nil || !yield(decodeRow(b), nil) {
				return
			}
		}
	}
}

// rowScan is a scan of the table that looks one row ahead.
type rowScan struct {
	scanner
	row Row
	has bool
}

func (f *File) rowScan() (*rowScan, error) {
	s := &rowScan{scanner: *f.scan(f.at.table, f.counts.rows, rowBytes)}
	return s, s.advance()
}

func (s *rowScan) advance() error {
	b, err := s.item()
	if s.has = b != nil; s.has {
		s.row = decodeRow(b)
	}
	return err
}

// keyScan is a scan of the keys that looks one key ahead.
type keyScan struct {
	scanner
	key Key
	has bool
}

func (f *File) keyScan() (*keyScan, error) {
	s := &keyScan{scanner: *f.scan(f.at.keys, f.counts.keys, keyBytes)}
	return s, s.advance()
}

func (s *keyScan) advance() error {
	b, err := s.item()
	if s.has = b != nil; s.has {
		s.key = decodeKey(b)
	}
	return err
}
