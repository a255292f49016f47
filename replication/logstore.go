package replication

import (
	"errors"
	"fmt"
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
type LogStore struct {
	log  *commitlog.Log
	mark commitlog.Mark // what StoreLogs waits for
}

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)

// NewLogStore wraps an open log. StoreLogs returns when mark has passed the
// entries: Durable, or Written with ASYNC_FLUSH.
func NewLogStore(l *commitlog.Log, mark commitlog.Mark) *LogStore {
	return &LogStore{log: l, mark: mark}
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

// GetLog reads an entry. The entry before the first one that a trimmed log
// holds is known by index and term; Raft needs it to continue from there. For
// everything else that isn't there it returns raft.ErrLogNotFound.
func (s *LogStore) GetLog(index uint64, entry *raft.Log) error {
	if b := s.log.Base(); index > 0 && index == uint64(b.Index) {
		*entry = raft.Log{Index: index, Term: uint64(b.Term), Type: raft.LogNoop, AppendedAt: time.UnixMilli(b.Timestamp)}
		return nil
	}
	err := s.log.NewReader().Frame(event.Index(index), func(f commitlog.Frame) error {
		return s.decode(&f, entry)
	})
	if errors.Is(err, commitlog.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	return err
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
// has passed them. After an error the log has failed or refuses them; entries
// before the refused one may be stored, and Raft stores them again after it
// has deleted the suffix.
func (s *LogStore) StoreLogs(entries []*raft.Log) error {
	var last commitlog.Ticket
	for _, e := range entries {
		end, _, _ := s.log.End()
		if e.Index != uint64(end)+1 {
			return fmt.Errorf("store entry %d: the log ends with %d; delete the suffix first", e.Index, end)
		}
		b, err := s.encode(e)
		if err != nil {
			return fmt.Errorf("store entry %d: %w", e.Index, err)
		}
		if last, err = s.log.Append(b); err != nil {
			return fmt.Errorf("store entry %d: %w", e.Index, err)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return s.log.Wait(last, s.mark)
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
		b.Kind = commitlog.FrameEvents
		n, err := countEvents(e.Data)
		b.Events = n
		return b, err
	case raft.LogNoop:
		b.Kind, b.Data = commitlog.FrameNoop, filler
	case raft.LogBarrier:
		b.Kind, b.Data = commitlog.FrameBarrier, filler
	case raft.LogConfiguration:
		id := s.log.Meta().Log
		b.Kind, b.Data = commitlog.FrameConfiguration, append(id[:len(id):len(id)], e.Data...)
	default:
		return b, fmt.Errorf("entries of type %v are not supported", e.Type)
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
// suffix, in conflict with the leader's log: it is truncated, durably. A range
// that begins with the oldest is a hint that a snapshot covers it: retention
// decides what goes, so nothing happens. Both at once means that a snapshot
// has replaced the log; whoever installed it has reset the log already.
func (s *LogStore) DeleteRange(first, last uint64) error {
	oldest, _ := s.FirstIndex()
	newest, _ := s.LastIndex()
	switch {
	case newest == 0 || last < oldest || first > newest:
		return nil
	case first <= oldest:
		return nil
	case last >= newest:
		return s.log.Truncate(event.Index(first))
	}
	return fmt.Errorf("delete entries %d to %d of %d to %d: the log can't hold a gap", first, last, oldest, newest)
}
