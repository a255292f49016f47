package clustertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

// fold is the state machine: it folds the log, as a projection does, into the
// number of events and a digest of them, and remembers the group's
// configuration. At the end of each segment it keeps its state, for Trim.
type fold struct {
	life *life

	mu       sync.Mutex
	cursor   *commitlog.Cursor
	state    summary
	segment  event.Position // of the frame applied last
	ends     []segmentEnd   // that can be trimmed to, oldest first
	restored int            // how often a snapshot was restored
}

type segmentEnd struct {
	index event.Index
	state summary
}

// summary is the state. It is a section of the checkpoint.
type summary struct {
	events, digest uint64
	configuration  raft.Configuration
}

func (s summary) Name() string { return "summary" }

func (s summary) Checkpoint(w io.Writer) error {
	b := binary.LittleEndian.AppendUint64(nil, s.events)
	_, err := w.Write(binary.LittleEndian.AppendUint64(b, s.digest))
	return err
}

// add takes in the data of a frame of events.
func (s *summary) add(data []byte) {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, s.digest)
	_, _ = h.Write(data)
	s.digest = h.Sum64()
}

// newFold begins with the base checkpoint, if there is one, or with nothing.
func newFold(l *life) (*fold, error) {
	m := &fold{life: l}
	metas, err := l.snapshots.List()
	if err != nil {
		return nil, err
	}
	if len(metas) == 0 {
		m.beginAt(commitlog.Base{})
		return m, nil
	}
	_, source, err := l.snapshots.Open(metas[0].ID)
	if err != nil {
		return nil, err
	}
	h, err := m.read(source)
	if err = errors.Join(err, source.Close()); err != nil {
		return nil, err
	}
	m.beginAt(replication.BaseOf(h))
	return m, nil
}

func (m *fold) beginAt(base commitlog.Base) {
	m.cursor = m.life.log.CursorFrom(base.Index + 1)
	m.segment, m.ends = base.Position, nil
}

// read takes the state of a checkpoint.
func (m *fold) read(r io.Reader) (checkpoint.Header, error) {
	c, err := checkpoint.NewReader(r, m.life.log.Meta().Log)
	if err != nil {
		return checkpoint.Header{}, err
	}
	name, section, err := c.Next()
	if err != nil || name != (summary{}).Name() {
		return checkpoint.Header{}, fmt.Errorf("section %q: %w", name, err)
	}
	var b [16]byte
	if _, err := io.ReadFull(section, b[:]); err != nil {
		return checkpoint.Header{}, err
	}
	if _, _, err := c.Next(); !errors.Is(err, io.EOF) {
		return checkpoint.Header{}, fmt.Errorf("after the last section: %w", err)
	}
	le := binary.LittleEndian
	m.state = summary{
		events: le.Uint64(b[:]), digest: le.Uint64(b[8:]), configuration: raft.DecodeConfiguration(c.Header().Configuration),
	}
	return c.Header(), nil
}

// Apply implements raft.FSM. Raft hands over what it has read; the fold reads
// the log itself, frames without events included.
func (m *fold) Apply(entry *raft.Log) any {
	m.applyThrough(event.Index(entry.Index))
	return nil
}

// ApplyBatch implements raft.BatchingFSM.
func (m *fold) ApplyBatch(entries []*raft.Log) []any {
	m.applyThrough(event.Index(entries[len(entries)-1].Index))
	return make([]any, len(entries))
}

func (m *fold) applyThrough(index event.Index) {
	m.life.do(func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := m.cursor.Visit(index, m.apply); err != nil {
			return fmt.Errorf("apply through frame %d: %w", index, err)
		}
		return nil
	})
}

func (m *fold) apply(f commitlog.Frame) error {
	if f.Segment != m.segment {
		m.ends = append(m.ends, segmentEnd{index: f.Index - 1, state: m.state})
		m.segment = f.Segment
	}
	var numbers []uint64
	switch f.Kind {
	case commitlog.FrameConfiguration:
		m.state.configuration = raft.DecodeConfiguration(f.Data[len(event.LogID{}):])
	case commitlog.FrameEvents:
		m.state.add(f.Data)
		for data := f.Data; len(data) > 0; {
			e, rest, err := event.Split(data)
			if err != nil {
				return err
			}
			if err := e.Verify(m.life.log.Seed()); err != nil {
				return err
			}
			m.state.events++
			numbers, data = append(numbers, number(e)), rest
		}
	}
	m.life.node.cluster.ledger.applied(string(m.life.node.id), &f, m.state.digest)
	for _, n := range numbers {
		m.life.node.cluster.ledger.seen(n)
	}
	return nil
}

// Restore implements raft.FSM: the snapshot has become the base checkpoint.
func (m *fold) Restore(source io.ReadCloser) error {
	defer source.Close()
	return m.life.do(func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		h, err := m.read(source)
		if err != nil {
			return err
		}
		if err := m.life.store.Reset(replication.BaseOf(h)); err != nil {
			return err
		}
		m.beginAt(replication.BaseOf(h))
		m.restored++
		return nil
	})
}

// Snapshot implements raft.FSM. Only Trim makes checkpoints.
func (m *fold) Snapshot() (raft.FSMSnapshot, error) {
	return nil, errors.New("the base checkpoint is made by Trim")
}

// trim drops the oldest segments but for keep of those that are applied.
func (m *fold) trim(keep int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ends) <= keep {
		return nil
	}
	i := len(m.ends) - 1 - keep
	end := m.ends[i]
	m.ends = m.ends[i+1:]
	return m.life.snapshots.Trim(end.index, end.state.configuration, end.state)
}

func (m *fold) next() event.Index {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursor.Next()
}

func (m *fold) restores() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.restored
}
