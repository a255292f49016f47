package broker

import (
	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/settlement"
	"github.com/apogeemq/apogee/server/remoting"
)

// recall answers RECALL_MESSAGE: the message that a handle names isn't
// delivered. Unlike RocketMQ, which stores a marker and hopes, it answers
// success only if the message waited and no longer does.
func (b *Broker) recall(rt remoting.ReplyTo, cmd *remoting.Command) {
	if !b.config.Recall {
		b.answerError(rt, refuse(remoting.ResponseNoPermission, "recall failed, operation is forbidden: set recallMessageEnable"))
		return
	}
	name := cmd.Text("topic")
	if _, found := b.topics.Get(name); !found {
		b.answerError(rt, refuse(remoting.ResponseTopicNotExist, "recall failed, the topic[%s] not exist", name))
		return
	}
	text, _ := cmd.Get("recallHandle")
	h, err := delay.ParseHandle(text)
	switch {
	case err != nil:
		b.answerError(rt, refuse(remoting.ResponseIllegalOperation, "recall failed, %v", err))
	case h.Topic != name:
		b.answerError(rt, refuse(remoting.ResponseIllegalOperation, "recall failed, topic not match"))
	case h.Broker != b.config.BrokerName:
		b.answerError(rt, refuse(remoting.ResponseIllegalOperation, "recall failed, broker not match"))
	case h.Due <= b.config.Clock().UnixMilli():
		b.answerError(rt, refuse(remoting.ResponseIllegalOperation, "recall failed, the message is due"))
	default:
		b.whenApplied(rt, h.Waiting, errNotWaiting, func() { b.recallWaiting(rt, h) })
	}
}

// recallWaiting ends what waits, if it is what the handle says.
func (b *Broker) recallWaiting(rt remoting.ReplyTo, h delay.Handle) {
	entry, ok, err := b.settlement.Begin(h.Waiting)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	if !ok {
		b.answerError(rt, errNotWaiting)
		return
	}
	if err = b.verifyHandle(entry, h); err == nil {
		r := &recalling{broker: b, replyTo: rt, handle: h}
		r.proposal = engine.Proposal{Completion: r, Drafts: []event.Draft{{
			Kind: event.KindDropped, Cause: h.Waiting, Keys: []uint64{event.CauseHash(h.Waiting)},
			Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRecalled})),
		}}}
		err = b.sender.proposer.Propose(&r.proposal)
	}
	if err != nil {
		b.settlement.Withdraw(h.Waiting)
		b.answerError(rt, err)
	}
}

var errNotWaiting = refuse(remoting.ResponseIllegalOperation,
	"recall failed, no message waits under this handle: it was delivered, or recalled before")

// verifyHandle refuses a handle that names another message than the one that
// waits there.
func (b *Broker) verifyHandle(entry pending.Entry, h delay.Handle) error {
	if entry.Kind != event.KindDelayed || entry.Due != h.Due {
		return errNotWaiting
	}
	same := false
	err := b.queues.ReadAt(entry.Location, func(m engine.Message) error {
		payload, err := settlement.Record(m.Event)
		if err != nil {
			return err
		}
		r, _, err := record.Decode(payload)
		if err != nil {
			return err
		}
		known := record.Properties(r.Properties).Known()
		same = string(known.UniqueKey) == h.UniqueKey && string(record.Properties(r.Properties).RealTopic()) == h.Topic
		return nil
	})
	if err == nil && !same {
		return errNotWaiting
	}
	return err
}

// recalling is a recall that is being stored.
type recalling struct {
	broker   *Broker
	replyTo  remoting.ReplyTo
	handle   delay.Handle
	proposal engine.Proposal
}

// Complete answers the producer.
func (r *recalling) Complete(p *engine.Proposal) {
	if p.Outcome == engine.OutcomeUnknown {
		r.broker.answerError(r.replyTo, errUnknownOutcome)
		return
	}
	r.broker.settlement.Concluded(r.handle.Waiting, p.Position)
	reply := remoting.Reply{Code: sendCodes[p.Outcome]}
	reply.SetText("msgId", r.handle.UniqueKey)
	r.replyTo.Send(&reply)
}
