package broker

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/remoting"
)

// cloneOffsets answers CLONE_GROUP_OFFSET, when the offsets are applied: one
// group goes on where another one is, in one topic or in all that it has
// offsets for. Topics that the online members of that group have given up are
// left out, unless the request says offline.
func (b *Broker) cloneOffsets(rt remoting.ReplyTo, cmd *remoting.Command) {
	source, target := cmd.Text("srcGroup"), cmd.Text("destGroup")
	if b.mustCreateGroup([]byte(target)) {
		b.handleAfterGroup(rt, cmd, target)
		return
	}
	if !b.groupExists(target) {
		b.answerError(rt, errNoGroup(target))
		return
	}
	topics := []string{cmd.Text("topic")}
	if strings.TrimSpace(topics[0]) == "" {
		topics = b.topicsOf(source)
	}
	if !cmd.Bool("offline") {
		topics = b.stillSubscribed(source, topics)
	}
	var offsets []event.OffsetCommit
	for _, name := range topics {
		t, found := b.topics.Get(name)
		if !found {
			continue
		}
		for _, o := range b.offsetsIn(source, t) {
			offsets = append(offsets, event.OffsetCommit{Group: target, Queue: o.queue, Offset: o.offset})
		}
	}
	b.commits.copy(offsets, b.answerAfter(rt, 1))
}

// queueOffset is an offset of a group.
type queueOffset struct {
	queue  event.Queue
	offset event.Offset
}

// offsetsIn are the offsets of a group in a topic, by queue, those that are
// only gathered included.
func (b *Broker) offsetsIn(group string, t topic.Topic) []queueOffset {
	var list []queueOffset
	for id := range max(t.Config.ReadQueues, t.Config.WriteQueues) {
		q := event.Queue{Topic: t.ID, ID: id}
		if offset, known := b.commits.get(commitKey{group, q}); known {
			list = append(list, queueOffset{q, offset})
		}
	}
	return list
}

// correctOffsets answers QUERY_CORRECTION_OFFSET: for each queue of a topic the
// smallest offset that a group has there, or the largest number where the group
// to compare with is behind all of them. filterGroups are not looked at.
func (b *Broker) correctOffsets(rt remoting.ReplyTo, cmd *remoting.Command) {
	t, found := b.topics.Get(cmd.Text("topic"))
	left := strings.Split(cmd.Text("filterGroups"), ",")
	compared := cmd.Text("compareGroup")
	b.answerRead(rt, func(f *fastJSON) error {
		table := make(map[uint32]int64)
		if found {
			for _, group := range b.offsets.Groups() {
				if !slices.Contains(left, group) {
					b.lowerTo(table, b.offsetsIn(group, t))
				}
			}
			for _, o := range b.offsetsIn(compared, t) {
				if least, known := table[o.queue.ID]; known && least > int64(o.offset) {
					table[o.queue.ID] = math.MaxInt64
				}
			}
		}
		f.raw(`{"correctionOffsets":`).numberTable(table).raw("}")
		return nil
	})
}

// lowerTo takes over offsets that are smaller than those in the table and that
// messages have.
func (b *Broker) lowerTo(table map[uint32]int64, offsets []queueOffset) {
	for _, o := range offsets {
		first, _ := b.queues.Bounds(o.queue)
		least, known := table[o.queue.ID]
		if o.offset >= first && (!known || int64(o.offset) < least) {
			table[o.queue.ID] = int64(o.offset)
		}
	}
}

// queueEntriesMax bounds the entries that one QUERY_CONSUME_QUEUE shows.
const queueEntriesMax = 512

// queueEntryBody is RocketMQ's ConsumeQueueData.
type queueEntryBody struct {
	Matches  bool  `json:"eval"`
	Position int64 `json:"physicOffset"`
	Bytes    int   `json:"physicSize"`
	TagCode  int32 `json:"tagsCode"`
}

// showQueue answers QUERY_CONSUME_QUEUE: what stands in a queue from an offset
// on, and whether a group that is online gets it.
func (b *Broker) showQueue(rt remoting.ReplyTo, cmd *remoting.Command) {
	q, t, found, err := b.queueOf(cmd)
	from, given := cmd.Int("index")
	count, counted := cmd.Int("count")
	switch {
	case err != nil:
		b.answerError(rt, err)
		return
	case !found || q.ID >= max(t.Config.ReadQueues, t.Config.WriteQueues):
		b.answerError(rt, refuse(remoting.ResponseSystemError, "%s@%s is not exist!", cmd.Text("queueId"), cmd.Text("topic")))
		return
	case !given || !counted:
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the request needs the numbers index and count"))
		return
	}
	body := b.newQueueBody(cmd, q)
	entries := int(min(max(count, 0), queueEntriesMax))
	b.read(rt, func() {
		if err := body.add(b.queues, q, event.Offset(from), entries); err != nil {
			b.answerError(rt, fmt.Errorf("read queue %d of topic %s: %w", q.ID, t.Config.Name, err))
			return
		}
		b.answerJSON(rt, body)
	})
}

// queueBody is RocketMQ's QueryConsumeQueueResponseBody.
type queueBody struct {
	Filter       string            `json:"filterData,omitempty"`
	Max          event.Offset      `json:"maxQueueIndex"`
	Min          event.Offset      `json:"minQueueIndex"`
	Entries      []queueEntryBody  `json:"queueData"`
	Subscription *subscriptionData `json:"subscriptionData,omitempty"`

	wanted *subscription // nil for all
}

func (b *Broker) newQueueBody(cmd *remoting.Command, q event.Queue) *queueBody {
	body := &queueBody{Entries: []queueEntryBody{}}
	body.Min, body.Max = b.queues.Bounds(q)
	if group, given := cmd.Get("consumerGroup"); given {
		s, err := b.clients.subscription(group, []byte(cmd.Text("topic")))
		if err != nil {
			body.Filter = fmt.Sprintf("%.*s@%s is not online!", groupBytesMax, group, cmd.Text("topic"))
			return body
		}
		body.wanted, body.Subscription = s, &s.told
	}
	return body
}

// add takes in what stands in the queue.
func (body *queueBody) add(queues Queues, q event.Queue, from event.Offset, entries int) error {
	if from < body.Min || from >= body.Max {
		return nil
	}
	limits := engine.ReadLimits{Count: entries, Bytes: math.MaxInt, Scan: entries}
	_, err := queues.ReadQueue(q, from, limits, nil, func(m engine.Message) error {
		body.Entries = append(body.Entries, queueEntryBody{
			Matches: body.wanted == nil || body.wanted.filter.matches(m.Event.Tag()), Position: int64(m.Position),
			Bytes: len(m.Event.Payload()), TagCode: m.Event.Tag(),
		})
		return nil
	})
	return err
}
