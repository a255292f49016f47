package replication

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// LogStore is the CommitLog as Raft's log: one write, no second copy. Raft's
// entries are frames:
//
//	LogCommand        events frame: the data is the encoded events
//	LogNoop           noop frame with one filler byte
//	LogBarrier        barrier frame with one filler byte
//	LogConfiguration  configuration frame: the log's id, then the data
//
// The time at which the leader appended an entry becomes the frame's timestamp,
// so that frames are the same on every replica.
//
// Raft calls StoreLogs, DeleteRange and, through the state machine's Restore,
// Reset one at a time. Reads are safe beside them.
type LogStore struct {
	log  *commitlog.Log
	mark commitlog.Mark // what StoreLogs waits for

	// told is the last entry that Raft knows of: Raft keeps that number for
	// itself. The log may end later, with entries of a StoreLogs that failed,
	// or earlier, after a Reset or a failed StoreLogs that followed a
	// DeleteRange.
	told atomic.Uint64
	// shortened is told before the DeleteRange that the next StoreLogs belongs
	// to, 0 for none. Raft forgets the deleted entries only when that one
	// succeeds. Used by StoreLogs and DeleteRange alone.
	shortened uint64

	cutting sync.RWMutex // held by readers, and to shorten or reset the log

	watcher storeWatcher // nil for none
	// beforeCut is told from where on the log is about to be truncated, and may
	// refuse; nil for nobody.
	beforeCut func(from event.Index) error
	since     atomic.Int64 // when the StoreLogs under way began, Unix nanoseconds; 0 for none
	// ahead: entries that this node proposes are sent to others while its own disk
	// stores them; unstored are those.
	ahead    bool
	unstored unstored

	mu      sync.Mutex
	cursors []*commitlog.Cursor // at the entries that are likely to be read next

	heads heads
}

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)

// storeWatcher is told what becomes of entries. It must not block.
type storeWatcher interface {
	// proposed reports whether all entries are what this node proposes as the
	// leader.
	proposed(entries []*raft.Log) bool
	// placed: frames are in the log, the last one where the ticket says.
	placed(frames []commitlog.Batch, last commitlog.Ticket)
	// stored: StoreLogs is about to return, with or without an error, and the
	// mark has passed the log up to an index.
	stored(entries []*raft.Log, through event.Index)
	// lose: entries that were in the log are not any more.
	lose()
}

// NewLogStore wraps an open log. StoreLogs returns when mark has passed the
// entries: Durable, or Written with ASYNC_FLUSH.
func NewLogStore(l *commitlog.Log, mark commitlog.Mark) *LogStore {
	s := &LogStore{log: l, mark: mark}
	end, _, _ := l.End()
	s.told.Store(uint64(end))
	return s
}

// IsMonotonic tells Raft that the log can't hold gaps.
func (s *LogStore) IsMonotonic() bool { return true }

// FirstIndex is the index of the oldest entry, 0 for an empty log.
func (s *LogStore) FirstIndex() (uint64, error) {
	first, _ := s.log.First()
	if end, _, _ := s.log.End(); first > end {
		return 0, nil
	}
	return uint64(first), nil
}

// LastIndex is the index of the newest entry, 0 for an empty log.
func (s *LogStore) LastIndex() (uint64, error) {
	first, _ := s.log.First()
	end, _, _ := s.log.End()
	if first > end {
		return 0, nil
	}
	return uint64(end), nil
}

// logGone is the type of an entry whose data isn't there: of the one before a
// trimmed log, and of those that were dropped while Raft still counts on them.
// No store accepts it, so that it never passes for an entry: a replica
// may be reading entries to send them when they are trimmed. Raft panics if it
// is asked to apply one.
const logGone raft.LogType = 255

