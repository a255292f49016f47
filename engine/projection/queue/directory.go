package queue

import (
	"iter"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	slotsMin = 16
	// hashFactor is 2^64 divided by the golden ratio: it spreads the small
	// consecutive numbers that topics and queues have over all slots.
	hashFactor = 0x9E3779B97F4A7C15
)

// directory finds lines by queue: a hash table with one writer, whose readers
// neither lock nor wait. A look-up costs one slot and the line itself, which
// counts when a hundred thousand queues don't fit into the CPU's caches.
//
// A slot goes from nil to a line and from that to removed, never back, so a
// reader that probes meets every line that was there when it began. When the
// slots run low the writer publishes a new table.
type directory struct {
	slots atomic.Pointer[[]atomic.Pointer[line]] // a power of two of them
	used  int                                    // slots that are not nil
	lines int
}

// removed takes the place of a line that is gone.
var removed = &line{}

func newDirectory() *directory {
	d := &directory{}
	d.rebuild()
	return d
}

// firstSlot is where the search for q begins among n slots.
func firstSlot(q event.Queue, n int) int {
	h := q.Number() * hashFactor
	return int((h ^ h>>32) & uint64(n-1))
}

// find returns the line of q, nil without one.
func (d *directory) find(q event.Queue) *line {
	l, _ := d.probe(q)
	return l
}

// probe returns the line of q and its slot, or nil and the free slot where the
// search ended.
func (d *directory) probe(q event.Queue) (*line, *atomic.Pointer[line]) {
	slots := *d.slots.Load()
	for i := firstSlot(q, len(slots)); ; i = (i + 1) & (len(slots) - 1) {
		l := slots[i].Load()
		if l == nil || l.queue == q && l != removed {
			return l, &slots[i]
		}
	}
}

// add puts in a line whose queue has none.
func (d *directory) add(l *line) {
	if 4*(d.used+1) > 3*len(*d.slots.Load()) {
		d.rebuild()
	}
	_, slot := d.probe(l.queue)
	slot.Store(l)
	d.used++
	d.lines++
}

// rebuild publishes a table that is at most half full, without what was removed.
func (d *directory) rebuild() {
	n := slotsMin
	for n < 2*(d.lines+1) {
		n *= 2
	}
	slots := make([]atomic.Pointer[line], n)
	for l := range d.all() {
		i := firstSlot(l.queue, n)
		for slots[i].Load() != nil {
			i = (i + 1) & (n - 1)
		}
		slots[i].Store(l)
	}
	d.used = d.lines
	d.slots.Store(&slots)
}

// remove takes out the line of q, if there is one.
func (d *directory) remove(q event.Queue) {
	if l, slot := d.probe(q); l != nil {
		slot.Store(removed)
		d.lines--
	}
}

// all goes through the lines in no order.
func (d *directory) all() iter.Seq[*line] {
	return func(yield func(*line) bool) {
		slots := d.slots.Load()
		if slots == nil {
			return
		}
		for i := range *slots {
			if l := (*slots)[i].Load(); l != nil && l != removed && !yield(l) {
				return
			}
		}
	}
}
