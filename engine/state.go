package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/lock"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/retention"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// state is the projections that are small enough to be in memory as a whole.
type state struct {
	topics    *topic.Table
	offsets   *offset.Table
	groups    *group.Table
	retention *retention.Table
	locks     *lock.Table
}

func newState() *state {
	return &state{topics: topic.New(), offsets: offset.New(), groups: group.New(), retention: retention.New(), locks: lock.New()}
}

func (s *state) projections() []projection.Projection {
	return []projection.Projection{s.topics, s.offsets, s.groups, s.retention, s.locks}
}

func (s *state) apply(at projection.Place, e event.Event) {
	for _, p := range s.projections() {
		p.Apply(at, e)
	}
}

// concernsState reports whether an event may change a state. Messages, of
// which there are many, and what is about waiting ones and deliveries, don't.
func concernsState(e event.Event) bool {
	switch k := e.Kind(); k {
	case event.KindMessage, event.KindDelivered:
		return false
	default:
		return k < event.KindDelayed || k > event.KindMoved
	}
}

// stateEvent is an event that a state has still to take in.
type stateEvent struct {
	at    projection.Place
	event event.Event
}

// place is where a state belongs in the log: after this frame.
type place struct {
	index     event.Index
	term      event.Term
	position  event.Position // after the frame
	timestamp int64
	chain     uint32
	// configuration of the group there, as far as it is known: only a base
	// checkpoint needs it.
	configuration []byte
}

// logBase is where the log goes on behind the place.
func (p place) logBase() commitlog.Base {
	return commitlog.Base{Index: p.index, Term: p.term, Position: p.position, Timestamp: p.timestamp, Chain: p.chain}
}

func (p place) header(id event.LogID) checkpoint.Header {
	return checkpoint.Header{LogID: id, Index: p.index, Term: p.term, Position: p.position, Timestamp: p.timestamp, ChainCRC: p.chain,
		Configuration: p.configuration}
}

func placeOf(h checkpoint.Header) place {
	return place{index: h.Index, term: h.Term, position: h.Position, timestamp: h.Timestamp, chain: h.ChainCRC, configuration: h.Configuration}
}

// writeCheckpoint writes a checkpoint of the projections.
func writeCheckpoint(w io.Writer, id event.LogID, at place, parts []projection.Projection) error {
	sections := make([]checkpoint.Section, len(parts))
	for i, p := range parts {
		sections[i] = p
	}
	return checkpoint.Write(w, at.header(id), sections...)
}

// restoreCheckpoint restores the projections from a checkpoint that has
// exactly their sections, but for the last one: checkpoints of logs in which
// locks were no events yet end before it. After an error some of the
// projections may be restored.
func restoreCheckpoint(r io.Reader, id event.LogID, parts []projection.Projection) (place, error) {
	c, err := checkpoint.NewReader(r, id)
	if err != nil {
		return place{}, err
	}
	for _, p := range parts {
		name, section, err := c.Next()
		if errors.Is(err, io.EOF) && p.Name() == lock.Name {
			name, section, err = lock.Name, noLocks(), nil
		}
		if err != nil {
			return place{}, err
		}
		if name != p.Name() {
			return place{}, fmt.Errorf("restore checkpoint: %w: section %q, expected %q", checkpoint.ErrCorrupt, name, p.Name())
		}
		if err := p.Restore(section); err != nil {
			return place{}, err
		}
	}
	if name, _, err := c.Next(); !errors.Is(err, io.EOF) {
		return place{}, errors.Join(fmt.Errorf("restore checkpoint: section %q is unknown to this version", name), err)
	}
	return placeOf(c.Header()), nil
}

// noLocks is the section of a table without locks.
func noLocks() io.Reader {
	var b bytes.Buffer
	if err := lock.New().Checkpoint(&b); err != nil {
		panic("BUG: a buffer refused a checkpoint: " + err.Error())
	}
	return &b
}

// copyInto makes another state equal to s.
func (s *state) copyInto(other *state) error {
	to := other.projections()
	for i, p := range s.projections() {
		var b bytes.Buffer
		if err := p.Checkpoint(&b); err != nil {
			return err
		}
		if err := to[i].Restore(&b); err != nil {
			return err
		}
	}
	return nil
}
