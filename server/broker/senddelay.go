package broker

import (
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// placeOf is the topic in which a message is stored now.
func (r *sendRequest) placeOf(known *record.Known, half bool, h *sendHeader) (topic.Topic, error) {
	waitsIn, err := r.planDelay(known, h)
	if half && err == nil {
		return r.sender.halfTopic()
	}
	if err != nil || !r.plan.Waits() {
		return r.topic, err
	}
	return waitsIn, nil
}

// planDelay settles whether the message waits, and finds the topic in which it
// does.
func (r *sendRequest) planDelay(known *record.Known, h *sendHeader) (waitsIn topic.Topic, err error) {
	if h.redirected {
		return waitsIn, nil
	}
	r.plan, err = r.sender.config.Delays.Plan(known, r.started.UnixMilli())
	if err != nil {
		return waitsIn, refuse(remoting.ResponseMessageIllegal, "%v", err)
	}
	if !r.plan.Waits() {
		return waitsIn, nil
	}
	waitsIn, found := r.sender.topics.Get(r.plan.Topic)
	if !found {
		return waitsIn, refuse(remoting.ResponseServiceNotAvailable, "service not available now: the system topic %s does not exist yet", r.plan.Topic)
	}
	return waitsIn, nil
}

// reserve appends what the properties of a delayed message have besides, and
// returns how long they can become.
func (r *sendRequest) reserve() int {
	if !r.plan.Waits() {
		return len(r.properties)
	}
	r.properties = r.plan.AppendProperties(r.properties, r.topic.Config.Name, r.queueID)
	return len(r.properties) + delay.ReservedBytes
}

// delay turns the request's message into one that waits. It is found by its
// unique key, which is the first of its hashes, and by its other keys when it is
// delivered.
func (r *sendRequest) delay(waitsIn topic.Topic) {
	m, d := &r.messages[0], &r.drafts[0]
	m.Topic, m.QueueID = waitsIn.Config.Name, r.plan.Queue
	d.Kind, d.Topic, d.Queue, d.Due, d.Tag, d.Keys = event.KindDelayed, waitsIn.ID, r.plan.Queue, r.plan.Due, 0, d.Keys[:1]
}

// appendRecallHandle appends what recalls the message, once it is stored.
func (r *sendRequest) appendRecallHandle(dst []byte) []byte {
	return delay.AppendHandle(dst, delay.Handle{
		Topic: r.topic.Config.Name, Broker: r.sender.config.BrokerName, Due: r.plan.Due,
		UniqueKey: string(r.uniqueKey), Waiting: r.proposal.Position,
	})
}

// admitToBatch refuses messages that can't be part of a batch.
func (r *sendRequest) admitToBatch(body []byte, known record.Known, h *sendHeader) error {
	if known.Timed() || known.DelayLevel != nil && strings.Trim(string(known.DelayLevel), "0") != "" {
		return refuse(remoting.ResponseMessageIllegal, "a message in a batch can't be delayed; send it by itself")
	}
	return r.admit(body, known, h)
}
