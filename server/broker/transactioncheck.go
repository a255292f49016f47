package broker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// HalfMessageBorn is when the producer made a half message, in Unix
// milliseconds of its clock.
func (b *Broker) HalfMessageBorn(w pending.Entry) (int64, error) {
	half, err := b.readHalf(w)
	if err != nil {
		return 0, err
	}
	return half.record.BornTimestamp, nil
}

// AskProducers asks for the outcomes of half messages: each time one client of
// the group that sent it, in turn, which needn't be the one that sent it. Where
// none is online nobody is asked; the next time one may be.
func (b *Broker) AskProducers(waiting []pending.Entry) {
	online := make(map[string][]*remoting.Conn)
	unasked := make(map[string]int)
	for _, w := range waiting {
		half, err := b.readHalf(w)
		if err != nil {
			b.config.Logger.Error("nobody can be asked for the outcome of a transaction", "position", w.Handle, "cause", err)
			continue
		}
		group := string(half.properties.ProducerGroup)
		conns, known := online[group]
		if !known {
			conns = b.clients.producerConnections(group)
			online[group] = conns
		}
		sent := b.transactions.ask(conns, half, w.Asked+1)
		b.metrics.asked(sent)
		if sent {
			delete(b.transactions.unreached, group)
		} else {
			unasked[group]++
		}
	}
	b.transactions.warnUnreached(unasked)
}

// unreachedMax bounds the groups that are remembered as not reached.
const unreachedMax = 1024

// warnUnreached says which groups nobody could be asked of: once, until somebody
// is reached again. A group may have many half messages, and each is due again
// and again.
func (t *transactions) warnUnreached(unasked map[string]int) {
	for group, count := range unasked {
		if _, known := t.unreached[group]; known {
			continue
		}
		if len(t.unreached) >= unreachedMax {
			clear(t.unreached)
		}
		t.unreached[group] = struct{}{}
		t.broker.config.Logger.Warn("outcomes of transactions are open, and no producer of their group is online; it will be asked again and again",
			"group", group, "transactions", count)
	}
}

// ask sends CHECK_TRANSACTION_STATE to the first of the connections, from the
// one whose turn it is, that takes it.
func (t *transactions) ask(conns []*remoting.Conn, half *halfMessage, times uint32) (sent bool) {
	if len(conns) == 0 {
		return false
	}
	request, err := t.check(half, times)
	if err != nil {
		t.broker.config.Logger.Error("nobody can be asked for the outcome of a transaction", "position", half.handle, "cause", err)
		return false
	}
	turn := int(t.turn.Add(1) % uint32(len(conns)))
	for i := range conns {
		if conns[(turn+i)%len(conns)].Oneway(request) == nil {
			return true
		}
	}
	return false
}

// check is the request that asks for an outcome. Its body is the message as it
// will be, its position that of the half message: the producer sends both
// numbers back.
func (t *transactions) check(half *halfMessage, times uint32) (*remoting.Request, error) {
	c := &t.broker.config
	m := half.message(c.Address)
	m.Topic, m.QueueID = string(half.properties.Topic), half.properties.Queue
	m.Properties = half.askedProperties(times)
	offset, err := t.broker.halfOffset(half)
	if err != nil {
		return nil, err
	}
	body := make([]byte, m.PayloadBytes())
	m.PutPayload(body)
	if err := record.Fill(body, offset, int64(half.handle), half.storedMillis); err != nil {
		return nil, err
	}
	unique := string(half.properties.UniqueKey)
	return &remoting.Request{Code: remoting.RequestCheckTransactionState, Body: body, Header: []remoting.TextField{
		{Key: "topic", Value: m.Topic},
		{Key: "tranStateTableOffset", Value: strconv.FormatInt(offset, 10)},
		{Key: "commitLogOffset", Value: strconv.FormatUint(uint64(half.handle), 10)},
		{Key: "msgId", Value: unique}, {Key: "transactionId", Value: unique},
		{Key: "offsetMsgId", Value: string(record.AppendMessageID(nil, c.Address, int64(half.handle)))},
		{Key: "bname", Value: c.BrokerName},
	}}, nil
}

