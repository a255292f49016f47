package pending

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
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
	// CacheBytes is the store's block cache, default 8 MiB.
	CacheBytes int64
	// Text receives what the store reports.
	Text *slog.Logger
}

// memTableBytes bounds what isn't in the store's files yet. The store holds
// two of them at most.
const memTableBytes = 16 << 20

// Table is the events that wait. One goroutine applies; any may read.
type Table struct {
	db *pebble.DB

	// The applier's.
	batch  *pebble.Batch
	id     event.LogID
	counts Counts
	begun  map[event.Kind]int64 // the earliest time of what the batch puts in
	err    error                // the first, of a read or a write
	key    []byte
	value  []byte

	mu        sync.Mutex
	committed Counts
	earliest  map[event.Kind]int64 // nothing waits for less
	oldest    event.Position       // nothing stands before
	sooner    map[event.Kind]chan struct{}
}

// Open opens the table, or makes an empty one where there is none that is good
// and of this log. The place is where in the log the table is.
func Open(o Options) (*Table, Place, error) {
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	t, place, err := open(o)
	if err == nil {
		return t, place, nil
	}
	o.Text.Warn("the table of waiting messages is not good; it is rebuilt from the log", "folder", o.Dir, "cause", err)
	if err := o.FS.RemoveAll(o.Dir); err != nil {
		return nil, Place{}, fmt.Errorf("remove the table of waiting messages %s: %w", o.Dir, err)
	}
	return open(o)
}

// errForeign marks a table of another log or format.
var errForeign = errors.New("it belongs to another log or another version")

func open(o Options) (*Table, Place, error) {
	db, err := openStore(o)
	if err != nil {
		return nil, Place{}, fmt.Errorf("open the table of waiting messages %s: %w", o.Dir, err)
	}
	t := &Table{
		db: db, id: o.Log, batch: db.NewIndexedBatch(), earliest: make(map[event.Kind]int64), begun: make(map[event.Kind]int64),
		sooner: map[event.Kind]chan struct{}{event.KindDelayed: make(chan struct{}, 1), event.KindHalf: make(chan struct{}, 1)},
	}
	place, err := t.load()
	if err != nil {
		return nil, Place{}, errors.Join(err, t.Close())
	}
	return t, place, nil
}

func openStore(o Options) (*pebble.DB, error) {
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(max(o.CacheBytes, 8<<20))
	defer cache.Unref()
	options := &pebble.Options{
		FS: o.FS, Cache: cache, DisableWAL: true, MemTableSize: memTableBytes, MaxOpenFiles: 200,
		FormatMajorVersion: pebble.FormatNewest, Logger: report{o.Text},
	}
	return pebble.Open(o.Dir, options)
}

// load reads the place. A store without one is new.
func (t *Table) load() (Place, error) {
	b, closer, err := t.db.Get([]byte{placeKey})
	if errors.Is(err, pebble.ErrNotFound) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, err
	}
	defer closer.Close()
	place, counts, ok := decodePlace(b, t.id)
	if !ok {
		return Place{}, errForeign
	}
	t.counts, t.committed = counts, counts
	return place, nil
}

// Clear makes the table empty: it is at a place that the log doesn't have.
func (t *Table) Clear() error {
	t.counts, t.committed = Counts{}, Counts{}
	t.mu.Lock()
	clear(t.earliest)
	t.oldest = 0
	t.mu.Unlock()
	if err := t.db.DeleteRange([]byte{0}, []byte{0xff}, pebble.NoSync); err != nil {
		return fmt.Errorf("clear the table of waiting messages: %w", err)
	}
	return t.Flush()
}

// Concerns reports whether an event is one that Apply has to see.
func Concerns(e event.Event) bool { return e.Kind().Waits() || e.Cause() != 0 }

// Apply takes in an event. The first error sticks, and Commit returns it.
func (t *Table) Apply(at projection.Place, e event.Event) {
	if t.err != nil {
		return
	}
	switch cause := e.Cause(); {
	case e.Kind() == event.KindAsked:
		t.err = t.asked(cause, e.Due())
	case e.Kind() == event.KindMoved:
		t.err = t.moved(at, cause, e)
	case cause != 0:
		t.err = t.remove(cause)
	}
	if t.err == nil && e.Kind().Waits() {
		t.err = t.put(&Entry{Handle: at.Position, Kind: e.Kind(), Due: e.Due(), Location: at.Position, Bytes: uint32(len(e))})
	}
}

