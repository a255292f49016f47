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

// moment is when a young entry is due. Numbers ascend as handles do.
type moment struct {
	due    int64
	number uint64
}

func (a moment) less(b moment) bool {
	return a.due < b.due || a.due == b.due && a.number < b.number
}

// young has what began to wait a short while ago. The applier changes it under
// the table's lock, so the applier alone may read it without.
type young struct {
	// entries are what began to wait in the frames, in that order; also those
	// that have ended meanwhile.
	entries fifo[fresh]
	frames  fifo[frame]
	byDue   [kinds]*btree.BTreeG[moment]
	changed map[uint64]item // by number, those that aren't as they began
	live    int
}

// fresh is an entry as it began: its location is its handle.
type fresh struct {
	handle event.Position
	due    int64
	bytes  uint32
	kind   event.Kind // 0 when it has ended
}

// frame is one in which something began to wait.
type frame struct {
	before Place  // where it begins
	first  uint64 // number of the first entry that began in it
	live   int    // of those, that still wait
}

func newYoung() young {
	y := young{changed: make(map[uint64]item)}
	for i := range y.byDue {
		y.byDue[i] = btree.NewG(youngDegree, moment.less)
	}
	return y
}

// follows reports whether a handle is behind all others.
func (y *young) follows(handle event.Position) bool {
	last, any := y.entries.last()
	return !any || last.handle < handle
}

// begin adds an entry of the frame that begins at before. Its handle follows.
func (y *young) begin(e *Entry, before Place) {
	if last, any := y.frames.last(); !any || last.before != before {
		y.frames.push(frame{before: before, first: y.entries.next()})
	}
	last, _ := y.frames.last()
	last.live++
	y.live++
	y.byDue[indexOf(e.Kind)].ReplaceOrInsert(moment{e.Due, y.entries.next()})
	y.entries.push(fresh{handle: e.Handle, due: e.Due, bytes: e.Bytes, kind: e.Kind})
}

// find is the number of an entry that waits.
func (y *young) find(handle event.Position) (number uint64, found bool) {
	at := y.frames.search(func(f *frame) bool { return f.before.Position > handle })
	if at == y.frames.begin {
		return 0, false
	}
	number, end := y.frames.at(at-1).first, y.entries.next()
	if at < y.frames.next() {
		end = y.frames.at(at).first
	}
	for number < end {
		middle := number + (end-number)/2
		if y.entries.at(middle).handle < handle {
			number = middle + 1
		} else {
			end = middle
		}
	}
	if number == y.entries.next() {
		return 0, false
	}
	f := y.entries.at(number)
	return number, f.handle == handle && f.kind != 0
}

// get is the entry with a number, which waits.
func (y *young) get(number uint64) item {
	if i, is := y.changed[number]; is {
		return i
	}
	f := y.entries.at(number)
	return item{Entry: Entry{Handle: f.handle, Kind: f.kind, Due: f.due, Location: f.handle, Bytes: f.bytes}}
}

// change replaces an entry by another with its handle.
func (y *young) change(number uint64, i *item) {
	f := y.entries.at(number)
	y.byDue[indexOf(f.kind)].Delete(moment{f.due, number})
	f.due, f.kind = i.Due, i.Kind
	y.changed[number] = *i
	y.byDue[indexOf(i.Kind)].ReplaceOrInsert(moment{i.Due, number})
}

// end removes an entry, and the oldest frames of which nothing is left.
func (y *young) end(number uint64) {
	f := y.entries.at(number)
	y.byDue[indexOf(f.kind)].Delete(moment{f.due, number})
	f.kind = 0
	delete(y.changed, number)
	y.live--
	y.frames.at(y.frames.search(func(f *frame) bool { return f.first > number })-1).live--
	for first, any := y.frames.first(); any && first.live == 0; first, any = y.frames.first() {
		y.frames.drop(1)
		y.entries.drop(int(y.beginning() - y.entries.begin))
	}
}

// beginning is the number of the first entry of the oldest frame.
func (y *young) beginning() uint64 {
	if first, any := y.frames.first(); any {
		return first.first
	}
	return y.entries.next()
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

// oldestFrame appends the numbers of what is left of the oldest frame.
func (y *young) oldestFrame(into []uint64) []uint64 {
	end := y.entries.next()
	if y.frames.len() > 1 {
		end = y.frames.at(y.frames.begin + 1).first
	}
	for number := y.beginning(); number < end; number++ {
		if y.entries.at(number).kind != 0 {
			into = append(into, number)
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
		due = append(due, y.get(m.number).Entry)
		return true
	})
	return due, next
}

// before appends what stands before a position, in any order.
func (y *young) before(position event.Position, into []Entry) []Entry {
	for number := y.entries.begin; number < y.entries.next(); number++ {
		// Where it began, all others stand behind.
		f := y.entries.at(number)
		if f.handle >= position {
			break
		}
		if f.kind == 0 {
			continue
		}
		if i := y.get(number); i.Location < position {
			into = append(into, i.Entry)
		}
	}
	return into
}

func compareDue(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Handle, b.Handle))
}