// askedProperties are the properties of the half message with the number of
// checks, where there is room for it.
func (h *halfMessage) askedProperties(times uint32) []byte {
	p := record.AppendCheckTimes(slices.Clone(h.record.Properties), times)
	if len(p) > record.PropertiesBytesMax {
		return h.record.Properties
	}
	return p
}

// halfOffset is the offset of a half message in its queue, 0 where that part of
// the queue is gone. Nothing but the answer to a check depends on it.
func (b *Broker) halfOffset(half *halfMessage) (int64, error) {
	t, found := b.topics.Get(topicHalf)
	if !found || half.moved {
		return 0, nil
	}
	m := engine.Message{Position: half.handle, Timestamp: half.storedMillis}
	offset, err := b.offsetOf(event.Queue{Topic: t.ID}, m)
	return int64(max(offset, 0)), err
}

// AbandonHalfMessage moves a half message whose outcome nobody has told to
// TRANS_CHECK_MAX_TIME_TOPIC, where an operator finds it. It does nothing when
// the message has ended or is about to.
func (b *Broker) AbandonHalfMessage(ctx context.Context, w pending.Entry) error {
	to, err := b.abandonedTopic(ctx)
	if err != nil {
		return err
	}
	entry, free, err := b.settlement.Begin(w.Handle)
	if err != nil || !free {
		return err
	}
	err = b.transactions.abandon(to, entry)
	if err != nil {
		b.settlement.Withdraw(w.Handle)
	}
	return err
}

func (t *transactions) abandon(to topic.Topic, entry pending.Entry) error {
	half, err := t.broker.readHalf(entry)
	if err != nil {
		return err
	}
	m := half.message(t.broker.config.Address)
	m.Topic, m.Properties = to.Config.Name, half.askedProperties(entry.Asked)
	c := &conclusion{transactions: t, handle: entry.Handle, topic: string(half.properties.Topic), outcome: abandoned}
	if err := c.propose(messageDraft(to, m, entry.Handle)); err != nil {
		return err
	}
	t.broker.config.Logger.Warn("the outcome of a transaction was never told; its message is in "+to.Config.Name,
		"group", string(half.properties.ProducerGroup), "topic", c.topic, "uniqueKey", string(half.properties.UniqueKey), "asked", entry.Asked)
	return nil
}

// abandonedTopic creates the topic on its first use, as RocketMQ does.
func (b *Broker) abandonedTopic(ctx context.Context) (topic.Topic, error) {
	if t, found := b.topics.Get(topicHalfExpired); found {
		return t, nil
	}
	created := make(chan error, 1)
	b.registry.createTopic(TopicSettings{Name: topicHalfExpired, ReadQueues: 1, WriteQueues: 1,
		Permission: PermissionRead | PermissionWrite}, func(err error) { created <- err })
	select {
	case err := <-created:
		if err != nil {
			return topic.Topic{}, fmt.Errorf("create topic %s: %w", topicHalfExpired, err)
		}
	case <-ctx.Done():
		return topic.Topic{}, ctx.Err()
	}
	t, found := b.topics.Get(topicHalfExpired)
	if !found {
		return t, fmt.Errorf("topic %s was deleted while it was created", topicHalfExpired)
	}
	return t, nil
}

// producerConnections are the connections of a producer group, in the order of
// their clients' ids.
func (c *clients) producerConnections(group string) []*remoting.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []member
	for conn, s := range c.sessions {
		if _, in := s.producers[group]; in {
			list = append(list, member{s.client, conn})
		}
	}
	slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.client, b.client) })
	conns := make([]*remoting.Conn, len(list))
	for i := range list {
		conns[i] = list[i].conn
	}
	return conns
}
