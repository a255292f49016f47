package queue

import (
	"errors"
	"fmt"
	"sort"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// Lookup fills dst with entries of the queue from offset from on and returns
// how many: fewer than there are when they stand in different places. 0 means
// that from is not within Bounds.
//
// An error means that an index file is damaged; it is being rebuilt.
func (x *Index) Lookup(q event.Queue, from event.Offset, dst []Entry) (int, error) {
	l := x.line(q)
	if l == nil {
		return 0, nil
	}
	first, next := l.bounds()
	if from < first || from >= next {
		return 0, nil
	}
	if n := l.read(from, dst); n > 0 || len(dst) == 0 {
		return n, nil
	}
	// What is not in memory was published as a file before it left.
	return retryRetired(func() (int, error) { return x.lookupFiles(l, from, dst) })
}

// retryRetired repeats what met a file that was replaced meanwhile.
func retryRetired[T any](f func() (T, error)) (T, error) {
	for {
		v, err := f()
		if !errors.Is(err, indexfile.ErrRetired) {
			return v, err
		}
	}
}

func (x *Index) lookupFiles(l *line, from event.Offset, dst []Entry) (int, error) {
	f, row, err := x.fileWith(l, from)
	if f == nil || err != nil {
		return 0, err
	}
	first := row.Next - event.Offset(row.Count)
	if from < first {
		if now, _ := l.bounds(); from < now {
			return 0, nil // trimmed meanwhile
		}
		return 0, fmt.Errorf("offset %d of queue %d/%d: %w: %s begins with offset %d",
			from, l.queue.Topic, l.queue.ID, indexfile.ErrDamaged, f.Name(), first)
	}
	var slots [64]indexfile.Slot
	filled := 0
	for filled < len(dst) {
		n, err := f.Slots(row, uint32(from-first)+uint32(filled), slots[:min(len(slots), len(dst)-filled)])
		if n == 0 || err != nil {
			return filled, err
		}
		for _, s := range slots[:n] {
			dst[filled] = entryOf(f.Segment, s)
			filled++
		}
	}
	return filled, nil
}

// fileWith finds the file that holds an offset of a queue: the first at whose
// end the queue's next offset is above. nil where none is.
func (x *Index) fileWith(l *line, offset event.Offset) (*indexfile.File, indexfile.Row, error) {
	files := *x.files.Load()
	var failed error
	var found indexfile.Row
	i := sort.Search(len(files), func(i int) bool {
		row, err := rowOf(files[i], l)
		if err != nil {
			failed = err
			return true
		}
		if row.Next > offset {
			found = row
		}
		return row.Next > offset
	})
	if failed != nil || i == len(files) {
		return nil, indexfile.Row{}, failed
	}
	return files[i], found, nil
}

// rowOf is a queue's row in a file: the zero Row where the file ends before
// the queue begins. A queue of the same name that was deleted before is not
// the same queue.
func rowOf(f *indexfile.File, l *line) (indexfile.Row, error) {
	if f.End <= l.born {
		return indexfile.Row{}, nil
	}
	row, ok, err := f.Row(l.queue)
	if err == nil && (!ok || row.Born != l.born) {
		err = fmt.Errorf("queue %d/%d: %w: %s doesn't know it", l.queue.Topic, l.queue.ID, indexfile.ErrDamaged, f.Name())
	}
	return row, err
}

// Around narrows a search by time. Every event of the log before position from
// is older than ms (Unix milliseconds), no event at to or after is.
func (x *Index) Around(ms int64) (from, to event.Position, err error) {
	type span struct{ from, to event.Position }
	s, err := retryRetired(func() (span, error) {
		from, to, err := x.around(ms)
		return span{from, to}, err
	})
	return s.from, s.to, err
}

func (x *Index) around(ms int64) (from, to event.Position, err error) {
	runs := *x.runs.Load()
	to = positionMax
	for i := len(runs) - 1; i >= 0; i-- {
		if runs[i].FirstTime < ms {
			from, inside := runs[i].around(ms)
			return from, min(to, inside), nil
		}
		to = runs[i].Base
	}
	files := *x.files.Load()
	i := sort.Search(len(files), func(i int) bool { return files[i].FirstTime >= ms })
	if i < len(files) {
		to = min(to, files[i].Base)
	}
	if i == 0 {
		return 0, to, nil
	}
	from, inside, err := files[i-1].Around(ms)
	return from, min(to, inside), err
}

// BlockAt narrows a search by time in a queue. Every event of the queue before
// offset from is older than ms (Unix milliseconds), no event at to or after
// is. A queue that is unknown gives 0, 0.
func (x *Index) BlockAt(q event.Queue, ms int64) (from, to event.Offset, err error) {
	l := x.line(q)
	if l == nil {
		return 0, 0, nil
	}
	after, before, err := x.Around(ms)
	if err != nil {
		return 0, 0, err
	}
	if from, err = x.offsetAt(l, after); err != nil {
		return 0, 0, err
	}
	to, err = x.offsetAt(l, before)
	return from, max(from, to), err
}

// OffsetAt is the offset of the queue's first event at or after a position,
// the next offset where none is.
func (x *Index) OffsetAt(q event.Queue, position event.Position) (event.Offset, error) {
	if l := x.line(q); l != nil {
		return x.offsetAt(l, position)
	}
	return 0, nil
}

func (x *Index) offsetAt(l *line, position event.Position) (event.Offset, error) {
	offset, whole := l.offsetAt(position)
	if !whole {
		var err error
		offset, err = retryRetired(func() (event.Offset, error) { return x.offsetInFiles(l, position, offset) })
		if err != nil {
			return 0, err
		}
	}
	first, next := l.bounds()
	return min(max(offset, first), next), nil
}

// offsetInFiles looks before the oldest entry in memory, which has offset memory.
func (x *Index) offsetInFiles(l *line, position event.Position, memory event.Offset) (event.Offset, error) {
	files := *x.files.Load()
	i := sort.Search(len(files), func(i int) bool { return files[i].End > position })
	if i == len(files) {
		return memory, nil
	}
	row, err := rowOf(files[i], l)
	if err != nil {
		return 0, err
	}
	at, err := files[i].SlotAt(row, position)
	return min(row.Next-event.Offset(row.Count)+event.Offset(at), memory), err
}
