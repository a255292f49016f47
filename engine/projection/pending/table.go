package pending

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Options of a table.
type Options struct {
	// FS and Dir are where the store is. A nil FS keeps it in memory.
	FS  vfs.FS
	Dir string
	// Log is the log that the table belongs to.
	Log event.LogID
	// CacheBytes is the store's block cache, default 16 MiB.
	CacheBytes int64
	// YoungEntries bounds how much is kept in memory, default 262,144 entries of
	// some 50 bytes.
	YoungEntries int
	// Text receives what the store reports.
	Text *slog.Logger
}

const (
	defaultYoungEntries = 1 << 18
	// youngLogBytes bounds how old what is in memory may get, in bytes of the
	// log, as a start has to read that part of it again: in less than half a
	// second. At full load it is some seconds' worth.
	youngLogBytes = 384 << 20
	// placesPerEntry bounds the memory for what has ended, behind something that
	// hasn't.
	placesPerEntry = 2
	// stepEntries is how much goes from memory into the store at once, besides
	// as much as has come.
	stepEntries = 1024
	// keptStages bounds the memory that is kept for the changes of a frame.
	keptStages = 1 << 13

	never = int64(math.MaxInt64)
)

// Table is the events that wait. One goroutine applies; any may read.
type Table struct {
	store        *store
	youngEntries int

	// The applier's.
	staged []change         // by events of the frame
	at     Place            // everything before is applied
	aged   []uint64         // numbers of young entries that go into the store
	old    []event.Position // handles that the frame's events name and that aren't young
	begun  [kinds]int64     // the earliest time of what the frame has put in
	err    error            // the first, of a read or a write

	mu       sync.Mutex
	young    young
	counts   Counts
	earliest [kinds]int64 // somebody waits for it, and is told what is due before
	sooner   [kinds]chan struct{}
}

// Open opens the table, or makes an empty one where there is none that is good
// and of this log. The place is where in the log the table is.
func Open(o Options) (*Table, Place, error) {
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	s, err := openStore(o)
	if err != nil {
		o.Text.Warn("the table of waiting messages is not good; it is rebuilt from the log", "folder", o.Dir, "cause", err)
		if err := o.FS.RemoveAll(o.Dir); err != nil {
			return nil, Place{}, fmt.Errorf("remove the table of waiting messages %s: %w", o.Dir, err)
		}
		s, err = openStore(o)
	}
	if err != nil {
		return nil, Place{}, err
	}
	t := &Table{store: s, youngEntries: o.YoungEntries, at: s.place, young: newYoung(), counts: s.counts}
	if t.youngEntries == 0 {
		t.youngEntries = defaultYoungEntries
	}
	for i := range kinds {
		t.earliest[i], t.begun[i], t.sooner[i] = -never, never, make(chan struct{}, 1)
	}
	return t, s.place, nil
}

// Clear makes the table empty, to begin at a place of the log. It is called
// where it is at one that the log doesn't have.
func (t *Table) Clear(at Place) error {
	t.mu.Lock()
	t.young, t.counts = newYoung(), Counts{}
	t.mu.Unlock()
	t.staged, t.at = t.staged[:0], at
	return t.store.clear(at)
}

// change is what an event does to an entry.
type change struct {
	does  does
	entry Entry          // only what the event says of it
	of    event.Position // of the event
}

type does uint8

const (
	begins does = iota
	asks        // for the outcome; Due is new
	moves
	ends
)

// Concerns reports whether an event is one that Apply has to see.
func Concerns(e event.Event) bool { return e.Kind().Waits() || e.Cause() != 0 }

// Apply takes in an event. The first error sticks, and Commit returns it.
func (t *Table) Apply(at projection.Place, e event.Event) {
	if t.err != nil {
		return
	}
	c := change{does: ends, entry: Entry{Handle: e.Cause(), Due: e.Due()}, of: at.Position}
	switch {
	case e.Kind() == event.KindAsked:
		c.does = asks
		t.staged = append(t.staged, c)
	case e.Kind() == event.KindMoved:
		m, err := event.DecodeMove(e.Payload())
		if err != nil {
			t.err = fmt.Errorf("event at position %d: %w", at.Position, err)
			return
		}
		c.does = moves
		c.entry.Kind, c.entry.Location, c.entry.Bytes, c.entry.Asked = m.Kind, at.Position, uint32(len(e)), m.Asked
		t.staged = append(t.staged, c)
	case e.Cause() != 0:
		t.staged = append(t.staged, c)
	}
	if e.Kind().Waits() {
		t.staged = append(t.staged, change{does: begins, of: at.Position,
			entry: Entry{Handle: at.Position, Kind: e.Kind(), Due: e.Due(), Location: at.Position, Bytes: uint32(len(e))}})
	}
}

// Commit makes the changes of a frame visible to readers. place is where it
// ends.
func (t *Table) Commit(place Place) error {
	begun := 0
	if t.err == nil {
		t.err = t.readAhead()
	}
	for i := range t.staged {
		if t.err != nil {
			return t.err
		}
		c := &t.staged[i]
		if c.does == begins {
			begun++
		}
		t.err = t.carryOut(c)
	}
	if cap(t.staged) > keptStages {
		t.staged = nil
	}
	t.staged, t.at = t.staged[:0], place
	if t.err == nil {
		t.err = t.age(max(stepEntries, 2*begun))
	}
	if t.err == nil {
		t.err = t.store.commitAt(t.place())
	}
	if t.err == nil {
		t.tell()
	}
	return t.err
}

