package pending

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/apogeemq/apogee/engine/event"
)

// bounds are where entries begin. What has ended leaves marks in the store
// until it is compacted; the bounds let a reader begin behind them.
type bounds struct {
	due      [kinds]int64
	location event.Position
}

// below is where nothing is known, above where nothing is.
func below() bounds { return bounds{due: [kinds]int64{-never, -never}} }
func above() bounds {
	return bounds{due: [kinds]int64{never, never}, location: math.MaxUint64}
}

func (b *bounds) lower(to *bounds) {
	for kind, due := range to.due {
		b.due[kind] = min(b.due[kind], due)
	}
	b.location = min(b.location, to.location)
}

func (b *bounds) raise(to *bounds) {
	for kind, due := range to.due {
		b.due[kind] = max(b.due[kind], due)
	}
	b.location = max(b.location, to.location)
}

// enter begins a read: nothing is below from. came takes in what is committed
// from here on, which the read may not see.
func (s *store) enter() (from bounds, came *bounds) {
	b := above()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[&b] = struct{}{}
	return s.bound, &b
}

// leave ends a read that has found nothing below a bound.
func (s *store) leave(came *bounds, found bounds) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, came)
	found.lower(came)
	s.bound.raise(&found)
}

// lowerBounds is called when what was put in can be found.
func (s *store) lowerBounds() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound.lower(&s.lowest)
	for b := range s.readers {
		b.lower(&s.lowest)
	}
	s.lowest = above()
}

// due visits what is due by through, the earliest first, until visit returns
// false, and returns the time of the first that was not visited.
func (s *store) due(kind event.Kind, through int64, visit func(Entry) bool) (next int64, err error) {
	k := indexOf(kind)
	from, came := s.enter()
	found := below()
	defer func() { s.leave(came, found) }()
	next, first := never, never
	it, err := s.iterator(dueKey(nil, kind, from.due[k], 0), []byte{byDue, byte(kind) + 1})
	if err != nil {
		return next, err
	}
	for more := it.First(); more && err == nil; more = more && it.Next() {
		var e Entry
		if e, err = decodeDue(it.Key(), it.Value()); err != nil {
			break
		}
		first = min(first, e.Due)
		if more = e.Due <= through && visit(e); !more {
			next = e.Due
		}
	}
	if err = closed(it, err); err == nil {
		found.due[k] = first
	}
	return next, err
}

// before visits what stands before a position, the oldest first.
func (s *store) before(position event.Position, visit func(Entry) bool) error {
	from, came := s.enter()
	found := below()
	defer func() { s.leave(came, found) }()
	if from.location >= position {
		return nil
	}
	m, err := s.openMerge(from.location, position)
	if err != nil {
		return err
	}
	oldest := position
	for err == nil {
		var i item
		if i, err = m.next(); err != nil || i.Kind == 0 {
			break
		}
		oldest = min(oldest, i.Location)
		if !visit(i.Entry) {
			break
		}
	}
	if err = errors.Join(err, m.close()); err == nil {
		found.location = oldest
	}
	return err
}

// merge goes through the entries by location: those that stand where they
// began, and those that were moved.
type merge struct {
	store     *store
	here      *pebble.Iterator
	elsewhere *pebble.Iterator
}

func (s *store) openMerge(from, to event.Position) (*merge, error) {
	here, err := s.iterator(handleKey(nil, from), handleKey(nil, to))
	if err != nil {
		return nil, err
	}
	elsewhere, err := s.iterator(locationKey(nil, from), locationKey(nil, to))
	if err != nil {
		return nil, closed(here, err)
	}
	here.First()
	elsewhere.First()
	return &merge{store: s, here: here, elsewhere: elsewhere}, nil
}

func (m *merge) close() error { return errors.Join(closed(m.here, nil), closed(m.elsewhere, nil)) }

// next is the next entry, one of kind 0 at the end.
func (m *merge) next() (item, error) {
	unmoved, err := m.unmoved()
	if err != nil {
		return item{}, err
	}
	for m.elsewhere.Valid() {
		at := event.Position(order.Uint64(m.elsewhere.Key()[1:]))
		if unmoved.Kind != 0 && unmoved.Location < at {
			break
		}
		handle := event.Position(order.Uint64(m.elsewhere.Value()))
		m.elsewhere.Next()
		// What was moved again meanwhile is passed over: it stands later.
		if i, found, err := m.store.get(handle); err != nil || found && i.Location == at {
			return i, err
		}
	}
	if unmoved.Kind != 0 {
		m.here.Next()
	}
	return unmoved, nil
}

// unmoved is the entry at which here is, after passing over moved ones.
func (m *merge) unmoved() (item, error) {
	for ; m.here.Valid(); m.here.Next() {
		i := item{Entry: Entry{Handle: event.Position(order.Uint64(m.here.Key()[1:]))}}
		if err := i.decodeHandleValue(m.here.Value()); err != nil {
			return item{}, err
		}
		if i.Location == i.Handle {
			return i, nil
		}
	}
	return item{}, nil
}

func (s *store) iterator(from, to []byte) (*pebble.Iterator, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, fmt.Errorf("read the table of waiting messages: %w", err)
	}
	return it, nil
}

// closed closes an iterator and returns what went wrong.
func closed(it *pebble.Iterator, err error) error { return errors.Join(err, it.Error(), it.Close()) }