func (t *Table) asked(handle event.Position, due int64) error {
	e, found, err := get(t.batch, handle)
	if err != nil || !found {
		return err
	}
	if err := t.remove(handle); err != nil {
		return err
	}
	e.Due = due
	e.Asked++
	return t.put(&e)
}

func (t *Table) moved(at projection.Place, handle event.Position, e event.Event) error {
	m, err := event.DecodeMove(e.Payload())
	if err != nil {
		return fmt.Errorf("event at position %d: %w", at.Position, err)
	}
	if err := t.remove(handle); err != nil {
		return err
	}
	return t.put(&Entry{Handle: handle, Kind: m.Kind, Due: e.Due(), Location: at.Position, Bytes: uint32(len(e)), Asked: m.Asked})
}

func (t *Table) put(e *Entry) error {
	t.counts.add(e.Kind, 1)
	t.key, t.value = handleKey(t.key[:0], e.Handle), appendHandleValue(t.value[:0], e)
	err := t.batch.Set(t.key, t.value, nil)
	t.key, t.value = dueKey(t.key[:0], e.Kind, e.Due, e.Handle), appendDueValue(t.value[:0], e)
	err = errors.Join(err, t.batch.Set(t.key, t.value, nil))
	t.key, t.value = locationKey(t.key[:0], e.Location), order.AppendUint64(t.value[:0], uint64(e.Handle))
	err = errors.Join(err, t.batch.Set(t.key, t.value, nil))
	if due, ok := t.begun[e.Kind]; !ok || e.Due < due {
		t.begun[e.Kind] = e.Due
	}
	return err
}

// remove takes an entry out, if there is one.
func (t *Table) remove(handle event.Position) error {
	e := Entry{Handle: handle}
	found, err := read(t.batch, handleKey(t.key[:0], handle), e.decodeHandleValue)
	if err != nil || !found {
		return err
	}
	t.counts.add(e.Kind, -1)
	t.key = handleKey(t.key[:0], handle)
	err = t.batch.Delete(t.key, nil)
	t.key = dueKey(t.key[:0], e.Kind, e.Due, handle)
	err = errors.Join(err, t.batch.Delete(t.key, nil))
	t.key = locationKey(t.key[:0], e.Location)
	return errors.Join(err, t.batch.Delete(t.key, nil))
}

// Commit makes what was applied visible to readers. place is where it ends.
func (t *Table) Commit(place Place) error {
	if t.err != nil || t.batch.Empty() {
		return t.err
	}
	return t.commit(place)
}

// Mark is Commit also where nothing was applied, so that a restart doesn't
// read the log from further back.
func (t *Table) Mark(place Place) error {
	if t.err != nil {
		return t.err
	}
	return t.commit(place)
}

func (t *Table) commit(place Place) error {
	t.value = appendPlace(t.value[:0], t.id, place, t.counts)
	err := t.batch.Set([]byte{placeKey}, t.value, nil)
	if err = errors.Join(err, t.batch.Commit(pebble.NoSync)); err != nil {
		t.err = fmt.Errorf("write the table of waiting messages: %w", err)
		return t.err
	}
	t.batch.Reset()
	t.mu.Lock()
	t.committed = t.counts
	t.mu.Unlock()
	t.noteSooner()
	return nil
}

// Flush writes what is committed to files; it may be called by any goroutine.
func (t *Table) Flush() error {
	if err := t.db.Flush(); err != nil {
		return fmt.Errorf("flush the table of waiting messages: %w", err)
	}
	return nil
}

// Close closes the store. What was not flushed is applied again from the log.
func (t *Table) Close() error { return errors.Join(t.batch.Close(), t.db.Close()) }

// report passes the store's lines on.
type report struct{ text *slog.Logger }

func (r report) Infof(format string, args ...any) {
	r.text.Debug(fmt.Sprintf("pending: "+format, args...))
}
func (r report) Errorf(format string, args ...any) {
	r.text.Error(fmt.Sprintf("pending: "+format, args...))
}
func (r report) Fatalf(format string, args ...any) {
	panic("FATAL: table of waiting messages: " + fmt.Sprintf(format, args...))
}
