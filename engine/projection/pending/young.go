package pending

import (
	"cmp"

	"github.com/google/btree"

	"github.com/apogeemq/apogee/engine/event"
)

// kinds is how many kinds of events wait.
const kinds = 2

func indexOf(kind event.Kind) int {
	if kind == event.KindHalf {
		return 1
	}
	return 0
}

// youngDegree is that of the trees: nodes of some cache lines.
const youngDegree = 32

// moment is when a young entry is due.
type moment struct {
	due    int64
	handle event.Position
}

func (a moment) less(b moment) bool {
	return a.due < b.due || a.due == b.due && a.handle < b.handle
}

// young has what began to wait a short while ago. The applier changes it under
// the table's lock, so the applier alone may read it without.
type young struct {
	items  map[event.Position]fresh
	byDue  [kinds]*btree.BTreeG[moment]
	frames fifo[frame]
	// handles are what began to wait in the frames, in that order; also those
	// that have ended meanwhile.
	handles fifo[event.Position]
}

// fresh is an entry with the numbers of its frame and of its handle.
type fresh struct {
	item
	frame, number uint64
}

// frame is one in which something began to wait.
type frame struct {
	before  Place // where it begins
	handles int   // that began in it
	live    int   // of those, that still wait
}

func newYoung() young {
	y := young{items: make(map[event.Position]fresh)}
	for i := range y.byDue {
		y.byDue[i] = btree.NewG(youngDegree, moment.less)
	}
	return y
}

// begin adds an entry of the frame that begins at before.
func (y *young) begin(i *item, before Place) {
	if last, any := y.frames.last(); !any || last.before != before {
		y.frames.push(frame{before: before})
	}
	last, _ := y.frames.last()
	last.handles++
	last.live++
	y.items[i.Handle] = fresh{item: *i, frame: y.frames.next() - 1, number: y.handles.next()}
	y.handles.push(i.Handle)
	y.byDue[indexOf(i.Kind)].ReplaceOrInsert(moment{i.Due, i.Handle})
}

// change replaces an entry by another with its handle.
func (y *young) change(i *item) {
	f := y.items[i.Handle]
	y.byDue[indexOf(f.Kind)].Delete(moment{f.Due, f.Handle})
	f.item = *i
	y.items[i.Handle] = f
	y.byDue[indexOf(i.Kind)].ReplaceOrInsert(moment{i.Due, i.Handle})
}

// end removes an entry, and the oldest frames of which nothing is left.
func (y *young) end(handle event.Position) {
	f := y.items[handle]
	delete(y.items, handle)
	y.byDue[indexOf(f.Kind)].Delete(moment{f.Due, f.Handle})
	y.frames.at(f.frame).live--
	for first, any := y.frames.first(); any && first.live == 0; first, any = y.frames.first() {
		y.handles.drop(first.handles)
		y.frames.drop(1)
	}
}

// oldest is where the oldest frame begins in which something young began.
func (y *young) oldest() (Place, bool) {
	if first, any := y.frames.first(); any {
		return first.before, true
	}
	return Place{}, false
}

// second is where the second oldest begins.
func (y *young) second() (Place, bool) {
	if y.frames.len() < 2 {
		return Place{}, false
	}
	return y.frames.at(y.frames.begin + 1).before, true
}

// oldestFrame appends what is left of the oldest frame.
func (y *young) oldestFrame(into []item) []item {
	first, _ := y.frames.first()
	for n := range uint64(first.handles) {
		number := y.handles.begin + n
		// What has ended is passed over, also if its handle has begun again.
		if f, found := y.items[*y.handles.at(number)]; found && f.number == number {
			into = append(into, f.item)
		}
	}
	return into
}

// due is what is due by through, the earliest first, and the time of what is
// due next.
func (y *young) due(kind event.Kind, through int64) (due []Entry, next int64) {
	next = never
	y.byDue[indexOf(kind)].Ascend(func(m moment) bool {
		if m.due > through {
			next = m.due
			return false
		}
		due = append(due, y.items[m.handle].Entry)
		return true
	})
	return due, next
}

// before appends what stands before a position, in any order.
func (y *young) before(position event.Position, into []Entry) []Entry {
	if oldest, any := y.oldest(); !any || oldest.Position >= position {
		return into // where the oldest began, all others stand behind
	}
	for _, f := range y.items {
		if f.Location < position {
			into = append(into, f.Entry)
		}
	}
	return into
}

func compareDue(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Handle, b.Handle))
}
