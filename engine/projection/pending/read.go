package pending

import (
	"cmp"
	"slices"

	"github.com/apogeemq/apogee/engine/event"
)

// Readers look into memory first and then into the store: what goes from one
// into the other meanwhile is seen twice, and never missed.

// Counts is how many events wait, and which, as of the last commit.
func (t *Table) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// Get returns what waits under a handle, and whether something does.
func (t *Table) Get(handle event.Position) (Entry, bool, error) {
	t.mu.Lock()
	number, found := t.young.find(handle)
	var i item
	if found {
		i = t.young.get(number)
	}
	t.mu.Unlock()
	if found {
		return i.Entry, true, nil
	}
	i, found, err := t.store.get(handle)
	return i.Entry, found, err
}

// Due visits what waits for a time up to through, the earliest first, until
// visit returns false. next is the time of the first one that was not visited,
// math.MaxInt64 for none: Sooner tells when something begins to wait for less.
func (t *Table) Due(kind event.Kind, through int64, visit func(Entry) bool) (next int64, err error) {
	t.mu.Lock()
	t.earliest[indexOf(kind)] = never
	young, next := t.young.due(kind, through)
	t.mu.Unlock()
	more := true
	take := func() bool {
		if more = visit(young[0]); more {
			young = young[1:]
		} else {
			next = young[0].Due
		}
		return more
	}
	nextOld, err := t.store.due(kind, through, func(e Entry) bool {
		for len(young) > 0 && compareDue(young[0], e) <= 0 {
			same := young[0].Handle == e.Handle
			if !take() || same {
				return more
			}
		}
		more = visit(e)
		return more
	})
	for err == nil && more && len(young) > 0 {
		take()
	}
	next = min(next, nextOld)
	if err != nil {
		next = -never
	}
	t.mu.Lock()
	t.earliest[indexOf(kind)] = min(t.earliest[indexOf(kind)], next)
	t.mu.Unlock()
	return next, err
}

// Sooner receives when something begins to wait for a time before that which
// Due said comes next.
func (t *Table) Sooner(kind event.Kind) <-chan struct{} { return t.sooner[indexOf(kind)] }

// Before visits what stands before a position, the oldest first, until visit
// returns false.
func (t *Table) Before(position event.Position, visit func(Entry) bool) error {
	t.mu.Lock()
	young := t.young.before(position, nil)
	t.mu.Unlock()
	slices.SortFunc(young, compareLocation)
	more := true
	err := t.store.before(position, func(e Entry) bool {
		for more && len(young) > 0 && compareLocation(young[0], e) <= 0 {
			more = young[0] == e || visit(young[0])
			young = young[1:]
		}
		more = more && visit(e)
		return more
	})
	for err == nil && more && len(young) > 0 {
		more = visit(young[0])
		young = young[1:]
	}
	return err
}

func compareLocation(a, b Entry) int { return cmp.Compare(a.Location, b.Location) }

// All visits everything, by kind, then by time, then by handle.
func (t *Table) All(visit func(Entry) bool) error {
	more := true
	for _, kind := range []event.Kind{event.KindDelayed, event.KindHalf} {
		_, err := t.Due(kind, never, func(e Entry) bool {
			more = more && visit(e)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}
