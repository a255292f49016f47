package queue

import (
	"errors"
	"sort"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// Candidate is an event with the hash of a key. Whether it has the key itself
// is for the reader to see.
type Candidate struct {
	Position event.Position
	file     *indexfile.File // nil while it is in memory
}

// Keys visits the events with a key hash that stand in [from, to), newest
// first, each once, until visit returns false or an error. It looks no
// further than it is asked to.
func (x *Index) Keys(hash uint64, from, to event.Position, visit func(Candidate) (bool, error)) error {
	w := keyWalk{hash: hash, from: from, below: to, visit: visit}
	// Runs come first: one that is written meanwhile is met again as a file,
	// where below passes over what was visited.
	runs := *x.runs.Load()
	for i := len(runs) - 1; i >= 0 && !w.done; i-- {
		if err := w.run(runs[i]); err != nil {
			return err
		}
	}
	for !w.done {
		err := w.files(*x.files.Load())
		if !errors.Is(err, indexfile.ErrRetired) {
			return err
		}
	}
	return nil
}

type keyWalk struct {
	hash  uint64
	from  event.Position
	below event.Position // everything from here on was visited
	visit func(Candidate) (bool, error)
	done  bool
}

// meet visits a candidate unless it was met before.
func (w *keyWalk) meet(c Candidate) error {
	switch {
	case c.Position < w.from:
		w.done = true
	case c.Position < w.below:
		w.below = c.Position
		more, err := w.visit(c)
		w.done = !more
		return err
	}
	return nil
}

// run looks through a run, whose keys are in the order of their events, from
// the last one that is wanted to the first.
func (w *keyWalk) run(r *Run) error {
	if r.Base >= w.below {
		return nil
	}
	at := func(i int) event.Position { return r.Segment + event.Position(r.keys.at(i).Position) }
	end := sort.Search(r.keys.length(), func(i int) bool { return at(i) >= w.below })
	for i := end - 1; i >= 0 && !w.done && at(i) >= w.from; i-- {
		if r.keys.at(i).Hash == w.hash {
			if err := w.meet(Candidate{Position: at(i)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *keyWalk) files(files []*indexfile.File) error {
	for i := len(files) - 1; i >= 0 && !w.done; i-- {
		f := files[i]
		if f.Base >= w.below {
			continue
		}
		if f.End <= w.from {
			break
		}
		if err := w.file(f); err != nil {
			return err
		}
	}
	w.done = true
	return nil
}

func (w *keyWalk) file(f *indexfile.File) error {
	if may, err := f.MayHold(w.hash); !may || err != nil {
		return err
	}
	keys, err := f.KeysBefore(w.hash, w.below)
	if err != nil {
		return err
	}
	for !w.done {
		position, ok, err := keys.Next()
		if !ok || err != nil {
			return err
		}
		if err := w.meet(Candidate{Position: position, file: f}); err != nil {
			return err
		}
	}
	return nil
}

// Locate says where a candidate stands in a queue of the topic. ok is false
// where the candidate is in no queue of it, or is in memory still: then the
// log finds it fast.
func (x *Index) Locate(topic event.TopicID, c Candidate) (q event.Queue, offset event.Offset, e Entry, ok bool, err error) {
	if c.file == nil {
		return
	}
	for row, err := range c.file.RowsOf(topic) {
		if err != nil {
			return q, 0, e, false, err
		}
		i, err := c.file.SlotAt(row, c.Position)
		if err != nil {
			return q, 0, e, false, err
		}
		var slot [1]indexfile.Slot
		if n, err := c.file.Slots(row, i, slot[:]); err != nil {
			return q, 0, e, false, err
		} else if n == 0 {
			continue
		}
		if e = entryOf(c.file.Segment, slot[0]); e.Position == c.Position {
			return row.Queue, row.Next - event.Offset(row.Count) + event.Offset(i), e, true, nil
		}
	}
	return q, 0, Entry{}, false, nil
}
