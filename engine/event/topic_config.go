package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// TopicConfigBytesMax bounds an encoded TopicConfig.
const TopicConfigBytesMax = configBytesMax

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
	return validateAttributes(fmt.Sprintf("topic %q", c.Name), 32+len(c.Name), c.Attributes)
}

// AppendTopicConfig appends the encoded form of c, which Validate has passed,
// to dst. Equal configurations have equal bytes.
func AppendTopicConfig(dst []byte, c TopicConfig) []byte {
	dst = append(dst, payloadVersion)
	dst = appendText(dst, c.Name)
	dst = binary.AppendUvarint(dst, uint64(c.ReadQueues))
	dst = binary.AppendUvarint(dst, uint64(c.WriteQueues))
	return appendAttributes(dst, c.Attributes)
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
	c.Attributes = r.attributes()
	if err := r.end(); err != nil {
		return TopicConfig{}, err
	}
	if err := c.Validate(); err != nil {
		return TopicConfig{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return c, nil
}
