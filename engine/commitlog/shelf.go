package commitlog

// shelf orders the blocks of the history by how soon they may go: a segmented
// LRU. A block comes on probation, first in, first out. Who uses it again
// later protects it; a scan, however long, uses each block within a short time
// and so evicts nothing but other blocks on probation. At most half of the
// blocks are protected.
type shelf struct {
	probation, protected blockList
	total                int
	loads                uint64 // the clock of the shelf
}

// shelved is what the shelf knows of a block.
type shelved struct {
	list       *blockList
	prev, next *historyBlock
	used       uint64 // value of loads at the last use
	asked      bool   // reading ahead from here was considered since it was loaded
}

// fill adds a block that holds nothing.
func (s *shelf) fill(b *historyBlock) {
	s.probation.pushBack(b)
	s.total++
}

// oldest returns the block to go first among those that a condition allows.
func (s *shelf) oldest(free func(*historyBlock) bool) *historyBlock {
	for _, l := range []*blockList{&s.probation, &s.protected} {
		for b := l.head; b != nil; b = b.next {
			if free(b) {
				return b
			}
		}
	}
	return nil
}

// renew puts a block that is being loaded on probation, as the newest.
func (s *shelf) renew(b *historyBlock) {
	s.loads++
	b.list.remove(b)
	s.probation.pushBack(b)
	b.used, b.asked = s.loads, false
}

// forget makes a block that holds nothing the next to go.
func (s *shelf) forget(b *historyBlock) {
	b.list.remove(b)
	s.probation.pushFront(b)
}

// touch notes that a block is used. Uses close together count once: they are
// one pass over it.
func (s *shelf) touch(b *historyBlock) {
	passed := s.loads - b.used
	b.used = s.loads
	if passed <= uint64(s.total)/8 {
		return
	}
	b.list.remove(b)
	s.protected.pushBack(b)
	if s.protected.n > s.total/2 {
		weakest := s.protected.head
		s.protected.remove(weakest)
		s.probation.pushBack(weakest)
	}
}

// blockList is a list of blocks, linked through them.
type blockList struct {
	head, tail *historyBlock
	n          int
}

func (l *blockList) pushBack(b *historyBlock) {
	b.list, b.prev, b.next = l, l.tail, nil
	if l.tail == nil {
		l.head = b
	} else {
		l.tail.next = b
	}
	l.tail = b
	l.n++
}

func (l *blockList) pushFront(b *historyBlock) {
	b.list, b.prev, b.next = l, nil, l.head
	if l.head == nil {
		l.tail = b
	} else {
		l.head.prev = b
	}
	l.head = b
	l.n++
}

func (l *blockList) remove(b *historyBlock) {
	if b.prev == nil {
		l.head = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.tail = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.list, b.prev, b.next = nil, nil, nil
	l.n--
}
