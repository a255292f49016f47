package queue

import (
	"slices"
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
)

// line keeps the entries of one queue and its counter. It is the seam behind which older runs
// may live elsewhere: Index knows its methods and no chunk.
//
// The published list is never empty and never changed. Its chunks are in
// order and without gaps; only the last one still takes entries. A chunk
// without entries stands alone: it keeps the queue's counter.
type line struct {
	queue  event.Queue
	chunks atomic.Pointer[[]*chunk]
}

func newLine(q event.Queue) *line {
	l := &line{queue: q}
	l.publish([]*chunk{newChunk(0, 0, 0)})
	return l
}

func (l *line) publish(list []*chunk) { l.chunks.Store(&list) }

// bounds returns the oldest offset held and the next one.
func (l *line) bounds() (first, next event.Offset) {
	list := *l.chunks.Load()
	return list[0].first, list[len(list)-1].end()
}

// segment is the base position of the newest entry's segment, 0 without one.
func (l *line) segment() event.Position {
	list := *l.chunks.Load()
	return list[len(list)-1].segment
}

// put gives p the next offset. Segments never go back.
func (l *line) put(segment event.Position, p packed, timestamp int64) {
	list := *l.chunks.Load()
	last := list[len(list)-1]
	if last.segment != segment || last.full() {
		last = l.extend(list, segment)
	}
	last.put(p, timestamp)
}

// extend publishes a list whose last chunk has room for an entry of segment.
func (l *line) extend(list []*chunk, segment event.Position) *chunk {
	end := len(list) - 1
	last := list[end]
	sameRun := last.segment == segment
	switch {
	case last.count.Load() == 0, sameRun && len(last.entries) < chunkEntriesMax:
		last = last.grown(segment)
		list = append(slices.Clip(list[:end]), last)
	case sameRun:
		last = newChunk(last.end(), segment, chunkEntriesMax)
		list = append(list, last)
	default:
		last = newChunk(last.end(), segment, chunkEntriesMin)
		list = append(list, last)
	}
	l.publish(list)
	return last
}

// read copies entries from offset from on to dst and returns how many.
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

// blockAt returns offsets between which time passes ms.
func (l *line) blockAt(ms int64) (from, to event.Offset) {
	list := *l.chunks.Load()
	at := sort.Search(len(list), func(i int) bool { return !list[i].startsBefore(ms) }) - 1
	if at < 0 {
		return list[0].first, list[0].first
	}
	return list[at].blockBefore(ms)
}

// drop removes the entries of segments below base and keeps the counter.
func (l *line) drop(base event.Position) {
	list := *l.chunks.Load()
	kept := sort.Search(len(list), func(i int) bool { return list[i].segment >= base })
	last := list[len(list)-1]
	switch {
	case kept == 0, last.count.Load() == 0:
	case kept == len(list):
		l.publish([]*chunk{newChunk(last.end(), 0, 0)})
	default:
		l.publish(slices.Clone(list[kept:]))
	}
}

// runs splits the published chunks by segment, oldest first.
func (l *line) runs() [][]*chunk {
	list := *l.chunks.Load()
	var runs [][]*chunk
	for len(list) > 0 && list[0].count.Load() > 0 {
		n := sort.Search(len(list), func(i int) bool { return list[i].segment > list[0].segment })
		runs = append(runs, list[:n])
		list = list[n:]
	}
	return runs
}

// shift moves all offsets up by n. Nobody reads the line yet.
func (l *line) shift(n event.Offset) {
	for _, c := range *l.chunks.Load() {
		c.first += n
	}
}
