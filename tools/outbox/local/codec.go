package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

const (
	version   = 1
	headBytes = 15

	// payloadBytesMax is more than any message has that Check accepts: the body,
	// and what JSON makes of its properties.
	payloadBytesMax = 4<<20 + 256<<10
)

// encode makes the payload of a message that Check accepts.
func encode(m *outbox.Message) ([]byte, error) {
	attributes, err := m.Attributes()
	if err != nil {
		return nil, err
	}
	size := headBytes + len(m.Topic) + len(m.ID) + len(attributes) + len(m.Body)
	if size > payloadBytesMax {
		return nil, fmt.Errorf("spool message %s: %w: it takes %d bytes, %d are allowed", m.ID, outbox.ErrRefused, size, payloadBytesMax)
	}
	b := make([]byte, headBytes, size)
	b[0], b[1], b[2] = version, byte(len(m.Topic)), byte(len(m.ID))
	binary.BigEndian.PutUint64(b[3:], uint64(m.Born.UnixMilli()))
	binary.BigEndian.PutUint32(b[11:], uint32(len(attributes)))
	b = append(append(b, m.Topic...), m.ID...)
	return append(append(b, attributes...), m.Body...), nil
}

var errPayload = errors.New("not a message of the outbox")

// decode reads a payload. The message shares nothing with it.
func decode(b []byte) (*outbox.Message, error) {
	if len(b) < headBytes || b[0] != version {
		return nil, fmt.Errorf("%w: %d bytes that don't begin with version %d", errPayload, len(b), version)
	}
	topic, id, attributes := int(b[1]), int(b[2]), int64(binary.BigEndian.Uint32(b[11:]))
	if int64(topic+id)+attributes > int64(len(b)-headBytes) {
		return nil, fmt.Errorf("%w: a topic of %d bytes, an id of %d and attributes of %d in %d", errPayload, topic, id, attributes, len(b))
	}
	rest := b[headBytes:]
	m := &outbox.Message{Topic: string(rest[:topic]), ID: string(rest[topic : topic+id]),
		Born: time.UnixMilli(int64(binary.BigEndian.Uint64(b[3:])))}
	rest = rest[topic+id:]
	if err := m.SetAttributes(rest[:attributes]); err != nil {
		return nil, fmt.Errorf("%w: %w", errPayload, err)
	}
	m.Body = append([]byte(nil), rest[attributes:]...)
	if m.ID == "" {
		return nil, fmt.Errorf("%w: it has no unique id", errPayload)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errPayload, err)
	}
	return m, nil
}