// readAhead has the store read at once what the changes of a frame are about:
// messages that are due at one time lie side by side there.
func (t *Table) readAhead() error {
	t.old = t.old[:0]
	for i := range t.staged {
		if t.staged[i].does == begins {
			continue
		}
		if _, isYoung := t.young.find(t.staged[i].entry.Handle); !isYoung {
			t.old = append(t.old, t.staged[i].entry.Handle)
		}
	}
	return t.store.readAhead(t.old)
}

func (t *Table) carryOut(c *change) error {
	if c.does == begins {
		t.begin(&item{Entry: c.entry})
		return nil
	}
	number, isYoung := t.young.find(c.entry.Handle)
	found := isYoung
	var old item
	if isYoung {
		old = t.young.get(number)
	} else {
		var err error
		if old, found, err = t.store.take(c.entry.Handle); err != nil {
			return err
		}
	}
	switch {
	case c.does == ends && found && isYoung:
		t.endYoung(number, &old)
	case c.does == ends && found:
		t.endOld(&old)
	case c.does == moves && !found: // where it began is trimmed
		t.begin(&item{Entry: c.entry, asOf: c.of})
	case c.does == ends || !found || c.of <= old.asOf:
	default:
		renewed := item{Entry: old.Entry, asOf: c.of}
		renewed.Due, renewed.Asked = c.entry.Due, old.Asked+1
		if c.does == moves {
			renewed.Entry = c.entry
		}
		t.renew(&old, &renewed, number, isYoung)
	}
	return nil
}

// begin adds an entry: in memory, or in the store if it began before others did.
func (t *Table) begin(i *item) {
	isYoung := i.asOf == 0 && t.young.follows(i.Handle)
	if !isYoung {
		t.store.put(i)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if isYoung {
		t.young.begin(&i.Entry, t.at)
	}
	t.counts.add(&i.Entry)
	t.note(i)
}

func (t *Table) endYoung(number uint64, i *item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.remove(&i.Entry)
	t.young.end(number)
}

func (t *Table) endOld(i *item) {
	t.store.remove(i)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.remove(&i.Entry)
}

func (t *Table) renew(old, renewed *item, number uint64, isYoung bool) {
	if !isYoung {
		t.store.remove(old)
		t.store.put(renewed)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if isYoung {
		t.young.change(number, renewed)
	}
	t.counts.remove(&old.Entry)
	t.counts.add(&renewed.Entry)
	t.note(renewed)
}

func (t *Table) note(i *item) {
	t.begun[indexOf(i.Kind)] = min(t.begun[indexOf(i.Kind)], i.Due)
}

// tell wakes who waits for a later time than something has begun to wait for.
func (t *Table) tell() {
	for kind, due := range t.begun {
		t.begun[kind] = never
		if due == never {
			continue
		}
		t.mu.Lock()
		is := due < t.earliest[kind]
		if is {
			t.earliest[kind] = due
		}
		t.mu.Unlock()
		if is {
			select {
			case t.sooner[kind] <- struct{}{}:
			default:
			}
		}
	}
}

// age puts the oldest of what is in memory into the store, if it is too much or
// too old, some entries at a time.
func (t *Table) age(most int) error {
	for most > 0 {
		oldest, any := t.young.oldest()
		if !any || t.young.live <= t.youngEntries && t.young.entries.len() <= placesPerEntry*t.youngEntries &&
			t.at.Position-oldest.Position <= youngLogBytes {
			return nil
		}
		t.aged = t.young.oldestFrame(t.aged[:0])
		most -= len(t.aged)
		for _, number := range t.aged {
			i := t.young.get(number)
			t.store.put(&i)
		}
		place := t.at
		if second, any := t.young.second(); any {
			place = second
		}
		// They are in the store before they leave memory, so that a reader who
		// looks into memory first finds each.
		if err := t.store.commitAt(place); err != nil {
			return err
		}
		t.mu.Lock()
		for _, number := range t.aged {
			t.young.end(number)
		}
		t.mu.Unlock()
	}
	return nil
}

// place is the one before which the store has everything that waits.
func (t *Table) place() Place {
	if oldest, any := t.young.oldest(); any {
		return oldest
	}
	return t.at
}

// Mark is Commit also where nothing was applied, so that a restart doesn't
// read the log from further back.
func (t *Table) Mark(place Place) error {
	if err := t.Commit(place); err != nil {
		return err
	}
	t.err = t.store.mark()
	return t.err
}

// Keep writes what is in the store to its files where it is much, or long ago
// that they were written. It may be called by any goroutine.
func (t *Table) Keep() error { return t.store.keep() }

// Flush writes what is in the store to its files. It may be called by any
// goroutine.
func (t *Table) Flush() error { return t.store.flush() }

// Close closes the store. What was not flushed is applied again from the log.
func (t *Table) Close() error { return t.store.close() }

// errForeign marks a table of another log or format.
var errForeign = errors.New("it belongs to another log or another version")
