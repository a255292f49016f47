package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// resumeCheck answers RESUME_CHECK_HALF_MESSAGE: a message that was given up, as
// nobody told the outcome of its transaction, waits for it again, and its
// producers are asked at once. RocketMQ stores another half message for whatever
// the id names, as often as it is asked to, and each may be committed; here it
// is one that was given up, and once.
func (t *transactions) resumeCheck(rt remoting.ReplyTo, cmd *remoting.Command) {
	id := cmd.Text("msgId")
	position, err := record.ParseMessageID(id)
	if err != nil {
		t.broker.answerError(rt, refuse(remoting.ResponseInvalidParameter, "%v", err))
		return
	}
	missing := refuse(remoting.ResponseSystemError, "no message with the id %s was given up", id)
	t.broker.whenApplied(rt, event.Position(position), missing, func() {
		if err := t.resumeAlone(event.Position(position), missing); err != nil {
			t.broker.answerError(rt, err)
			return
		}
		answer(rt)
	})
}

// resumeAlone is resume for one request at a time.
func (t *transactions) resumeAlone(position event.Position, missing error) error {
	if !t.resuming.TryLock() {
		return refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: another check is being resumed, try again")
	}
	defer t.resuming.Unlock()
	return t.resume(position, missing)
}

// resume stores the message at a position as a half message again and returns
// when it waits.
func (t *transactions) resume(position event.Position, missing error) error {
	b := t.broker
	payload, err := b.givenUp(position, missing)
	if err != nil {
		return err
	}
	again, err := b.hasCaused(position)
	if err != nil {
		return err
	}
	if again {
		return refuse(remoting.ResponseSystemError, "the check of the message at position %d was resumed before", position)
	}
	waitsIn, err := b.sender.halfTopic()
	if err != nil {
		return err
	}
	half, _, err := record.Decode(payload)
	if err != nil {
		return fmt.Errorf("read the message at position %d, which was given up: %w", position, err)
	}
	m := &record.Message{
		Flag: half.Flag, SystemFlag: half.SystemFlag &^ record.FlagTransaction, BornTimestamp: half.BornTimestamp, BornHost: half.BornHost,
		StoreHost: b.config.Address, ReconsumeTimes: half.ReconsumeTimes, Topic: waitsIn.Config.Name,
		Properties: record.AppendUnchecked(nil, half.Properties),
	}
	m.SetBody(half.Body)
	known := record.Properties(m.Properties).Known()
	keys := record.AppendKeyHashes(nil, waitsIn.ID, known.UniqueKey, known.Keys)
	draft := event.Draft{
		Kind: event.KindHalf, Stream: event.StreamQueue, Topic: waitsIn.ID, Due: b.config.Clock().UnixMilli(),
		Cause: position, Keys: append(keys, event.CauseHash(position)), Payload: m,
	}
	ctx, cancel := context.WithTimeout(b.running, b.config.Limits.CreationPatience)
	defer cancel()
	return proposeAndApply(ctx, b.proposer, b.progress, []event.Draft{draft})
}

// givenUp is the record of a message that was given up.
func (b *Broker) givenUp(position event.Position, missing error) (payload []byte, err error) {
	t, found := b.topics.Get(topicHalfExpired)
	if !found {
		return nil, missing
	}
	waits := false
	err = b.queues.ReadAt(position, func(m engine.Message) error {
		waits = m.Event.Kind() == event.KindHalf
		if m.Event.Kind() == event.KindMessage && m.Event.Topic() == t.ID {
			payload = bytes.Clone(m.Event.Payload())
		}
		return nil
	})
	if waits {
		if _, waits, err = b.waiting.Get(position); waits {
			return nil, refuse(remoting.ResponseSystemError, "the message at position %d still waits for its outcome, and its producers are asked", position)
		}
	}
	if err == nil && payload == nil || errors.Is(err, engine.ErrNotFound) {
		err = missing
	}
	return payload, err
}

// hasCaused reports whether a message that was given up is a half message again,
// or was.
func (b *Broker) hasCaused(position event.Position) (found bool, err error) {
	err = b.queues.FindHash(event.CauseHash(position), position, math.MaxUint64, func(m engine.Message) (bool, error) {
		found = m.Event.Kind() == event.KindHalf && m.Event.Cause() == position
		return !found, nil
	})
	return found, err
}