// GetLog reads an entry. The entry before the first one that a trimmed log
// holds is known by index and term; Raft needs it to continue from there. An
// entry that is gone, and that Raft still believes in, is of term 0: in conflict
// with whatever the leader sends. For everything else that isn't there it
// returns raft.ErrLogNotFound.
func (s *LogStore) GetLog(index uint64, entry *raft.Log) error {
	return s.get(index, entry, func() error {
		return s.visit(event.Index(index), func(f commitlog.Frame) error { return s.decode(&f, entry) })
	})
}

// get is GetLog with a read of its own for what is in the log.
func (s *LogStore) get(index uint64, entry *raft.Log, read func() error) error {
	s.cutting.RLock()
	defer s.cutting.RUnlock()
	b := s.log.Base()
	if index == 0 || index < uint64(b.Index) {
		return raft.ErrLogNotFound
	}
	if index == uint64(b.Index) {
		*entry = raft.Log{Index: index, Term: uint64(b.Term), Type: logGone, AppendedAt: time.UnixMilli(b.Timestamp)}
		return nil
	}
	end, _, _ := s.log.End()
	if index > uint64(end) && index <= s.told.Load() {
		*entry = raft.Log{Index: index, Type: logGone}
		return nil
	}
	if index > uint64(end) {
		return raft.ErrLogNotFound
	}
	err := read()
	if errors.Is(err, commitlog.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	return err
}

// cursorsMax is how many runs of reads are followed at a time: two for each
// replica that is catching up, and one for this node.
const cursorsMax = 8

// visit reads a frame with a cursor that stands there, so that a run of reads
// goes through the log once.
func (s *LogStore) visit(index event.Index, read func(commitlog.Frame) error) error {
	return s.with(index, func(c *commitlog.Cursor) error { return c.Visit(index, read) })
}

// header reads the header of a frame as visit reads frames.
func (s *LogStore) header(index event.Index) (h commitlog.Header, err error) {
	err = s.with(index, func(c *commitlog.Cursor) error {
		h, err = c.Header()
		return err
	})
	return h, err
}

func (s *LogStore) with(index event.Index, read func(*commitlog.Cursor) error) error {
	c, known := s.takeCursor(index)
	err := read(c)
	if err != nil && known {
		// What stood there may have been truncated since.
		c = s.log.CursorFrom(index)
		err = read(c)
	}
	if err == nil {
		s.keepCursor(c)
	}
	return err
}

func (s *LogStore) takeCursor(index event.Index) (c *commitlog.Cursor, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.cursors {
		if c.Next() == index {
			s.cursors = slices.Delete(s.cursors, i, i+1)
			return c, true
		}
	}
	return s.log.CursorFrom(index), false
}

func (s *LogStore) keepCursor(c *commitlog.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cursors) == cursorsMax {
		s.cursors = slices.Delete(s.cursors, 0, 1)
	}
	s.cursors = append(s.cursors, c)
}

// decode copies a frame: Raft keeps entries for longer than a visit.
func (s *LogStore) decode(f *commitlog.Frame, entry *raft.Log) error {
	*entry = raft.Log{Index: uint64(f.Index), Term: uint64(f.Term), AppendedAt: time.UnixMilli(f.Timestamp)}
	switch f.Kind {
	case commitlog.FrameEvents:
		entry.Type, entry.Data = raft.LogCommand, append([]byte(nil), f.Data...)
	case commitlog.FrameNoop:
		entry.Type = raft.LogNoop
	case commitlog.FrameBarrier:
		entry.Type = raft.LogBarrier
	case commitlog.FrameConfiguration:
		id := s.log.Meta().Log
		if len(f.Data) < len(id) || event.LogID(f.Data[:len(id)]) != id {
			return fmt.Errorf("read frame %d: %w: the configuration is of another log", f.Index, commitlog.ErrCorrupt)
		}
		entry.Type, entry.Data = raft.LogConfiguration, append([]byte(nil), f.Data[len(id):]...)
	}
	return nil
}

