package duty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

const (
	// moveBytesMax bounds the events that are moved with one proposal.
	moveBytesMax = 64 << 10
	// moveGatherMax is how many are looked up at once.
	moveGatherMax = 4096
)

// MoverConfig is what a Mover works with.
type MoverConfig struct {
	Waiting    Waiting
	Events     Events
	Proposer   Proposer
	Settlement *settlement.Settlement
	// Room is how much can still be stored to free space, math.MaxInt64 where
	// the disk isn't full.
	Room func() int64
}

// Mover stores again what waits in a part of the log that is going to be
// dropped: delayed messages and half messages.
type Mover struct {
	config  MoverConfig
	metrics *moverMetrics
}

// NewMover returns a mover.
func NewMover(c MoverConfig) *Mover { return &Mover{config: c, metrics: newMoverMetrics()} }

// MoveBefore returns when nothing waits before a position any more, as far as
// is applied. One goroutine at a time calls it.
//
// On a full disk nothing is moved unless there is room for everything: what is
// moved in vain takes the room for what could be.
func (m *Mover) MoveBefore(ctx context.Context, position event.Position) error {
	for {
		if err := m.checkRoom(position); err != nil {
			return err
		}
		var found []pending.Entry
		err := m.config.Waiting.Before(position, func(e pending.Entry) bool {
			found = append(found, e)
			return len(found) < moveGatherMax
		})
		if err != nil || len(found) == 0 {
			return err
		}
		moved, err := m.moveAll(ctx, found)
		if err != nil {
			return fmt.Errorf("move the messages that wait before position %d: %w", position, err)
		}
		if moved > 0 {
			continue
		}
		select { // others have decided about all of them; that is going to be applied
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

// movedBytes is what a copy has besides the event that it is of, at most: its
// cause and the head of a frame, which it may have for itself.
const movedBytes = 128

// checkRoom refuses to move what there is no room for.
func (m *Mover) checkRoom(position event.Position) error {
	room := m.config.Room()
	if room == math.MaxInt64 {
		return nil
	}
	need := int64(0)
	err := m.config.Waiting.Before(position, func(e pending.Entry) bool {
		need += int64(e.Bytes) + movedBytes
		return need <= room
	})
	if err == nil && need > room {
		err = fmt.Errorf("the disk is full, and what waits before position %d does not fit into the %d bytes that are held back for moving it: free space on the disk", position, room)
	}
	return err
}

// Clear is the position before which nothing waits, position at most.
func (m *Mover) Clear(position event.Position) (event.Position, error) {
	err := m.config.Waiting.Before(position, func(e pending.Entry) bool {
		position = min(position, e.Location)
		return false
	})
	return position, err
}

func (m *Mover) moveAll(ctx context.Context, entries []pending.Entry) (moved int, err error) {
	for len(entries) > 0 && err == nil {
		b := &moving{done: make(chan struct{})}
		entries, err = m.gather(b, entries)
		if err == nil && len(b.drafts) > 0 {
			err = m.store(ctx, b)
		} else {
			m.withdraw(b)
		}
		if err == nil {
			moved += len(b.drafts)
		}
	}
	return moved, err
}

// gather takes the first entries, as many as one proposal may have.
func (m *Mover) gather(b *moving, entries []pending.Entry) ([]pending.Entry, error) {
	for len(entries) > 0 && (b.bytes == 0 || b.bytes+int(entries[0].Bytes) <= moveBytesMax) {
		e, ok, err := m.config.Settlement.Begin(entries[0].Handle)
		if err != nil {
			return entries, err
		}
		entries = entries[1:]
		if !ok {
			continue
		}
		b.handles = append(b.handles, e.Handle)
		draft, err := m.copyOf(e)
		if err != nil {
			return entries, err
		}
		b.drafts = append(b.drafts, draft)
		b.bytes += draft.EncodedBytes()
	}
	return entries, nil
}

// copyOf is the event that stores an entry's message again. It is found as the
// first copy was.
func (m *Mover) copyOf(e pending.Entry) (event.Draft, error) {
	move := event.Move{Kind: e.Kind, Asked: e.Asked}
	var keys []uint64
	err := m.config.Events.ReadEntry(e.Location, int(e.Bytes), func(message engine.Message) error {
		payload, err := settlement.Record(message.Event)
		move.Payload = bytes.Clone(payload)
		for i := range message.Event.KeyCount() {
			keys = append(keys, message.Event.Key(i))
		}
		return err
	})
	return event.Draft{Kind: event.KindMoved, Due: e.Due, Cause: e.Handle, Keys: keys, Payload: event.Bytes(event.AppendMove(nil, move))}, err
}

// store proposes what was gathered and waits until it is applied.
func (m *Mover) store(ctx context.Context, b *moving) error {
	b.proposal = engine.Proposal{Drafts: b.drafts, Completion: b}
	if err := m.config.Proposer.Propose(&b.proposal); err != nil {
		m.withdraw(b)
		return err
	}
	<-b.done
	if b.proposal.Outcome == engine.OutcomeUnknown {
		return errors.New("what became of some of them is not known")
	}
	last := b.proposal.Position
	for i, handle := range b.handles {
		last = b.proposal.PositionOf(i)
		m.config.Settlement.Concluded(handle, last)
	}
	m.metrics.moved.Add(len(b.handles))
	return m.config.Events.WaitApplied(ctx, last)
}

func (m *Mover) withdraw(b *moving) {
	for _, handle := range b.handles {
		m.config.Settlement.Withdraw(handle)
	}
}

// moving is one proposal of a mover.
type moving struct {
	handles  []event.Position
	drafts   []event.Draft
	bytes    int
	proposal engine.Proposal
	done     chan struct{}
}

// Complete wakes the mover.
func (b *moving) Complete(*engine.Proposal) { close(b.done) }
