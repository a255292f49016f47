package pending

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	// memTableBytes bounds what isn't in the store's files yet. The store holds
	// two of them at most.
	memTableBytes     = 16 << 20
	defaultCacheBytes = 16 << 20
	// keepBytes and keepLogBytes say when files are written: when so much has
	// changed, or the files are so far behind in the log.
	keepBytes    = 1 << 20
	keepLogBytes = 128 << 20
	openFilesMax = 200
)

// store is the entries that are no longer young, on disk.
type store struct {
	db   *pebble.DB
	id   event.LogID
	text *slog.Logger

	// The applier's.
	batch   *pebble.Batch
	changed map[event.Position]struct{} // by the batch
	place   Place                       // everything that began before and waits is in the store
	written Place                       // the place that the store has
	counts  Counts
	lowest  bounds // of what the batch puts in
	near    []item // read ahead for take, by handle; kind 0 for none
	key     []byte
	value   []byte

	failed   chan error    // the newest that the database met by itself
	bytes    atomic.Int64  // changed since files were written
	position atomic.Uint64 // of the place that the store has
	kept     atomic.Uint64 // of the place that the files have, at least

	mu      sync.Mutex
	bound   bounds               // nothing is below
	readers map[*bounds]struct{} // take in what is put in meanwhile
}

