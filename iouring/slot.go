//go:build linux

package iouring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// noSlot stands for the ring's own operations, which need none.
const noSlot = ^uint32(0)

// Layout of user_data.
const (
	ownData         uint64 = 1 << 63
	wakeData               = ownData | 1
	cancelData             = ownData | 2
	generationShift        = 32
	generationMask         = 1<<31 - 1
)

// request is one operation as the owner asked for it.
type request struct {
	operation Operation
	flags     Flags
	file      File
	offset    int64
	tag       uint64
	buffer    []byte // nil for Writev, whose memory is in slot.vector
	index     uint16 // of the registered buffer
	parts     uint8  // used length of slot.vector
	target    uint64 // user_data of the operation to cancel
}

// slot holds everything of one operation that the kernel may look at, from the
// call that queues it to its completion.
type slot struct {
	request
	generation uint32
	busy       bool
	refused    bool // its chain was cut: completes with ECANCELED
	tries      uint8
	doneBytes  int // of a Whole write
	vector     [VectorMax]unix.Iovec
	timeout    kernelTimespec
}

// slotTable is a fixed set of slots. free is a stack of those not in use.
type slotTable struct {
	all  []slot
	free []uint32
}

func newSlotTable(count int) slotTable {
	t := slotTable{all: make([]slot, count), free: make([]uint32, count)}
	for i := range t.free {
		t.free[i] = uint32(count - 1 - i) // number 0 is handed out first
	}
	return t
}

// used counts the slots taken.
func (t *slotTable) used() int { return len(t.all) - len(t.free) }

// take fills a free slot with q. There must be one.
func (t *slotTable) take(q request) uint32 {
	index := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	s := &t.all[index]
	s.request, s.busy = q, true
	return index
}

// release empties the slot, so that nothing it referred to stays reachable, and
// makes completions of the past recognizable.
func (t *slotTable) release(index uint32) {
	s := &t.all[index]
	clear(s.vector[:s.parts])
	s.request = request{}
	s.busy, s.refused, s.tries, s.doneBytes = false, false, 0, 0
	s.generation = (s.generation + 1) & generationMask
	t.free = append(t.free, index)
}

// data is the user_data of the operation in the slot.
func (t *slotTable) data(index uint32) uint64 {
	return uint64(t.all[index].generation)<<generationShift | uint64(index)
}

// find gives the slot that user_data stands for.
func (t *slotTable) find(data uint64) uint32 {
	index := uint32(data)
	if int(index) >= len(t.all) || !t.all[index].busy || t.data(index) != data {
		panic(fmt.Sprintf("BUG: iouring: completion %#x belongs to no operation in flight (%d slots)",
			data, len(t.all)))
	}
	return index
}

// search finds the first operation in flight with this tag.
func (t *slotTable) search(tag uint64) (uint32, bool) {
	for i := range t.all {
		if t.all[i].busy && t.all[i].tag == tag {
			return uint32(i), true
		}
	}
	return 0, false
}
