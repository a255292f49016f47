package outbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// attributes is the JSON of everything in a message but its topic, unique id,
// time of birth and body.
type attributes struct {
	Tags        string            `json:"tags,omitempty"`
	Keys        []string          `json:"keys,omitempty"`
	ShardingKey string            `json:"shardingKey,omitempty"`
	Properties  map[string]string `json:"properties,omitempty"`
	Flag        int32             `json:"flag,omitempty"`
	Queue       *queueAttribute   `json:"queue,omitempty"`
	DelayLevel  int               `json:"delayLevel,omitempty"`
	DeliverAt   int64             `json:"deliverAt,omitempty"` // milliseconds since 1970
}

type queueAttribute struct {
	Broker string `json:"broker"`
	ID     int    `json:"id"`
}

// Attributes are all fields but Topic, ID, Born and Body as a JSON object with
// the names tags, keys, shardingKey, properties, flag, queue (broker, id),
// delayLevel and deliverAt (milliseconds since 1970): what is kept of a message
// beside those. Zero fields are left out. The message must be one that Check
// accepts.
func (m *Message) Attributes() ([]byte, error) {
	a := attributes{Tags: m.Tags, Keys: m.Keys, ShardingKey: m.ShardingKey, Properties: m.Properties, Flag: m.Flag, DelayLevel: m.DelayLevel}
	if m.Queue != nil {
		a.Queue = &queueAttribute{m.Queue.Broker, m.Queue.ID}
	}
	if !m.DeliverAt.IsZero() {
		a.DeliverAt = m.DeliverAt.UnixMilli()
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the attributes of message %s: %w", m.ID, err)
	}
	return text, nil
}

// SetAttributes reads what Attributes has written. It sets the fields that
// belong to it, whatever they were.
func (m *Message) SetAttributes(text []byte) error {
	var a attributes
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("read the attributes of message %s: %w", m.ID, err)
	}
	m.Tags, m.Keys, m.ShardingKey, m.Properties, m.Flag, m.DelayLevel = a.Tags, a.Keys, a.ShardingKey, a.Properties, a.Flag, a.DelayLevel
	m.Queue, m.DeliverAt = nil, time.Time{}
	if a.Queue != nil {
		m.Queue = &Queue{Broker: a.Queue.Broker, ID: a.Queue.ID}
	}
	if a.DeliverAt != 0 {
		m.DeliverAt = time.UnixMilli(a.DeliverAt)
	}
	return nil
}
