package table

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// attributes is the JSON of a row: everything of a message that has no column.
type attributes struct {
	Tags        string            `json:"tags,omitempty"`
	Keys        []string          `json:"keys,omitempty"`
	ShardingKey string            `json:"shardingKey,omitempty"`
	Properties  map[string]string `json:"properties,omitempty"`
	Flag        int32             `json:"flag,omitempty"`
	Queue       *queue            `json:"queue,omitempty"`
	DelayLevel  int               `json:"delayLevel,omitempty"`
	DeliverAt   int64             `json:"deliverAt,omitempty"` // milliseconds since 1970
}

type queue struct {
	Broker string `json:"broker"`
	ID     int    `json:"id"`
}

func encodeAttributes(m *outbox.Message) (string, error) {
	a := attributes{Tags: m.Tags, Keys: m.Keys, ShardingKey: m.ShardingKey, Properties: m.Properties, Flag: m.Flag, DelayLevel: m.DelayLevel}
	if m.Queue != nil {
		a.Queue = &queue{m.Queue.Broker, m.Queue.ID}
	}
	if !m.DeliverAt.IsZero() {
		a.DeliverAt = m.DeliverAt.UnixMilli()
	}
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	return string(text), nil
}

// row is a row as it is read.
type row struct {
	id         int64
	messageID  string
	topic      string
	attributes string
	body       []byte
	born       int64
}

// message is the message of the row. An error says that somebody has changed
// the row: what Enqueue writes can be read.
func (r *row) message() (*outbox.Message, error) {
	var a attributes
	if err := json.Unmarshal([]byte(r.attributes), &a); err != nil {
		return nil, fmt.Errorf("read the attributes of row %d: %w", r.id, err)
	}
	m := &outbox.Message{Topic: r.topic, Tags: a.Tags, Keys: a.Keys, ShardingKey: a.ShardingKey, Properties: a.Properties,
		Body: r.body, Flag: a.Flag, ID: r.messageID, Born: time.UnixMilli(r.born), DelayLevel: a.DelayLevel}
	if a.Queue != nil {
		m.Queue = &outbox.Queue{Broker: a.Queue.Broker, ID: a.Queue.ID}
	}
	if a.DeliverAt != 0 {
		m.DeliverAt = time.UnixMilli(a.DeliverAt)
	}
	if m.ID == "" {
		return nil, fmt.Errorf("read row %d: it has no unique id", r.id)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read row %d: %w", r.id, err)
	}
	return m, nil
}
