package table

import (
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

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
	m := &outbox.Message{Topic: r.topic, Body: r.body, ID: r.messageID, Born: time.UnixMilli(r.born)}
	if err := m.SetAttributes([]byte(r.attributes)); err != nil {
		return nil, fmt.Errorf("read row %d: %w", r.id, err)
	}
	if m.ID == "" {
		return nil, fmt.Errorf("read row %d: it has no unique id", r.id)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read row %d: %w", r.id, err)
	}
	return m, nil
}
