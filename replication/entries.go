package replication

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// entries is the log as the Raft of a Group sees it: entries of events come
// without their data. Nobody who gets them from Raft needs it, neither the
// state machine, which reads the log, nor the transport, which is lent the data
// when it sends it.
type entries struct {
	*LogStore
	members *memberFile
	// voteless has no vote in any configuration while it is set: the node begins
	// as a slave of another, whatever its log says.
	voteless *atomic.Pointer[raft.ServerID]
}

// GetLog reads an entry. Those of events come without data, which isn't read.
func (s entries) GetLog(index uint64, entry *raft.Log) error {
	return s.get(index, entry, func() error {
		h, known := s.heads.of(event.Index(index))
		if !known {
			var err error
			if h, err = s.header(event.Index(index)); err != nil {
				return err
			}
		}
		if h.Kind != commitlog.FrameEvents {
			return s.whole(index, entry)
		}
		if !known {
			s.heads.keep(h)
		}
		*entry = raft.Log{Index: index, Term: uint64(h.Term), AppendedAt: time.UnixMilli(h.Timestamp), Type: raft.LogCommand}
		return nil
	})
}

// whole reads an entry with its data.
func (s entries) whole(index uint64, entry *raft.Log) error {
	return s.visit(event.Index(index), func(f commitlog.Frame) error {
		if err := s.decode(&f, entry); err != nil || f.Kind != commitlog.FrameConfiguration {
			return err
		}
		if node := s.voteless.Load(); node != nil {
			entry.Data = raft.EncodeConfiguration(withoutVote(raft.DecodeConfiguration(entry.Data), *node))
		}
		return nil
	})
}

// StoreLog stores one entry.
func (s entries) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs notes configurations before the log has them, so that a start
// finds the newest without reading the log.
func (s entries) StoreLogs(logs []*raft.Log) error {
	for _, e := range logs {
		if e.Type == raft.LogConfiguration {
			if err := s.members.note(event.Index(e.Index), e.Data); err != nil {
				return fmt.Errorf("store entry %d: %w", e.Index, err)
			}
		}
	}
	return s.LogStore.StoreLogs(logs)
}

// TermAt implements transport.Entries.
func (s entries) TermAt(index event.Index) event.Term {
	var entry raft.Log
	if s.GetLog(uint64(index), &entry) != nil {
		return 0
	}
	return event.Term(entry.Term)
}

// Lend implements transport.Entries.
func (s entries) Lend(index, term uint64, visit func(data []byte, behind int64) error) error {
	s.cutting.RLock()
	defer s.cutting.RUnlock()
	end, _, position := s.log.End()
	if index > uint64(end) {
		return raft.ErrLogNotFound
	}
	return s.visit(event.Index(index), func(f commitlog.Frame) error {
		if uint64(f.Term) != term || f.Kind != commitlog.FrameEvents {
			return raft.ErrLogNotFound
		}
		return visit(f.Data, int64(position-f.End()))
	})
}
