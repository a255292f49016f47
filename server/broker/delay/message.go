package delay

import (
	"fmt"
	"strconv"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
)

// Names of properties that say where a waiting message comes from.
const (
	propertyRealTopic = "REAL_TOPIC"
	propertyRealQueue = "REAL_QID"
	propertyTimerOut  = "TIMER_OUT_MS"
	propertyEnqueued  = "TIMER_ENQUEUE_MS"
	propertyDequeued  = "TIMER_DEQUEUE_MS"
)

// ReservedBytes is the room in a message's properties for those that are added
// when it is delivered.
const ReservedBytes = 2 * (len(propertyEnqueued) + len("9223372036854775807") + 2)

// AppendProperties appends what the record of a waiting message has besides
// the message's own properties.
func (p Plan) AppendProperties(dst []byte, realTopic string, realQueue uint32) []byte {
	dst = record.AppendProperty(dst, propertyRealTopic, realTopic)
	dst = record.AppendNumber(dst, propertyRealQueue, int64(realQueue))
	return p.AppendDue(dst)
}

// DueBytes is the most that AppendDue appends.
const DueBytes = len(propertyTimerOut) + len("9223372036854775807") + 2

// AppendDue appends to the properties when the message is due, if it waits for
// a time.
func (p Plan) AppendDue(dst []byte) []byte {
	if p.Timed() {
		dst = record.AppendNumber(dst, propertyTimerOut, p.Due)
	}
	return dst
}

// Topics finds topics.
type Topics interface {
	GetBytes(name []byte) (topic.Topic, bool) // does not keep name
}

// Message is a waiting message on its way to its topic. It can be used again
// and then allocates little.
type Message struct {
	Draft event.Draft // its cause is the handle

	message    record.Message
	payload    []byte
	properties []byte
	keys       []uint64
}

// Waited is a message whose time has come.
type Waited struct {
	Handle event.Position
	Record []byte // as it was stored; not kept
	Stored int64  // when, Unix milliseconds
}

// Load makes m the message for the real topic, taken up at now, Unix
// milliseconds. found is false where that topic is gone. An error means that
// the record can't be read; it wraps record.ErrCorrupt.
func (m *Message) Load(w Waited, topics Topics, now int64) (found bool, err error) {
	m.payload = append(m.payload[:0], w.Record...)
	r, rest, err := record.Decode(m.payload)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes after it", record.ErrCorrupt, len(rest))
	}
	if err != nil {
		return false, err
	}
	known := record.Properties(r.Properties).Known()
	queue, err := strconv.ParseUint(string(known.RealQueue), 10, 32)
	if len(known.RealTopic) == 0 || err != nil {
		return false, fmt.Errorf("%w: the properties %s and %s are %.20q and %.20q", record.ErrCorrupt,
			propertyRealTopic, propertyRealQueue, known.RealTopic, known.RealQueue)
	}
	t, found := topics.GetBytes(known.RealTopic)
	if !found {
		return false, nil
	}
	m.properties = append(m.properties[:0], r.Properties...)
	if known.TimerOut != nil && string(r.Topic) == TimerTopic {
		m.properties = record.AppendNumber(m.properties, propertyEnqueued, w.Stored)
		m.properties = record.AppendNumber(m.properties, propertyDequeued, now)
	}
	m.fill(&r, &known, t, queueOf(t, uint32(queue)))
	m.Draft.Cause = w.Handle
	return true, nil
}

// queueOf is the queue of a topic that may have fewer of them by now.
func queueOf(t topic.Topic, queue uint32) uint32 {
	if count := max(t.Config.WriteQueues, t.Config.ReadQueues); queue >= count && count > 0 {
		return queue % count
	}
	return queue
}

func (m *Message) fill(r *record.Record, known *record.Known, t topic.Topic, queue uint32) {
	m.message = record.Message{
		QueueID: queue, Flag: r.Flag, SystemFlag: r.SystemFlag, BornTimestamp: r.BornTimestamp, BornHost: r.BornHost,
		StoreHost: r.StoreHost, ReconsumeTimes: r.ReconsumeTimes, PreparedOffset: r.PreparedOffset,
		Topic: t.Config.Name, Properties: m.properties,
	}
	m.message.SetRecordBody(r)
	m.keys = record.AppendKeyHashes(m.keys[:0], t.ID, known.UniqueKey, known.Keys)
	m.Draft = event.Draft{
		Kind: event.KindMessage, Stream: event.StreamQueue, Topic: t.ID, Queue: queue,
		Tag: record.TagCode(known.Tags), Keys: m.keys, Payload: &m.message,
	}
}

// KeptBytes is the memory that m holds on to.
func (m *Message) KeptBytes() int { return cap(m.payload) + cap(m.properties) + 8*cap(m.keys) }
