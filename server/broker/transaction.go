package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// Outcomes of a transaction as END_TRANSACTION has them. Anything else means
// that the producer doesn't know yet.
const (
	outcomeCommit   = int64(record.FlagCommitted)
	outcomeRollback = int64(record.FlagTransaction)
)

// Bounds of ends that come before their half message is applied.
const (
	earlyEndsMax     = 1024
	earlyEndPatience = 5 * time.Second
)

// transactions ends transactions and asks producers about those that don't end.
//
// A half message is named for life by its position, its handle. The event that
// ends it has the handle as its cause, so a message is committed or dropped
// once: a second end finds nothing that waits, and one that comes while the
// first is on its way finds the handle taken.
type transactions struct {
	broker *Broker
	early  chan struct{} // one element per end that waits for its half message
	turn   atomic.Uint32 // of the producers that are asked
}

func newTransactions(b *Broker) *transactions {
	return &transactions{broker: b, early: make(chan struct{}, earlyEndsMax)}
}

// ending is an END_TRANSACTION.
type ending struct {
	handle     event.Position
	group      string
	uniqueKey  string // "" when the client doesn't tell
	outcome    int64
	afterCheck bool // the producer was asked
}

// end answers END_TRANSACTION, which RocketMQ's clients send one-way.
func (t *transactions) end(rt remoting.ReplyTo, cmd *remoting.Command) {
	e, err := readEnding(cmd)
	switch {
	case err != nil:
		t.broker.answerError(rt, err)
	case e.outcome != outcomeCommit && e.outcome != outcomeRollback:
		// Still unknown. RocketMQ sends no answer at all; a client that waits
		// for one is better off with it.
		answer(rt)
	case e.handle < t.broker.progress.Marks().AppliedPosition:
		t.broker.read(rt, func() { t.conclude(rt, e) })
	default:
		t.concludeEarly(rt, e)
	}
}

func readEnding(cmd *remoting.Command) (ending, error) {
	position, placed := cmd.Int("commitLogOffset")
	outcome, decided := cmd.Int("commitOrRollback")
	if !placed || position < 0 || !decided {
		return ending{}, refuse(remoting.ResponseInvalidParameter,
			"the end of a transaction needs the numbers commitLogOffset and commitOrRollback; they are [%s] and [%s]",
			cmd.Text("commitLogOffset"), cmd.Text("commitOrRollback"))
	}
	return ending{handle: event.Position(position), group: cmd.Text("producerGroup"), uniqueKey: cmd.Text("msgId"),
		outcome: outcome, afterCheck: cmd.Bool("fromTransactionCheck")}, nil
}

// concludeEarly waits for the half message first: its send was answered when it
// was committed, and it becomes visible a moment later.
func (t *transactions) concludeEarly(rt remoting.ReplyTo, e ending) {
	select {
	case t.early <- struct{}{}:
	default:
		t.broker.answerError(rt, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d ends of transactions wait for their messages", earlyEndsMax))
		return
	}
	t.broker.work.Go(func() {
		defer func() { <-t.early }()
		ctx, cancel := context.WithTimeout(t.broker.running, earlyEndPatience)
		defer cancel()
		if err := t.broker.progress.WaitApplied(ctx, e.handle); err != nil {
			t.broker.answerError(rt, errNothingWaits(e.handle))
			return
		}
		t.conclude(rt, e)
	})
}

func errNothingWaits(handle event.Position) error {
	return refuse(remoting.ResponseSystemError,
		"Find prepared transaction message failed: no half message waits at position %d; perhaps it has ended already", handle)
}

// conclude proposes the outcome, if the half message still waits for one.
func (t *transactions) conclude(rt remoting.ReplyTo, e ending) {
	entry, free, err := t.broker.settlement.Begin(e.handle)
	switch {
	case err != nil:
	case !free:
		err = errNothingWaits(e.handle)
	default:
		if err = t.propose(rt, e, entry); err != nil {
			t.broker.settlement.Withdraw(e.handle)
		}
	}
	if err != nil {
		t.broker.answerError(rt, err)
	}
}

func (t *transactions) propose(rt remoting.ReplyTo, e ending, entry pending.Entry) error {
	if entry.Kind != event.KindHalf {
		return errNothingWaits(e.handle)
	}
	half, err := t.broker.readHalf(entry)
	if err != nil {
		return err
	}
	if err := half.admit(&e, &t.broker.config); err != nil {
		return err
	}
	c := &conclusion{transactions: t, replyTo: rt, handle: e.handle, topic: string(half.properties.Topic), outcome: rolledBack}
	draft := event.Draft{Kind: event.KindDropped, Cause: e.handle,
		Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRolledBack}))}
	if e.outcome == outcomeCommit {
		c.outcome = committed
		target, found := t.broker.topics.Get(c.topic)
		if !found {
			return refuse(remoting.ResponseTopicNotExist, "topic[%s] not exist, apply first please! The transaction goes on waiting.", c.topic)
		}
		if draft, err = t.commitDraft(half, target); err != nil {
			return err
		}
	}
	return c.propose(draft)
}

