package broker

import (
	"net/netip"
	"slices"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// commitDraft is the message that consumers get, at once or after its delay. As
// in RocketMQ its properties are those of the half message: Java's consumers
// take the transaction's id from them.
func (t *transactions) commitDraft(h *halfMessage, to topic.Topic) (event.Draft, error) {
	m := h.message(t.broker.config.Address)
	m.Topic, m.QueueID = to.Config.Name, h.properties.Queue
	m.SystemFlag |= record.FlagCommitted
	m.PreparedOffset = int64(h.handle)
	known := record.Properties(m.Properties).Known()
	plan, err := t.broker.config.Delays.PlanCommitted(&known, t.broker.config.Clock().UnixMilli())
	if err != nil {
		return event.Draft{}, err
	}
	if !plan.Waits() {
		return messageDraft(to, m, h.handle), nil
	}
	waitsIn, found := t.broker.topics.Get(plan.Topic)
	if !found {
		return event.Draft{}, refuse(remoting.ResponseServiceNotAvailable, "service not available now: the system topic %s does not exist", plan.Topic)
	}
	// Where it goes is among the properties of the half message already.
	m.Properties = plan.AppendDue(slices.Clone(m.Properties))
	m.Topic, m.QueueID = waitsIn.Config.Name, plan.Queue
	return event.Draft{
		Kind: event.KindDelayed, Stream: event.StreamQueue, Topic: waitsIn.ID, Queue: plan.Queue,
		Due: plan.Due, Cause: h.handle, Keys: record.AppendKeyHashes(nil, waitsIn.ID, known.UniqueKey, nil), Payload: m,
	}, nil
}

// message is a copy of the half message that is still to be placed.
func (h *halfMessage) message(host netip.AddrPort) *record.Message {
	r := &h.record
	m := &record.Message{
		Flag: r.Flag, SystemFlag: r.SystemFlag &^ record.FlagTransaction, BornTimestamp: r.BornTimestamp, BornHost: r.BornHost,
		StoreHost: host, ReconsumeTimes: r.ReconsumeTimes, Properties: r.Properties,
	}
	m.SetBody(r.Body)
	return m
}

// messageDraft stores a message in its queue, which ends what waits under the
// handle.
func messageDraft(to topic.Topic, m *record.Message, handle event.Position) event.Draft {
	known := record.Properties(m.Properties).Known()
	return event.Draft{
		Kind: event.KindMessage, Stream: event.StreamQueue, Topic: to.ID, Queue: m.QueueID, Cause: handle,
		Tag: record.TagCode(known.Tags), Keys: record.AppendKeyHashes(nil, to.ID, known.UniqueKey, known.Keys), Payload: m,
	}
}

// reserveHalf appends what the properties of a half message have besides, and
// returns how long they can become. A delay begins with the commit and is
// planned again then; what was planned at the send only shows that it may be.
func (r *sendRequest) reserveHalf(known *record.Known) int {
	r.properties = record.AppendHalf(r.properties, r.topic.Config.Name, r.queueID, r.uniqueKey)
	r.plan = delay.Plan{}
	if known.Timed() {
		return len(r.properties) + delay.DueBytes + delay.ReservedBytes
	}
	return len(r.properties)
}
