package broker

import (
	"errors"
	"maps"
	"slices"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// tracksMax bounds the searches that run at once: pulls have the same readers.
	tracksMax = 2
	// trackedIDBytesMax bounds the ids that are looked for.
	trackedIDBytesMax = 1024
)

// newTracker is what follows messages in the log.
func (b *Broker) newTracker() *track.Tracker {
	return &track.Tracker{
		Log: b.queues, Topics: b.topics, Offsets: b.offsets, Waiting: b.waiting, Consumers: b.consumersOf, OffsetOf: b.offsetOf,
		Names: track.Names{Waiting: []string{delay.LevelTopic, delay.TimerTopic, topicHalf}, RetryPrefix: retryPrefix, DeadPrefix: deadPrefix, GivenUp: topicHalfExpired},
	}
}

// trackMessage answers TRACK_MESSAGE, Apogee's own: what became of a message, by
// group, as JSON.
func (b *Broker) trackMessage(rt remoting.ReplyTo, cmd *remoting.Command) {
	id, topicName := cmd.Text("id"), cmd.Text("topic")
	b.read(rt, func() {
		answer, err := b.Track(id, topicName)
		if err != nil {
			b.answerError(rt, err)
			return
		}
		b.answerJSON(rt, answer)
	})
}

// Track tells what became of the messages with an id: a message id of the broker
// or a unique key of a client, which is looked for in a topic, or in all where
// that is "". RefusalCode tells what an error means.
func (b *Broker) Track(id, topicName string) (track.Answer, error) {
	if id == "" || len(id) > trackedIDBytesMax {
		return track.Answer{}, refuse(remoting.ResponseInvalidParameter, "the request needs an id of 1 to %d bytes", trackedIDBytesMax)
	}
	select {
	case b.tracks <- struct{}{}:
		defer func() { <-b.tracks }()
	default:
		return track.Answer{}, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d messages are being tracked, try again", tracksMax)
	}
	messages, err := b.newTracker().Find(id, topicName)
	switch {
	case errors.Is(err, track.ErrTooManyTopics):
		return track.Answer{}, refuse(remoting.ResponseInvalidParameter, "%v", err)
	case err == nil && len(messages) == 0:
		return track.Answer{}, refuse(remoting.ResponseQueryNotFound, "no message with the id %s is in the log: it never was, or retention has dropped it", id)
	}
	return track.Answer{Broker: b.config.BrokerName, Messages: messages}, err
}

// RefusalCode is the response code of an error that is a refusal: what was asked
// for isn't there, can't be, or is too much at the moment. Else it is 0.
func RefusalCode(err error) int32 {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.code
	}
	return 0
}

// consumersOf are the groups that have to do with a queue: those with offsets in
// its topic, those online that subscribe to it, and those that have pulled it
// since they are online. Of others with trackDelivery the log may know.
func (b *Broker) consumersOf(t topic.Topic, q event.Queue) []track.Consumer {
	names := make(map[string]struct{})
	for _, group := range b.offsets.Groups() {
		if b.hasOffsetIn(group, t) {
			names[group] = struct{}{}
		}
	}
	for _, group := range b.clients.consumersOf(t.Config.Name) {
		names[group] = struct{}{}
	}
	for _, group := range b.pulled.groupsOf(q) {
		names[group] = struct{}{}
	}
	for _, own := range systemGroups() {
		delete(names, own.Name)
	}
	list := make([]track.Consumer, 0, len(names))
	for _, group := range slices.Sorted(maps.Keys(names)) {
		list = append(list, b.consumer(group, t))
	}
	for _, g := range b.groups.All() {
		if _, listed := names[g.Config.Name]; !listed && tracksDelivery(g) {
			list = append(list, track.Consumer{Group: g.Config.Name, Uncertain: true})
		}
	}
	return list
}

func (b *Broker) hasOffsetIn(group string, t topic.Topic) bool {
	for id := range max(t.Config.ReadQueues, t.Config.WriteQueues) {
		if _, found := b.offsets.Get(group, event.Queue{Topic: t.ID, ID: id}); found {
			return true
		}
	}
	return false
}

// consumer is what the broker knows about a group at the moment.
func (b *Broker) consumer(group string, t topic.Topic) track.Consumer {
	c := track.Consumer{Group: group}
	online, found := b.clients.consumers(group)
	if !found {
		return c
	}
	c.Online, c.Broadcasting, c.Pulls = true, online.Model == modelBroadcasting, online.Kind == consumesActively
	if s, err := b.clients.subscription([]byte(group), []byte(t.Config.Name)); err == nil {
		c.Wants = func(m *track.Message, payload []byte) bool { return b.wants(s, m, payload) }
	}
	return c
}

// wants reports whether a subscription takes a message.
func (b *Broker) wants(s *subscription, m *track.Message, payload []byte) bool {
	if !b.puller.filtersProperties(s.kind) {
		return s.filter.matches(record.TagCode([]byte(m.Tags)))
	}
	selector, err := b.puller.selectors.get([]byte(s.told.Expression))
	if err != nil {
		return true
	}
	wanted, err := chosen(selector, payload)
	return wanted || err != nil
}

// groupsOf are the groups that have pulled a queue, as far as that is known.
func (p *pullOffsets) groupsOf(q event.Queue) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for k := range p.table {
		if k.queue == q {
			names = append(names, k.group)
		}
	}
	return names
}