// halfMessage is a half message as stored.
type halfMessage struct {
	handle       event.Position
	storedMillis int64 // or when it was moved
	moved        bool
	record       record.Record
	properties   record.Half
}

// readHalf reads what waits.
func (b *Broker) readHalf(entry pending.Entry) (*halfMessage, error) {
	h := &halfMessage{handle: entry.Handle}
	var payload []byte
	err := b.queues.ReadAt(entry.Location, func(m engine.Message) error {
		h.storedMillis, payload = m.Timestamp, m.Event.Payload()
		if m.Event.Kind() == event.KindMoved {
			h.moved = true
			move, err := event.DecodeMove(payload)
			if err != nil {
				return err
			}
			payload = move.Payload
		}
		payload = bytes.Clone(payload)
		return nil
	})
	if err == nil {
		h.record, _, err = record.Decode(payload)
	}
	placed := false
	if err == nil {
		h.properties, placed = record.Properties(h.record.Properties).Half()
	}
	if err == nil && !placed {
		err = errors.New("it doesn't say where it goes")
	}
	if err != nil {
		return nil, fmt.Errorf("read the half message %d: %w", entry.Handle, err)
	}
	return h, nil
}

// admit refuses an end that is not of this message. The position names it; the
// group and the unique key show that the client means it.
func (h *halfMessage) admit(e *ending, c *Config) error {
	switch {
	case string(h.properties.ProducerGroup) != e.group:
		return refuse(remoting.ResponseSystemError, "The producer group wrong: the half message %d is of %s, not of %.*s",
			h.handle, h.properties.ProducerGroup, groupBytesMax, e.group)
	case e.uniqueKey != "" && len(h.properties.UniqueKey) > 0 && e.uniqueKey != string(h.properties.UniqueKey):
		return refuse(remoting.ResponseSystemError, "The transaction message id wrong: the half message %d has the unique key %s",
			h.handle, h.properties.UniqueKey)
	case !e.afterCheck && h.rejectsLate(c.Clock(), c.TransactionTimeout):
		return refuse(remoting.ResponseIllegalOperation,
			"the half message %d is older than its CHECK_IMMUNITY_TIME_IN_SECONDS; its producer will be asked", h.handle)
	}
	return nil
}

// transactionOutcome is how a half message ends.
type transactionOutcome string

const (
	committed  transactionOutcome = "commit"
	rolledBack transactionOutcome = "rollback"
	abandoned  transactionOutcome = "abandoned"
)

// conclusion is the end of a transaction on its way into the log.
type conclusion struct {
	transactions *transactions
	replyTo      remoting.ReplyTo // of nobody when the broker itself ends it
	handle       event.Position
	topic        string
	outcome      transactionOutcome
	proposal     engine.Proposal
}

func (c *conclusion) propose(draft event.Draft) error {
	c.proposal = engine.Proposal{Drafts: []event.Draft{draft}, Completion: c}
	return c.transactions.broker.proposer.Propose(&c.proposal)
}

// Complete runs on the log's completion goroutine.
func (c *conclusion) Complete(p *engine.Proposal) {
	b := c.transactions.broker
	reply := remoting.Reply{Code: sendCodes[p.Outcome]}
	if p.Outcome == engine.OutcomeUnknown {
		respond(&reply, errUnknownOutcome)
	} else {
		b.settlement.Concluded(c.handle, p.Position)
		b.metrics.ended(c.topic, c.outcome)
	}
	if c.replyTo.Conn != nil {
		c.replyTo.Send(&reply)
	}
}
