package topic

import (
	"io"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Checkpoint writes all topics.
func (t *Table) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	topics := t.All()
	e.Uint32(checkpointFormat)
	e.Uint32(uint32(t.NextID() - 1))
	e.Uint64(t.Version())
	e.Uint32(uint32(len(topics)))
	var config []byte
	for _, topic := range topics {
		config = event.AppendTopicConfig(config[:0], topic.Config)
		e.Uint32(uint32(topic.ID))
		e.Uint64(uint64(topic.ChangedAt))
		e.Uint32(uint32(len(config)))
		e.Bytes(config)
	}
	return e.Flush()
}

// Restore replaces all topics. Readers see the old ones until it is done.
func (t *Table) Restore(r io.Reader) error {
	d := projection.NewDecoder(t.Name(), r)
	s := newState()
	d.Format(checkpointFormat)
	lastID := event.TopicID(d.Uint32())
	version := d.Uint64()
	before := event.TopicID(0)
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		topic := decodeTopic(d)
		if topic.ID <= before || topic.ID > lastID {
			d.Fail("topic id %d comes after %d, the last is %d", topic.ID, before, lastID)
		}
		if _, twice := s.names.Load(topic.Config.Name); twice {
			d.Fail("topic id %d has the name %q of another topic", topic.ID, topic.Config.Name)
		}
		s.set(topic)
		before = topic.ID
	}
	if err := d.Close(); err != nil {
		return err
	}
	s.lastID, s.version = lastID, version
	t.state.Store(s)
	return nil
}

func decodeTopic(d *projection.Decoder) *Topic {
	topic := &Topic{ID: event.TopicID(d.Uint32()), ChangedAt: int64(d.Uint64())}
	payload := d.Text(event.TopicConfigBytesMax)
	if d.Err() != nil {
		return topic
	}
	config, err := event.DecodeTopicConfig([]byte(payload))
	if err != nil {
		d.Fail("topic id %d: %v", topic.ID, err)
	}
	topic.Config = config
	return topic
}