func openStore(o Options) (*store, error) {
	s := &store{id: o.Log, text: o.Text, changed: make(map[event.Position]struct{}), failed: make(chan error, 1), lowest: above(), bound: below(), readers: make(map[*bounds]struct{})}
	err := s.open(o)
	if err != nil {
		return nil, fmt.Errorf("open the table of waiting messages %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *store) open(o Options) error {
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	cacheBytes := o.CacheBytes
	if cacheBytes == 0 {
		cacheBytes = defaultCacheBytes
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	db, err := pebble.Open(o.Dir, &pebble.Options{
		FS: o.FS, Cache: cache, DisableWAL: true, MemTableSize: memTableBytes, MaxOpenFiles: openFilesMax,
		FormatMajorVersion: pebble.FormatNewest, Logger: report{o.Text},
		EventListener: &pebble.EventListener{BackgroundError: s.fail},
	})
	if err != nil {
		return err
	}
	s.db, s.batch = db, db.NewBatch()
	if err := s.load(); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// load reads the place. A store without one is new.
func (s *store) load() error {
	_, err := s.read([]byte{placeKey}, func(b []byte) error {
		place, counts, ok := decodePlace(b, s.id)
		if !ok {
			return errForeign
		}
		s.place, s.written, s.counts = place, place, counts
		s.position.Store(uint64(place.Position))
		s.kept.Store(uint64(place.Position))
		return nil
	})
	return err
}

// clear removes everything.
func (s *store) clear(at Place) error {
	s.batch.Reset()
	clear(s.changed)
	s.counts = Counts{}
	err := s.db.DeleteRange([]byte{0}, []byte{0xff}, pebble.NoSync)
	if err != nil {
		return fmt.Errorf("clear the table of waiting messages: %w", err)
	}
	return errors.Join(s.commitAt(at), s.mark(), s.flush())
}

// readAheadMin is how many entries are worth an iterator.
const readAheadMin = 4

// readAhead reads the entries with these handles, which it sorts, for take.
func (s *store) readAhead(handles []event.Position) error {
	s.near = s.near[:0]
	if len(handles) < readAheadMin || s.isEmpty() {
		return nil
	}
	slices.Sort(handles)
	it, err := s.iterator(handleKey(nil, handles[0]), []byte{byHandle + 1})
	if err != nil {
		return err
	}
	more := it.First()
	for i := 0; i < len(handles) && err == nil; i++ {
		s.key = handleKey(s.key[:0], handles[i])
		if more && bytes.Compare(it.Key(), s.key) < 0 {
			if more = it.Next(); more && bytes.Compare(it.Key(), s.key) < 0 {
				more = it.SeekGE(s.key)
			}
		}
		found := item{Entry: Entry{Handle: handles[i]}}
		if more && bytes.Equal(it.Key(), s.key) {
			err = found.decodeHandleValue(it.Value())
		}
		s.near = append(s.near, found)
	}
	return closed(it, err)
}

// take reads an entry that is going to change. The changes of a batch can't be
// read, so one with a change of it is committed first.
func (s *store) take(handle event.Position) (item, bool, error) {
	if _, is := s.changed[handle]; is {
		if err := s.commit(); err != nil {
			return item{}, false, err
		}
		return s.get(handle)
	}
	if s.isEmpty() {
		return item{}, false, nil
	}
	i, is := slices.BinarySearchFunc(s.near, handle, func(i item, h event.Position) int { return cmp.Compare(i.Handle, h) })
	if is {
		return s.near[i], s.near[i].Kind != 0, nil
	}
	return s.get(handle)
}

// isEmpty reports whether nothing is in the store, as the batch leaves it.
func (s *store) isEmpty() bool { return s.counts == Counts{} }

func (s *store) get(handle event.Position) (i item, found bool, err error) {
	i.Handle = handle
	found, err = s.read(handleKey(make([]byte, 0, 16), handle), i.decodeHandleValue)
	return i, found, err
}

func (s *store) read(key []byte, decode func([]byte) error) (bool, error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the table of waiting messages: %w", err)
	}
	return true, errors.Join(decode(b), closer.Close())
}

// put adds an entry to the batch. Changes of a batch have no errors.
func (s *store) put(i *item) {
	s.changed[i.Handle] = struct{}{}
	s.counts.add(&i.Entry)
	s.key, s.value = handleKey(s.key[:0], i.Handle), i.appendHandleValue(s.value[:0])
	_ = s.batch.Set(s.key, s.value, nil)
	s.key, s.value = dueKey(s.key[:0], i.Kind, i.Due, i.Handle), i.appendDueValue(s.value[:0])
	_ = s.batch.Set(s.key, s.value, nil)
	if i.Location != i.Handle {
		s.key, s.value = locationKey(s.key[:0], i.Location), order.AppendUint64(s.value[:0], uint64(i.Handle))
		_ = s.batch.Set(s.key, s.value, nil)
	}
	s.lowest.due[indexOf(i.Kind)] = min(s.lowest.due[indexOf(i.Kind)], i.Due)
	s.lowest.location = min(s.lowest.location, i.Location)
}

// remove takes an entry out with the batch.
func (s *store) remove(i *item) {
	s.changed[i.Handle] = struct{}{}
	s.counts.remove(&i.Entry)
	s.key = handleKey(s.key[:0], i.Handle)
	_ = s.batch.Delete(s.key, nil)
	s.key = dueKey(s.key[:0], i.Kind, i.Due, i.Handle)
	_ = s.batch.Delete(s.key, nil)
	if i.Location != i.Handle {
		s.key = locationKey(s.key[:0], i.Location)
		_ = s.batch.Delete(s.key, nil)
	}
}

// commit writes the batch, with the place that the store has come to before.
func (s *store) commit() error {
	if s.batch.Empty() {
		return nil
	}
	s.value = appendPlace(s.value[:0], s.id, s.place, s.counts)
	_ = s.batch.Set([]byte{placeKey}, s.value, nil)
	s.bytes.Add(int64(s.batch.Len()))
	if err := s.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write the table of waiting messages: %w", err)
	}
	s.batch.Reset()
	clear(s.changed)
	s.near = s.near[:0]
	s.lowerBounds()
	s.written = s.place
	s.position.Store(uint64(s.place.Position))
	return nil
}

// commitAt writes the batch with a new place, if there is one.
func (s *store) commitAt(place Place) error {
	s.place = place
	return s.commit()
}

// mark writes the place alone.
func (s *store) mark() error {
	if s.written == s.place {
		return nil
	}
	s.value = appendPlace(s.value[:0], s.id, s.place, s.counts)
	_ = s.batch.Set([]byte{placeKey}, s.value, nil)
	return s.commit()
}

func (s *store) keep() error {
	if s.bytes.Load() < keepBytes && s.position.Load()-s.kept.Load() < keepLogBytes {
		return nil
	}
	return s.flush()
}

// flush writes files. The database tries a write that failed again without
// end, as on a full disk; whoever waits for it would wait as long, so the first
// failure ends the wait. What isn't in files is in the log.
func (s *store) flush() error {
	position := s.position.Load()
	select {
	case <-s.failed: // of a flush before
	default:
	}
	flushed, err := s.db.AsyncFlush()
	if err == nil {
		select {
		case <-flushed:
			s.bytes.Store(0)
			s.kept.Store(position)
			return nil
		case err = <-s.failed:
		}
	}
	return fmt.Errorf("flush the table of waiting messages: %w", err)
}

// fail notes an error of the database's own goroutines, and tells the first
// since somebody looked.
func (s *store) fail(err error) {
	select {
	case s.failed <- err:
		s.text.Error("pending: " + err.Error())
	default:
	}
}

func (s *store) close() error { return errors.Join(s.batch.Close(), s.db.Close()) }

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
