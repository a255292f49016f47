package record

import (
	"math"
	"strconv"
	"time"
)

// AppendHalf appends to the properties of a half message where it is to go and
// the name of its transaction, its unique key. What the producer set under
// these names before counts no more: of two with one name the later holds.
func AppendHalf(dst []byte, topic string, queue uint32, uniqueKey []byte) []byte {
	dst = AppendProperty(dst, propertyRealTopic, topic)
	dst = AppendProperty(dst, propertyRealQueue, strconv.FormatUint(uint64(queue), 10))
	return AppendProperty(dst, propertyTransactionID, uniqueKey)
}

// RealTopic is where a message goes that waits in another topic.
func (p Properties) RealTopic() []byte {
	topic, _ := p.Get(propertyRealTopic)
	return topic
}

// AppendCheckTimes appends to the properties of a half message how often its
// producers were asked for its outcome.
func AppendCheckTimes(dst []byte, times uint32) []byte {
	return AppendProperty(dst, propertyCheckTimes, strconv.FormatUint(uint64(times), 10))
}

// AppendUnchecked appends to dst the properties of a half message without the
// number of checks.
func AppendUnchecked(dst []byte, p Properties) []byte {
	for name, value := range p.All() {
		if string(name) != propertyCheckTimes {
			dst = AppendProperty(dst, string(name), value)
		}
	}
	return dst
}

// Half are the properties of a half message that matter when it ends. The
// slices alias the properties string.
type Half struct {
	Topic         []byte // where it goes
	Queue         uint32
	ProducerGroup []byte
	UniqueKey     []byte
	Immunity      []byte
}

// Half finds them in one walk. It reports false where the message can't be
// placed, as no half message is that a broker has stored.
func (p Properties) Half() (h Half, ok bool) {
	var queue []byte
	for name, value := range p.All() {
		switch string(name) {
		case propertyRealTopic:
			h.Topic = value
		case propertyRealQueue:
			queue = value
		case propertyProducerGroup:
			h.ProducerGroup = value
		case propertyUniqueKey:
			h.UniqueKey = value
		case propertyImmunity:
			h.Immunity = value
		}
	}
	n, err := strconv.ParseUint(string(queue), 10, 32)
	h.Queue = uint32(n)
	return h, err == nil && len(h.Topic) > 0
}

// ImmunityTime is the time that CHECK_IMMUNITY_TIME_IN_SECONDS gives a
// transaction, usual where it has none: -1, no number, or no property, as in
// RocketMQ.
func ImmunityTime(seconds []byte, usual time.Duration) time.Duration {
	n, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil || n < 0 {
		return usual
	}
	return time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second
}