// StoreLog stores one entry.
func (s *LogStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries, which continue the log, and returns when the mark
// has passed them; with ahead, what this node proposes counts for Raft as soon as
// it is appended, and for nobody else (Stored). Entries that are refused change
// nothing. Where the disk fills up, or the log fails, the first of them may stay;
// Raft doesn't count on them, and sends them again or others in their place.
func (s *LogStore) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	s.since.Store(time.Now().UnixNano())
	err := s.store(entries)
	s.since.Store(0)
	if s.watcher != nil {
		s.watcher.stored(entries, s.Stored())
	}
	if err != nil {
		s.told.Store(max(s.told.Load(), s.shortened))
	}
	s.shortened = 0
	return err
}

func (s *LogStore) store(entries []*raft.Log) error {
	through := entries[len(entries)-1].Index
	ahead := s.ahead && s.watcher.proposed(entries)
	entries, err := s.continueLeftovers(entries)
	if err != nil {
		return err
	}
	batches, err := s.batches(entries)
	if err != nil {
		return err
	}
	last, err := s.log.AppendAll(batches)
	if err != nil {
		return fmt.Errorf("store entries to %d: %w", through, err)
	}
	if s.watcher != nil {
		s.watcher.placed(batches, last)
	}
	if ahead {
		s.unstored.add(event.Index(through), time.Unix(0, s.since.Load()))
	} else if err := s.log.Wait(commitlog.Ticket{Index: event.Index(through)}, s.mark); err != nil {
		return err
	}
	s.told.Store(through)
	return nil
}

// batches encodes entries that continue the log.
func (s *LogStore) batches(entries []*raft.Log) ([]commitlog.Batch, error) {
	batches := make([]commitlog.Batch, len(entries))
	end, term, _ := s.log.End()
	for i, e := range entries {
		if e.Index != uint64(end)+uint64(i)+1 {
			return nil, fmt.Errorf("store entry %d: the log ends with %d; delete the suffix first", e.Index, uint64(end)+uint64(i))
		}
		if e.Term < uint64(term) {
			return nil, fmt.Errorf("store entry %d: term %d after term %d", e.Index, e.Term, term)
		}
		b, err := s.encode(e)
		if err != nil {
			return nil, fmt.Errorf("store entry %d: %w", e.Index, err)
		}
		batches[i], term = b, b.Term
	}
	return batches, nil
}

// continueLeftovers deals with what a StoreLogs that failed left behind what
// Raft knows of. Entries that are there already are passed over: index and
// term name an entry. What differs from them is truncated.
func (s *LogStore) continueLeftovers(entries []*raft.Log) ([]*raft.Log, error) {
	for len(entries) > 0 {
		end, _, _ := s.log.End()
		e := entries[0]
		if e.Index > uint64(end) || e.Index <= s.told.Load() {
			break
		}
		var there raft.Log
		if err := s.GetLog(e.Index, &there); err != nil {
			return nil, fmt.Errorf("store entry %d: %w", e.Index, err)
		}
		if there.Term != e.Term {
			return entries, s.cut(e.Index)
		}
		entries = entries[1:]
	}
	return entries, nil
}

// filler is the data of frames that carry none: every frame has a byte, so
// that positions tell frames apart.
var filler = []byte{0}

func (s *LogStore) encode(e *raft.Log) (commitlog.Batch, error) {
	b := commitlog.Batch{Term: event.Term(e.Term), Data: e.Data}
	if !e.AppendedAt.IsZero() {
		b.Timestamp = e.AppendedAt.UnixMilli()
	}
	if len(e.Extensions) > 0 {
		return b, errors.New("extensions are not supported")
	}
	switch e.Type {
	case raft.LogCommand:
		n, err := countEvents(e.Data)
		if err != nil {
			return b, err
		}
		b.Kind, b.Events = commitlog.FrameEvents, n
	case raft.LogNoop, raft.LogBarrier:
		if len(e.Data) > 0 {
			return b, fmt.Errorf("%d bytes in an entry of type %v, which has none", len(e.Data), e.Type)
		}
		b.Kind, b.Data = commitlog.FrameNoop, filler
		if e.Type == raft.LogBarrier {
			b.Kind = commitlog.FrameBarrier
		}
	case raft.LogConfiguration:
		id := s.log.Meta().Log
		b.Kind, b.Data = commitlog.FrameConfiguration, append(id[:len(id):len(id)], e.Data...)
	default:
		return b, fmt.Errorf("entries of type %v are not supported", e.Type)
	}
	if most := s.log.DataBytesMax(); len(b.Data) > most {
		return b, fmt.Errorf("%d bytes: %w; at most %d are allowed", len(b.Data), commitlog.ErrTooLarge, most)
	}
	return b, nil
}

