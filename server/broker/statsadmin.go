package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/remoting"
)

// topicOffsetBody is RocketMQ's TopicOffset.
type topicOffsetBody struct {
	ChangedAt int64        `json:"lastUpdateTimestamp"`
	Max       event.Offset `json:"maxOffset"`
	Min       event.Offset `json:"minOffset"`
}

// progressBody is RocketMQ's OffsetWrapper.
type progressBody struct {
	Broker   event.Offset `json:"brokerOffset"`
	Consumer event.Offset `json:"consumerOffset"`
	Time     int64        `json:"lastTimestamp"`
	Pull     event.Offset `json:"pullOffset"`
}

// timeSpanBody is RocketMQ's QueueTimeSpan.
type timeSpanBody struct {
	ConsumedAt  int64        `json:"consumeTimeStamp"`
	DelayMillis int64        `json:"delayTime"`
	MaxTime     int64        `json:"maxTimeStamp"`
	Queue       messageQueue `json:"messageQueue"`
	MinTime     int64        `json:"minTimeStamp"`
}

func (b *Broker) messageQueueOf(t topic.Topic, id uint32) messageQueue {
	return messageQueue{BrokerName: b.config.BrokerName, QueueID: int32(id), Topic: t.Config.Name}
}

// timeOf is when the message at an offset was stored, otherwise when there is
// none.
func (b *Broker) timeOf(q event.Queue, at event.Offset, otherwise int64) (int64, error) {
	if at < 0 {
		return otherwise, nil
	}
	message, err := b.messageAt(q, at)
	if errors.Is(err, engine.ErrNotFound) {
		return otherwise, nil
	}
	return message.Timestamp, err
}

// wantedTopic finds the topic that a request names.
func (b *Broker) wantedTopic(cmd *remoting.Command) (topic.Topic, error) {
	name := cmd.Text("topic")
	t, found := b.topics.Get(name)
	if !found {
		return t, refuse(remoting.ResponseTopicNotExist, "topic[%s] not exist", name)
	}
	return t, nil
}

// answerRead builds a body in the read pool and sends it.
func (b *Broker) answerRead(rt remoting.ReplyTo, build func(f *fastJSON) error) {
	b.read(rt, func() {
		var f fastJSON
		if err := errors.Join(build(&f), f.err); err != nil {
			b.answerError(rt, err)
			return
		}
		rt.Send(&remoting.Reply{Body: f.text})
	})
}

