package broker

import (
	"errors"
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/remoting"
)

// queueOf reads topic and queue of a request. The topic may be unknown, then
// found is false and the queue has no topic.
func (b *Broker) queueOf(cmd *remoting.Command) (q event.Queue, t topic.Topic, found bool, err error) {
	name, given := cmd.Get("topic")
	id, ok := cmd.Int("queueId")
	if !given || !ok || id < 0 || id > math.MaxInt32 {
		return q, t, false, refuse(remoting.ResponseInvalidParameter,
			"the request needs a topic and a queueId of 0 or more, it has [%s] and [%s]", name, cmd.Text("queueId"))
	}
	t, found = b.topics.GetBytes(name)
	return event.Queue{Topic: t.ID, ID: uint32(id)}, t, found, nil
}

func answerNumber(rt remoting.ReplyTo, field string, value int64) {
	var reply remoting.Reply
	reply.SetInt(field, value)
	rt.Send(&reply)
}

// maxOffset answers GET_MAX_OFFSET: the offset of the next message.
func (b *Broker) maxOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.answerBound(rt, cmd, func(_, next event.Offset) event.Offset { return next })
}

// minOffset answers GET_MIN_OFFSET: the first offset that is still there.
func (b *Broker) minOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.answerBound(rt, cmd, func(first, _ event.Offset) event.Offset { return first })
}

// answerBound answers with one of a queue's bounds, 0 for an unknown topic.
func (b *Broker) answerBound(rt remoting.ReplyTo, cmd *remoting.Command, bound func(first, next event.Offset) event.Offset) {
	q, _, found, err := b.queueOf(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	var offset event.Offset
	if found {
		offset = bound(b.queues.Bounds(q))
	}
	answerNumber(rt, "offset", int64(offset))
}

// read runs f in the read pool, or refuses.
func (b *Broker) read(rt remoting.ReplyTo, f func()) {
	if !b.reads.submit(readFunction(func(*reader) { f() })) {
		b.answerError(rt, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: too many reads wait"))
	}
}

// searchOffset answers SEARCH_OFFSET_BY_TIMESTAMP.
func (b *Broker) searchOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	q, _, found, err := b.queueOf(cmd)
	millis, ok := cmd.Int("timestamp")
	switch {
	case err != nil:
		b.answerError(rt, err)
		return
	case !ok:
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the request needs a timestamp in milliseconds"))
		return
	case !found:
		answerNumber(rt, "offset", 0)
		return
	}
	boundary := engine.Lower
	if v, _ := cmd.Get("boundaryType"); string(v) == "upper" || string(v) == "UPPER" {
		boundary = engine.Upper
	}
	b.read(rt, func() {
		offset, err := b.queues.OffsetAt(q, millis, boundary)
		if err != nil {
			b.answerError(rt, fmt.Errorf("search queue %d by time: %w", q.ID, err))
			return
		}
		answerNumber(rt, "offset", int64(offset))
	})
}

// earliestTime answers GET_EARLIEST_MSG_STORETIME: -1 when the queue is empty.
func (b *Broker) earliestTime(rt remoting.ReplyTo, cmd *remoting.Command) {
	q, _, found, err := b.queueOf(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	first, next := event.Offset(0), event.Offset(0)
	if found {
		first, next = b.queues.Bounds(q)
	}
	if first == next {
		answerNumber(rt, "timestamp", -1)
		return
	}
	b.read(rt, func() {
		message, err := b.messageAt(q, first)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			answerNumber(rt, "timestamp", -1)
		case err != nil:
			b.answerError(rt, fmt.Errorf("read queue %d at offset %d: %w", q.ID, first, err))
		default:
			answerNumber(rt, "timestamp", message.Timestamp)
		}
	})
}

// messageAt reads where one message stands. The event is not valid any more
// when it returns.
func (b *Broker) messageAt(q event.Queue, at event.Offset) (engine.Message, error) {
	found := engine.Message{Offset: -1}
	_, err := b.queues.ReadQueue(q, at, engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, nil, func(m engine.Message) error {
		found = m
		found.Event = nil
		return nil
	})
	if err == nil && found.Offset != at {
		err = fmt.Errorf("no message at offset %d: %w", at, engine.ErrNotFound)
	}
	return found, err
}

// updateOffset answers UPDATE_CONSUMER_OFFSET, when the offset is applied.
func (b *Broker) updateOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	if err := b.tryUpdateOffset(rt, cmd); err != nil {
		b.answerError(rt, err)
	}
}

func (b *Broker) tryUpdateOffset(rt remoting.ReplyTo, cmd *remoting.Command) error {
	group, _ := cmd.Get("consumerGroup")
	if b.mustCreateGroup(group) {
		b.handleAfterGroup(rt, cmd, string(group))
		return nil
	}
	if _, found := b.groups.GetBytes(group); !found {
		return errNoGroup(string(group))
	}
	q, t, found, err := b.queueOf(cmd)
	if err != nil {
		return err
	}
	if !found {
		return refuse(remoting.ResponseTopicNotExist, "Topic %s not exist!", cmd.Text("topic"))
	}
	if q.ID >= max(t.Config.ReadQueues, t.Config.WriteQueues) {
		return refuse(remoting.ResponseInvalidParameter, "queueId[%d] is illegal: topic[%s] has %d read queues", q.ID, t.Config.Name, t.Config.ReadQueues)
	}
	offset, ok := cmd.Int("commitOffset")
	if !ok || offset < 0 {
		return refuse(remoting.ResponseInvalidParameter, "commitOffset is [%s], 0 or more is needed", cmd.Text("commitOffset"))
	}
	key, client := commitKey{string(group), q}, b.clientName(rt.Conn)
	if b.commits.awaitsPickup(key) {
		rt.Send(&remoting.Reply{Remark: "Offset has been previously reset"})
		return nil
	}
	if rt.Oneway {
		return b.commits.gather(key, event.Offset(offset), client)
	}
	return b.commits.gatherAndAnswer(key, event.Offset(offset), client, rt)
}

// queryOffset answers QUERY_CONSUMER_OFFSET. A group without an offset begins
// at 0 in a young queue, as in RocketMQ; else the client decides.
func (b *Broker) queryOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	group := cmd.Text("consumerGroup")
	q, _, found, err := b.queueOf(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	notFound := refuse(remoting.ResponseQueryNotFound, "Not found, maybe this group consumer boot first")
	if !found {
		b.answerError(rt, notFound)
		return
	}
	if offset, known := b.commits.get(commitKey{group, q}); known {
		answerNumber(rt, "offset", int64(offset))
		return
	}
	first, next := b.queues.Bounds(q)
	_, given := cmd.Get("setZeroIfNotFound")
	if given && !cmd.Bool("setZeroIfNotFound") || first > 0 || next == 0 {
		b.answerError(rt, notFound)
		return
	}
	if marks := b.progress.Marks(); int64(marks.AppliedPosition-marks.TrimmedPosition) <= b.config.YoungBytes {
		answerNumber(rt, "offset", 0)
		return
	}
	b.read(rt, func() {
		message, err := b.messageAt(q, 0)
		if err != nil || int64(b.progress.Marks().AppliedPosition-message.Position) > b.config.YoungBytes {
			b.answerError(rt, notFound)
			return
		}
		answerNumber(rt, "offset", 0)
	})
}
