package broker

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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

// transactions ends transactions and asks producers about those that don't end.
//
// A half message is named for life by its position, its handle. The event that
// ends it has the handle as its cause, so a message is committed or dropped
// once: a second end finds nothing that waits, and one that comes while the
// first is on its way finds the handle taken.
type transactions struct {
	broker *Broker
	turn   atomic.Uint32 // of the producers that are asked

	resuming sync.Mutex // held while a check is resumed

	// unreached are groups of which no producer was online when one was to be
	// asked. They belong to the duty's goroutine.
	unreached map[string]struct{}
}

func newTransactions(b *Broker) *transactions {
	return &transactions{broker: b, unreached: make(map[string]struct{})}
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
	case e.uniqueKey == "" && t.broker.authorizer != nil:
		// Positions can be guessed, and older clients don't name the topic.
		t.broker.answerError(rt, refuse(remoting.ResponseInvalidParameter,
			"with access control the end of a transaction needs the unique key of its message: header field msgId is missing"))
	default:
		t.broker.whenApplied(rt, e.handle, errNothingWaits(e.handle), func() { t.conclude(rt, e) })
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
	draft := event.Draft{Kind: event.KindDropped, Cause: e.handle, Keys: []uint64{event.CauseHash(e.handle)},
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

// abandoned is the end of a half message that nobody has ended.
const abandoned flowEvent = "abandoned"

// conclusion is the end of a transaction on its way into the log.
type conclusion struct {
	transactions *transactions
	replyTo      remoting.ReplyTo // of nobody when the broker itself ends it
	handle       event.Position
	topic        string
	outcome      flowEvent
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