// topicStats answers GET_TOPIC_STATS_INFO.
func (b *Broker) topicStats(rt remoting.ReplyTo, cmd *remoting.Command) {
	t, err := b.wantedTopic(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.answerRead(rt, func(f *fastJSON) error {
		var table []queueEntry[topicOffsetBody]
		for id := range max(t.Config.WriteQueues, t.Config.ReadQueues) {
			q := event.Queue{Topic: t.ID, ID: id}
			first, next := b.queues.Bounds(q)
			changed, err := b.timeOf(q, next-1, 0)
			if err != nil {
				return fmt.Errorf("read queue %d of topic %s: %w", id, t.Config.Name, err)
			}
			table = append(table, queueEntry[topicOffsetBody]{b.messageQueueOf(t, id), topicOffsetBody{changed, next, first}})
		}
		f.raw(`{"offsetTable":`)
		queueTable(f, table)
		f.raw(`,"topicPutTps":`).value(b.metrics.rateIn(t.Config.Name)).raw("}")
		return nil
	})
}

// consumeStats answers GET_CONSUME_STATS.
func (b *Broker) consumeStats(rt remoting.ReplyTo, cmd *remoting.Command) {
	group := cmd.Text("consumerGroup")
	topics := b.topicsToShow(group, cmd.Text("topic"), cmd.Text("topicList"))
	b.answerRead(rt, func(f *fastJSON) error {
		var table []queueEntry[progressBody]
		var rate javaDouble
		for _, name := range topics {
			t, found := b.topics.Get(name)
			if !found {
				continue
			}
			more, err := b.progressOf(group, t, t.Config.ReadQueues)
			if err != nil {
				return err
			}
			table = append(table, more...)
			rate += b.metrics.rateOut(name, group)
		}
		f.raw(`{"consumeTps":`).value(rate).raw(`,"offsetTable":`)
		queueTable(f, table)
		f.raw("}")
		return nil
	})
}

// topicsToShow are the topics whose consumption a request asks for: those of
// its list, or else its topic or all with offsets, as far as the group, when
// it is online, still subscribes to them.
func (b *Broker) topicsToShow(group, one, list string) []string {
	listed := slices.DeleteFunc(strings.Split(list, ";"), func(name string) bool { return name == "" })
	if len(listed) > 0 {
		slices.Sort(listed)
		return slices.Compact(listed)
	}
	topics := []string{one}
	if strings.TrimSpace(one) == "" {
		topics = b.topicsOf(group)
	}
	return b.stillSubscribed(group, topics)
}

func (b *Broker) stillSubscribed(group string, topics []string) []string {
	subscribed := b.clients.subscribed(group)
	return slices.DeleteFunc(topics, func(name string) bool {
		_, found := slices.BinarySearch(subscribed, name)
		return !found && len(subscribed) > 0
	})
}

// progressOf is how far a group is in the first queues of a topic.
func (b *Broker) progressOf(group string, t topic.Topic, queues uint32) ([]queueEntry[progressBody], error) {
	var table []queueEntry[progressBody]
	for id := range queues {
		q := event.Queue{Topic: t.ID, ID: id}
		_, next := b.queues.Bounds(q)
		k := commitKey{group, q}
		committed, _ := b.commits.get(k)
		consumed, err := b.timeOf(q, committed-1, 0)
		if err != nil {
			return nil, fmt.Errorf("read queue %d of topic %s: %w", id, t.Config.Name, err)
		}
		table = append(table, queueEntry[progressBody]{b.messageQueueOf(t, id), progressBody{next, committed, consumed, b.pulled.get(k, committed)}})
	}
	return table, nil
}

// allConsumeStats answers GET_BROKER_CONSUME_STATS.
func (b *Broker) allConsumeStats(rt remoting.ReplyTo, cmd *remoting.Command) {
	orderedOnly := cmd.Bool("isOrder")
	b.answerRead(rt, func(f *fastJSON) error {
		total := event.Offset(0)
		f.raw(`{"brokerAddr":`).value(b.config.Address.String()).raw(`,"consumeStatsList":[`)
		for i, g := range b.groups.All() {
			if i > 0 {
				f.raw(",")
			}
			f.raw("{").value(g.Config.Name).raw(":[")
			behind, err := b.groupConsumeStats(f, g.Config.Name, orderedOnly)
			if err != nil {
				return err
			}
			total += behind
			f.raw("]}")
		}
		f.raw(`],"totalDiff":`).value(total).raw(`,"totalInflightDiff":0}`)
		return nil
	})
}

// groupConsumeStats appends the progress of a group in each of its topics and
// returns by how much it is behind.
func (b *Broker) groupConsumeStats(f *fastJSON, group string, orderedOnly bool) (behind event.Offset, err error) {
	written := false
	for _, name := range b.stillSubscribed(group, b.topicsOf(group)) {
		t, found := b.topics.Get(name)
		if !found || orderedOnly && !orderedOf(t.Config.Attributes) {
			continue
		}
		table, err := b.progressOf(group, t, t.Config.WriteQueues)
		if err != nil {
			return 0, err
		}
		for _, e := range table {
			behind += e.value.Broker - e.value.Consumer
		}
		if written {
			f.raw(",")
		}
		written = true
		f.raw(`{"consumeTps":`).value(b.metrics.rateOut(name, group)).raw(`,"offsetTable":`)
		queueTable(f, table)
		f.raw("}")
	}
	return behind, nil
}

// consumeTimes answers QUERY_CONSUME_TIME_SPAN.
func (b *Broker) consumeTimes(rt remoting.ReplyTo, cmd *remoting.Command) {
	t, err := b.wantedTopic(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	group := cmd.Text("group")
	b.answerRead(rt, func(f *fastJSON) error {
		spans := make([]timeSpanBody, t.Config.WriteQueues)
		for id := range t.Config.WriteQueues {
			span, err := b.timeSpan(group, t, id)
			if err != nil {
				return fmt.Errorf("read queue %d of topic %s: %w", id, t.Config.Name, err)
			}
			spans[id] = span
		}
		f.raw(`{"consumeTimeSpanSet":`).value(spans).raw("}")
		return nil
	})
}

// timeSpan is when the messages of a queue were stored: the first, the last,
// the last that the group has consumed. Times that don't exist are -1.
func (b *Broker) timeSpan(group string, t topic.Topic, id uint32) (s timeSpanBody, err error) {
	q := event.Queue{Topic: t.ID, ID: id}
	first, next := b.queues.Bounds(q)
	committed, known := b.commits.get(commitKey{group, q})
	if !known {
		committed = -1
	}
	s.Queue = b.messageQueueOf(t, id)
	if s.MinTime, err = b.timeOf(q, first, -1); err != nil {
		return s, err
	}
	if s.MaxTime, err = b.timeOf(q, next-1, -1); err != nil {
		return s, err
	}
	s.ConsumedAt = s.MinTime
	if committed > 0 {
		if s.ConsumedAt, err = b.timeOf(q, committed-1, -1); err != nil {
			return s, err
		}
	}
	if committed < next && first < next {
		waiting, err := b.timeOf(q, max(committed, first), -1)
		s.DelayMillis = b.config.Clock().UnixMilli() - waiting
		return s, err
	}
	return s, nil
}

// showOffsets answers GET_ALL_CONSUMER_OFFSET.
func (b *Broker) showOffsets(rt remoting.ReplyTo, _ *remoting.Command) {
	b.answerRead(rt, func(f *fastJSON) error {
		f.raw(`{"dataVersion":`).value(b.versionOf(b.offsets.Version())).raw(`,"offsetTable":{`)
		written := false
		for _, group := range b.offsets.Groups() {
			tables := make(map[event.TopicID]map[uint32]int64)
			var order []event.TopicID
			for _, c := range b.offsets.Group(group) {
				if tables[c.Queue.Topic] == nil {
					tables[c.Queue.Topic] = make(map[uint32]int64)
					order = append(order, c.Queue.Topic)
				}
				tables[c.Queue.Topic][c.Queue.ID] = int64(c.Offset)
			}
			for _, id := range order {
				t, found := b.topics.ByID(id)
				if !found {
					continue
				}
				if written {
					f.raw(",")
				}
				written = true
				f.value(t.Config.Name + "@" + group).raw(":").numberTable(tables[id])
			}
		}
		f.raw("}}")
		return nil
	})
}
