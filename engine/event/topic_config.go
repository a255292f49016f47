package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	// AttributesMax bounds the attributes of one topic.
	AttributesMax = 256
	// AttributeBytesMax bounds one attribute's value.
	AttributeBytesMax = 64 << 10
	// TopicConfigBytesMax bounds an encoded TopicConfig.
	TopicConfigBytesMax = 1 << 20
)

// Attribute is one named property of a topic. The engine stores it; what it
// means is known to the broker alone.
type Attribute struct {
	Key, Value string
}

// TopicConfig is the payload of KindTopic: the whole configuration of one
// topic incarnation. The incarnation itself stands in the envelope.
//
// Encoded: version byte 1, name, uvarint read queues, uvarint write queues,
// uvarint number of attributes, then key and value of each. A text is a
// uvarint length and its bytes.
type TopicConfig struct {
	// Name of the topic, 1 to NameBytesMax bytes.
	Name string
	// ReadQueues and WriteQueues count the queues open to consumers and to
	// producers. They differ while queues are added or drained.
	ReadQueues, WriteQueues uint32
	// Attributes in ascending order of their keys, every key once.
	Attributes []Attribute
}

// Validate reports what the caller did wrong. Whoever proposes a KindTopic
// event calls it first: a configuration that passes can be decoded again.
func (c TopicConfig) Validate() error {
	if err := checkName("topic name", c.Name); err != nil {
		return fmt.Errorf("encode topic configuration: %w", err)
	}
	if len(c.Attributes) > AttributesMax {
		return fmt.Errorf("encode topic %q: %d attributes, at most %d are allowed", c.Name, len(c.Attributes), AttributesMax)
	}
	size := 32 + len(c.Name)
	for i, a := range c.Attributes {
		if err := checkName("attribute key", a.Key); err != nil {
			return fmt.Errorf("encode topic %q: %w", c.Name, err)
		}
		if i > 0 && c.Attributes[i-1].Key >= a.Key {
			return fmt.Errorf("encode topic %q: attribute %q comes after %q: sort them by key, each once", c.Name, a.Key, c.Attributes[i-1].Key)
		}
		if len(a.Value) > AttributeBytesMax {
			return fmt.Errorf("encode topic %q: attribute %q has %d bytes, at most %d are allowed", c.Name, a.Key, len(a.Value), AttributeBytesMax)
		}
		size += 8 + len(a.Key) + len(a.Value)
	}
	if size > TopicConfigBytesMax {
		return fmt.Errorf("encode topic %q: about %d bytes, at most %d are allowed", c.Name, size, TopicConfigBytesMax)
	}
	return nil
}

// AppendTopicConfig appends the encoded form of c, which Validate has passed,
// to dst. Equal configurations have equal bytes.
func AppendTopicConfig(dst []byte, c TopicConfig) []byte {
	dst = append(dst, payloadVersion)
	dst = appendText(dst, c.Name)
	dst = binary.AppendUvarint(dst, uint64(c.ReadQueues))
	dst = binary.AppendUvarint(dst, uint64(c.WriteQueues))
	dst = binary.AppendUvarint(dst, uint64(len(c.Attributes)))
	for _, a := range c.Attributes {
		dst = appendText(dst, a.Key)
		dst = appendText(dst, a.Value)
	}
	return dst
}

// DecodeTopicConfig decodes all of b. The result shares no memory with b.
// What it accepts also passes Validate. Errors match ErrCorrupt.
func DecodeTopicConfig(b []byte) (TopicConfig, error) {
	r := readPayload("topic configuration", b)
	c := TopicConfig{
		Name:        r.text("name", NameBytesMax),
		ReadQueues:  uint32(r.number("read queues", math.MaxUint32)),
		WriteQueues: uint32(r.number("write queues", math.MaxUint32)),
	}
	// An attribute takes three bytes at least: two lengths and a key.
	n := r.count("number of attributes", 3)
	if n > AttributesMax {
		r.fail("%d attributes, at most %d are allowed", n, AttributesMax)
	} else if n > 0 {
		c.Attributes = make([]Attribute, n)
	}
	for i := range c.Attributes {
		c.Attributes[i] = Attribute{
			Key:   r.text("attribute key", NameBytesMax),
			Value: r.text("attribute value", AttributeBytesMax),
		}
	}
	if err := r.end(); err != nil {
		return TopicConfig{}, err
	}
	if err := c.Validate(); err != nil {
		return TopicConfig{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return c, nil
}
