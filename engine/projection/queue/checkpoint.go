package queue

import (
	"io"
	"iter"
	"math"
	"slices"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Checkpoint writes the counters of all queues.
func (x *Index) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	rows := x.counters()
	e.Uint32(checkpointFormat)
	e.Uint32(uint32(len(rows)))
	for _, r := range rows {
		e.Uint32(uint32(r.Queue.Topic))
		e.Uint32(r.Queue.ID)
		e.Uint64(uint64(r.Next))
		e.Uint64(uint64(r.Born))
	}
	return e.Flush()
}

func (x *Index) counters() []indexfile.Row {
	var rows []indexfile.Row
	for l := range x.state.Load().lines.all() {
		_, next := l.bounds()
		rows = append(rows, indexfile.Row{Queue: l.queue, Next: next, Born: l.born})
	}
	slices.SortFunc(rows, func(a, b indexfile.Row) int { return compareQueues(a.Queue, b.Queue) })
	return rows
}

// Counters goes through all queues, by topic id and queue id, as a file's
// table would have them. The applier calls it; what it ranges over is a copy.
func (x *Index) Counters() iter.Seq2[indexfile.Row, error] {
	rows := x.counters()
	return func(yield func(indexfile.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Restore replaces all queues by counters without entries. Readers see the old
// ones until it is done.
func (x *Index) Restore(r io.Reader) error {
	d := projection.NewDecoder(x.Name(), r)
	s := newState()
	d.Format(checkpointFormat)
	var before event.Queue
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		q := event.Queue{Topic: event.TopicID(d.Uint32()), ID: d.Uint32()}
		next, born := d.Uint64(), event.Position(d.Uint64())
		if i > 0 && compareQueues(before, q) >= 0 {
			d.Fail("queue %d/%d comes after %d/%d", q.Topic, q.ID, before.Topic, before.ID)
		}
		if next > math.MaxInt64 {
			d.Fail("next offset %d is too large", next)
		}
		if d.Err() == nil {
			l := newLine(q, born, event.Offset(next))
			l.raise(event.Offset(next))
			s.add(l)
		}
		before = q
	}
	if err := d.Close(); err != nil {
		return err
	}
	x.replace(s)
	return nil
}

// Load replaces the counters by those of a table, whose entries are in files
// that Publish tells. A queue that was there before keeps its oldest offset.
func (x *Index) Load(table iter.Seq2[indexfile.Row, error]) error {
	s := newState()
	for row, err := range table {
		if err != nil {
			return err
		}
		l := newLine(row.Queue, row.Born, row.Next)
		if before := x.line(row.Queue); before != nil && before.born == row.Born {
			l.raise(event.Offset(before.floor.Load()))
		}
		s.add(l)
	}
	x.replace(s)
	return nil
}
