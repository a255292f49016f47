package pending

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/apogeemq/apogee/engine/event"
)

func (c *Counts) add(kind event.Kind, n int64) { *c.of(kind) += n }

// Counts is how many events wait, as of the last commit.
func (t *Table) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.committed
}

// Get returns what waits under a handle, and whether something does.
func (t *Table) Get(handle event.Position) (Entry, bool, error) { return get(t.db, handle) }

// getTries bounds how often a read is repeated that met a commit half-way.
const getTries = 100

func get(from pebble.Reader, handle event.Position) (Entry, bool, error) {
	for range getTries {
		e, found, again, err := getOnce(from, handle)
		if !again || err != nil {
			return e, found, err
		}
	}
	return Entry{}, false, fmt.Errorf("pending: handle %d has no due key; delete the folder of the table, it is rebuilt", handle)
}

// getOnce reports again if a commit came between its two reads, and what waits
// has ended or changed.
func getOnce(from pebble.Reader, handle event.Position) (e Entry, found, again bool, err error) {
	e.Handle = handle
	found, err = read(from, handleKey(make([]byte, 0, 32), handle), e.decodeHandleValue)
	if err != nil || !found {
		return Entry{}, false, false, err
	}
	key := dueKey(make([]byte, 0, 32), e.Kind, e.Due, handle)
	found, err = read(from, key, func(value []byte) (err error) {
		e, err = decodeDue(key, value)
		return err
	})
	return e, found, !found, err
}

func read(from pebble.Reader, key []byte, decode func([]byte) error) (bool, error) {
	b, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the table of waiting messages: %w", err)
	}
	return true, errors.Join(decode(b), closer.Close())
}

// Due visits what waits for a time up to through, the earliest first, until
// visit returns false. next is the time of the first one that was not visited,
// math.MaxInt64 for none.
func (t *Table) Due(kind event.Kind, through int64, visit func(Entry) bool) (next int64, err error) {
	t.mu.Lock()
	from, known := t.earliest[kind]
	if !known {
		from = math.MinInt64
	}
	// Entries that are committed while the iterator runs lower it again.
	t.earliest[kind] = math.MaxInt64
	t.mu.Unlock()
	next, first := int64(math.MaxInt64), int64(math.MaxInt64)
	err = t.iterate(dueKey(nil, kind, from, 0), []byte{byDue, byte(kind) + 1}, func(key, value []byte) (bool, error) {
		e, err := decodeDue(key, value)
		if err != nil {
			return false, err
		}
		first = min(first, e.Due)
		if e.Due > through || !visit(e) {
			next = e.Due
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		first = from
	}
	t.noteEarliest(kind, first)
	return next, err
}

// Sooner receives when something begins to wait for a time before all others
// of its kind.
func (t *Table) Sooner(kind event.Kind) <-chan struct{} { return t.sooner[kind] }

// noteEarliest lowers the time that nothing waits before.
func (t *Table) noteEarliest(kind event.Kind, due int64) (lowered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.earliest[kind]
	if ok && due < known {
		t.earliest[kind] = due
		return true
	}
	return false
}

// noteSooner tells of what has begun to wait with the last commit.
func (t *Table) noteSooner() {
	for kind, due := range t.begun {
		if !t.noteEarliest(kind, due) {
			continue
		}
		select {
		case t.sooner[kind] <- struct{}{}:
		default:
		}
	}
	clear(t.begun)
}

// Before visits what stands before a position, the oldest first, until visit
// returns false.
func (t *Table) Before(position event.Position, visit func(Entry) bool) error {
	t.mu.Lock()
	from := t.oldest
	t.mu.Unlock()
	oldest := position
	err := t.iterate(locationKey(nil, from), locationKey(nil, position), func(key, value []byte) (bool, error) {
		if len(key) != 9 || len(value) != 8 {
			return false, fmt.Errorf("pending: location key of %d bytes with %d, expected 9 with 8", len(key), len(value))
		}
		at := event.Position(order.Uint64(key[1:]))
		oldest = min(oldest, at)
		e, found, err := t.Get(event.Position(order.Uint64(value)))
		if err != nil || !found || e.Location != at {
			return err == nil, err
		}
		return visit(e), nil
	})
	if err == nil && oldest > from {
		t.mu.Lock()
		t.oldest = max(t.oldest, oldest)
		t.mu.Unlock()
	}
	return err
}

// All visits everything, by kind, then by time, then by handle.
func (t *Table) All(visit func(Entry) bool) error {
	return t.iterate([]byte{byDue}, []byte{byDue + 1}, func(key, value []byte) (bool, error) {
		e, err := decodeDue(key, value)
		return err == nil && visit(e), err
	})
}

func (t *Table) iterate(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	it, err := t.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("read the table of waiting messages: %w", err)
	}
	for more := it.First(); more && err == nil; {
		if more, err = visit(it.Key(), it.Value()); more {
			more = it.Next()
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}
