package outbox

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits of RocketMQ's brokers.
const (
	topicBytesMax  = 127
	bodyBytesMax   = 4 << 20
	idBytesMax     = 255
	delayLevelMax  = 18
	brokerBytesMax = 255
	// propertiesBytesMax is less than the 32,767 that a record can have, as
	// brokers add properties of their own.
	propertiesBytesMax = 32000
	// separatorBytes are those around the name and the value of a property.
	separatorBytes = 2
)

// Check finds what brokers would refuse for good. Its error is of class
// ErrRefused and names the field.
func (m *Message) Check() error {
	switch {
	case m.Topic == "" || len(m.Topic) > topicBytesMax || strings.ContainsFunc(m.Topic, notInTopic):
		return refuse("topic %.200q: it must have 1 to %d of the characters %%|a-zA-Z0-9_-", m.Topic, topicBytesMax)
	case len(m.Body) == 0 || len(m.Body) > bodyBytesMax:
		return refuse("body of %d bytes: it must have 1 to %d", len(m.Body), bodyBytesMax)
	case len(m.ID) > idBytesMax:
		return refuse("unique id of %d bytes: it may have %d", len(m.ID), idBytesMax)
	case m.DelayLevel < 0 || m.DelayLevel > delayLevelMax:
		return refuse("delay level %d: it must be 1 to %d, or 0 for none", m.DelayLevel, delayLevelMax)
	case m.DelayLevel != 0 && !m.DeliverAt.IsZero():
		return refuse("delay level %d and a time of delivery: choose one", m.DelayLevel)
	}
	if err := m.checkQueue(); err != nil {
		return err
	}
	for _, key := range m.Keys {
		if key == "" || strings.Contains(key, " ") {
			return refuse("key %.200q: keys must not be empty and have no blanks", key)
		}
	}
	return m.checkProperties()
}

func (m *Message) checkQueue() error {
	if q := m.Queue; q != nil && (q.ID < 0 || q.ID > math.MaxInt32 || q.Broker == "" || len(q.Broker) > brokerBytesMax || strings.ContainsFunc(q.Broker, notPlain)) {
		return refuse("queue %d of broker %.200q: it takes a number from 0 on and the broker's name", q.ID, q.Broker)
	}
	return nil
}

func (m *Message) checkProperties() error {
	for name, value := range m.Properties {
		switch name {
		case propertyTags, propertyKeys, propertyID, propertyShardingKey, propertyGoShardingKey, propertyDelayLevel, propertyDeliverAt:
			return refuse("property %s: set the field of the message instead", name)
		case propertyDelaySeconds, propertyDelayMillis:
			return refuse("property %s: it counts from when the broker has the message, which may be late; set DeliverAt", name)
		case propertyTransaction:
			return refuse("property %s: a transactional message can't wait, as its producer is asked about it", name)
		}
		if name == "" || value == "" {
			return refuse("property %.200q: RocketMQ drops properties without a name or a value", name)
		}
	}
	size := 0
	for name, value := range m.AllProperties() {
		if strings.ContainsAny(name+value, "\x00\x01\x02") || !utf8.ValidString(name+value) {
			return refuse("property %.200q: it must be UTF-8 without the bytes 0, 1 and 2, which separate properties", name)
		}
		size += len(name) + len(value) + separatorBytes
	}
	if size > propertiesBytesMax {
		return refuse("properties of %d bytes, with tags, keys and ids: they may have %d", size, propertiesBytesMax)
	}
	return nil
}

func notInTopic(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '%' || c == '|' || c == '_' || c == '-')
}

// notPlain tells control characters and what is no character at all.
func notPlain(c rune) bool { return c < ' ' || c == utf8.RuneError }

func refuse(format string, arguments ...any) error {
	return fmt.Errorf("message %w: "+format, append([]any{ErrRefused}, arguments...)...)
}