// countEvents checks that a command is a list of events and counts them.
func countEvents(data []byte) (int, error) {
	n := 0
	for len(data) > 0 {
		_, rest, err := event.Split(data)
		if err != nil {
			return n, err
		}
		n, data = n+1, rest
	}
	if n == 0 {
		return 0, errors.New("the command holds no event")
	}
	return n, nil
}

// DeleteRange deletes entries. A range that ends with the newest entry is a
// suffix, in conflict with the leader's log: it is gone for good when
// DeleteRange returns, be it the whole log. Any other range that begins with
// the oldest entry is a hint that a snapshot covers it: retention decides what
// goes, so nothing happens. Raft's TrailingLogs must not be 0, for then the
// hint can be the whole log, too.
func (s *LogStore) DeleteRange(first, last uint64) error {
	oldest, _ := s.log.First()
	end, _, _ := s.log.End()
	told := s.told.Load()
	switch {
	case first > last || first > max(told, uint64(end)) || last < uint64(oldest):
		return nil
	case last >= told:
		return s.truncate(first)
	case first <= uint64(oldest):
		return nil
	}
	return fmt.Errorf("delete entries %d to %d of %d to %d: the log can't hold a gap", first, last, oldest, end)
}

func (s *LogStore) truncate(first uint64) error {
	end, _, _ := s.log.End()
	s.shortened = max(s.shortened, s.told.Load())
	s.told.Store(min(first-1, uint64(end)))
	if first > uint64(end) {
		return nil
	}
	return s.cut(first)
}

func (s *LogStore) cut(first uint64) error {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	if s.beforeCut != nil {
		if err := s.beforeCut(event.Index(first)); err != nil {
			return err
		}
	}
	if s.watcher != nil {
		s.watcher.lose()
	}
	s.heads.forget()
	defer s.unstored.clear()
	if oldest, _ := s.log.First(); first <= uint64(oldest) {
		return s.log.Reset(s.log.Base())
	}
	return s.log.Truncate(event.Index(first))
}

// Reset drops the whole log, which goes on after base. A state machine calls it
// in Restore, when the checkpoint that it restored is durable.
//
// Raft doesn't forget the entries that it had before a snapshot was installed.
// Those past the snapshot are in conflict with the leader's log; GetLog says so
// until Raft has deleted them.
func (s *LogStore) Reset(base commitlog.Base) error {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	if s.watcher != nil {
		s.watcher.lose()
	}
	s.heads.forget()
	defer s.unstored.clear()
	return s.log.Reset(base)
}

// Stored is how far the mark has passed the log: up to there this node's copy
// counts among those of a majority.
func (s *LogStore) Stored() event.Index { return reached(s.log.Marks(), s.mark) }

func reached(m commitlog.Marks, mark commitlog.Mark) event.Index {
	if mark == commitlog.Durable {
		return m.Durable
	}
	return m.Written
}

// hangs reports whether entries have been waiting for the disk for longer than
// limit.
func (s *LogStore) hangs(limit time.Duration) bool {
	since := s.since.Load()
	return since != 0 && time.Now().UnixNano()-since > int64(limit) || s.unstored.age(s.Stored()) > limit
}
