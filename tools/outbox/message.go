package outbox

import (
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
)

// Message is one message of an application. The zero values of all fields but
// Topic and Body are good.
type Message struct {
	Topic       string
	Tags        string            // what consumers filter by
	Keys        []string          // by which the message is found; without blanks
	ShardingKey string            // messages with the same key keep their order
	Properties  map[string]string // of the application
	Body        []byte            // 1 byte to 4 MiB
	Flag        int32             // of the application

	// Queue chooses one queue; nil leaves the choice to the sender.
	Queue *Queue

	// ID is the unique id by which consumers recognise a message that arrives
	// twice, and Born the time of its making, to the millisecond. Prepare
	// chooses them where they are missing; afterwards they never change.
	ID   string
	Born time.Time

	// DelayLevel, 1 to 18, lets the broker deliver the message that much after
	// it was stored there; DeliverAt not before a time, to the millisecond,
	// wherever the message waited until then. At most one of them may be set.
	DelayLevel int
	DeliverAt  time.Time
}

// Queue names one queue of a topic.
type Queue struct {
	Broker string // name of the broker
	ID     int
}

// Names of properties that have a field of their own in Message, or a meaning
// that a message which may wait can't keep.
const (
	propertyTags          = "TAGS"
	propertyKeys          = "KEYS"
	propertyID            = "UNIQ_KEY"
	propertyShardingKey   = "__SHARDINGKEY"
	propertyGoShardingKey = "SHARDING_KEY" // the official Go client's name for it
	propertyDelayLevel    = "DELAY"
	propertyDeliverAt     = "TIMER_DELIVER_MS"
	propertyDelaySeconds  = "TIMER_DELAY_SEC"
	propertyDelayMillis   = "TIMER_DELAY_MS"
	propertyTransaction   = "TRAN_MSG"
)

var uniqueKeys = record.NewUniqueKeys(netip.AddrFrom4([4]byte{127, 0, 0, 1}),
	uint16(os.Getpid()), rand.Uint32(), time.Local)

// Prepare gives the message its unique id and its time of birth where it has
// none, and checks it. An error is of class ErrRefused.
func (m *Message) Prepare() error {
	if m.Born.IsZero() {
		m.Born = time.Now().Truncate(time.Millisecond)
	}
	if m.ID == "" {
		m.ID = string(uniqueKeys.Append(nil, time.Now().UnixMilli()))
	}
	return m.Check()
}

// Stream names what the message keeps its order with: its topic and sharding
// key, else its topic and queue, else its topic.
func (m *Message) Stream() string {
	switch {
	case m.ShardingKey != "":
		return m.Topic + "/" + m.ShardingKey
	case m.Queue != nil:
		return m.Topic + "@" + m.Queue.Broker + ":" + strconv.Itoa(m.Queue.ID)
	}
	return m.Topic
}

// AllProperties are the properties that a broker gets: those of the fields,
// then the application's by their names.
func (m *Message) AllProperties() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, p := range m.fieldProperties() {
			if p[1] != "" && !yield(p[0], p[1]) {
				return
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
			if !yield(name, m.Properties[name]) {
				return
			}
		}
	}
}

// fieldProperties are names and values; those without a value don't count.
// Both names of the sharding key are in use.
func (m *Message) fieldProperties() [7][2]string {
	var level, deliverAt string
	if m.DelayLevel != 0 {
		level = strconv.Itoa(m.DelayLevel)
	}
	if !m.DeliverAt.IsZero() {
		deliverAt = strconv.FormatInt(m.DeliverAt.UnixMilli(), 10)
	}
	return [...][2]string{
		{propertyID, m.ID}, {propertyTags, m.Tags}, {propertyKeys, strings.Join(m.Keys, " ")},
		{propertyShardingKey, m.ShardingKey}, {propertyGoShardingKey, m.ShardingKey},
		{propertyDelayLevel, level}, {propertyDeliverAt, deliverAt},
	}
}
