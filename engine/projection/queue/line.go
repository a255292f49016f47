package queue

import (
	"slices"
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// line keeps the counter of one queue and those of its entries that are in memory.
//
// The published list is never empty and never changed. Its chunks are in
// order and without gaps; only the last one still takes entries. A chunk
// without entries stands alone: it keeps the queue's counter.
type line struct {
	queue   event.Queue
	born    event.Position // of the queue's first event
	floor   atomic.Int64   // oldest offset that is still in the log
	removed atomic.Uint64  // one after the position of the event that deleted the topic; 0: alive
	chunks  atomic.Pointer[[]*chunk]
}

// newLine returns the line of a queue whose next offset is next and which
// holds nothing in memory.
func newLine(q event.Queue, born event.Position, next event.Offset) *line {
	l := &line{queue: q, born: born}
	l.chunks.Store(emptyChunk(next).alone)
	return l
}

func (l *line) publish(list []*chunk) { l.chunks.Store(&list) }

// bounds returns the oldest offset held anywhere and the next one.
func (l *line) bounds() (first, next event.Offset) {
	// The floor first: it never passes the end, but it passes an end that was
	// read before.
	first = event.Offset(l.floor.Load())
	list := *l.chunks.Load()
	return first, list[len(list)-1].end()
}

// raise moves the floor up.
func (l *line) raise(floor event.Offset) {
	l.floor.Store(max(l.floor.Load(), int64(floor)))
}

// put gives s the next offset.
func (l *line) put(run *Run, s indexfile.Slot) {
	list := *l.chunks.Load()
	last := list[len(list)-1]
	if last.run != run {
		run.touched = append(run.touched, l)
	}
	if last.run != run || last.full() {
		last = l.extend(list, run)
	}
	last.put(s)
}

// extend publishes a list whose last chunk has room for an entry of run.
func (l *line) extend(list []*chunk, run *Run) *chunk {
	end := len(list) - 1
	last := list[end]
	sameRun := last.run == run
	switch {
	case last.run == nil:
		l.chunks.Store(firstChunk(last.first, run).alone)
	case !sameRun:
		l.follow(list, firstChunk(last.end(), run))
	case len(last.entries) < chunkEntriesMax:
		l.publish(append(slices.Clip(list[:end]), last.grown()))
	default:
		l.publish(append(slices.Clip(list), newChunk(last.end(), run, chunkEntriesMax)))
	}
	list = *l.chunks.Load()
	return list[len(list)-1]
}

// follow publishes a list with one chunk more.
func (l *line) follow(list []*chunk, next *chunk) {
	if len(list) > 1 {
		l.publish(append(slices.Clip(list), next))
		return
	}
	p := &pair{both: [2]*chunk{list[0], next}}
	p.list = p.both[:]
	l.chunks.Store(&p.list)
}

// read copies entries from offset from on to dst and returns how many: none
// where the offset is not in memory.
func (l *line) read(from event.Offset, dst []Entry) int {
	list := *l.chunks.Load()
	at := sort.Search(len(list), func(i int) bool { return list[i].first > from }) - 1
	if at < 0 {
		return 0
	}
	n := 0
	for _, c := range list[at:] {
		if n == len(dst) {
			break
		}
		n += c.read(from+event.Offset(n), dst[n:])
	}
	return n
}

// offsetAt is the offset of the first entry in memory at or after a position,
// the next offset where none is. whole is false when that entry may be
// preceded by others, not in memory, that are at or after the position too.
func (l *line) offsetAt(position event.Position) (offset event.Offset, whole bool) {
	list := *l.chunks.Load()
	at := sort.Search(len(list), func(i int) bool { return !list[i].startsBefore(position) }) - 1
	if at < 0 {
		return list[0].first, false
	}
	return list[at].offsetAt(position), true
}

// drop removes the entries that a condition names, which are the oldest ones,
// from memory and returns the offset after them.
func (l *line) drop(gone func(*Run) bool) event.Offset {
	list := *l.chunks.Load()
	kept := 0
	for kept < len(list) && list[kept].run != nil && gone(list[kept].run) {
		kept++
	}
	last := list[len(list)-1]
	switch {
	case kept == 0:
		return list[0].first
	case kept == len(list):
		l.chunks.Store(emptyChunk(last.end()).alone)
		return last.end()
	case kept == len(list)-1 && last.alone != nil:
		l.chunks.Store(last.alone)
		return last.first
	}
	l.publish(slices.Clone(list[kept:]))
	return list[kept].first
}

// inRun returns the queue's chunks of a run that is sealed, and the offset that
// came next. No chunks are left of a run that a trim has dropped: the list then
// begins where they ended.
func (l *line) inRun(run *Run) ([]*chunk, event.Offset) {
	list := *l.chunks.Load()
	first := list[0].first
	for len(list) > 0 && list[0].run != run {
		list = list[1:]
	}
	n := 0
	for n < len(list) && list[n].run == run {
		n++
	}
	if n == 0 {
		return nil, first
	}
	return list[:n], list[n-1].end()
}

// aliveAt reports whether the queue's topic was not deleted before a position.
func (l *line) aliveAt(position event.Position) bool {
	removed := l.removed.Load()
	return removed == 0 || removed > uint64(position)
}
