package track

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// Bounds of one answer.
const (
	// MessagesMax bounds the messages with one id: sends that were repeated have
	// the same unique key.
	MessagesMax = 16
	// TopicsMax bounds the topics that are searched where none is named.
	TopicsMax = 256
	// copiesMax bounds the copies of one message that are looked at.
	copiesMax = 1024
)

// ErrTooManyTopics asks for the name of the topic.
var ErrTooManyTopics = fmt.Errorf("a unique key is searched in %d topics at most, and there are more: name the topic", TopicsMax)

// Log is read as applied.
type Log interface {
	ReadAt(position event.Position, visit func(engine.Message) error) error
	FindHash(hash uint64, from, to event.Position, visit func(engine.Message) (more bool, err error)) error
}

// Topics are the topics as applied.
type Topics interface {
	Get(name string) (topic.Topic, bool)
	ByID(id event.TopicID) (topic.Topic, bool)
	All() []topic.Topic
}

// Offsets are the consumer offsets as applied.
type Offsets interface {
	Get(group string, q event.Queue) (offset.Commit, bool)
}

// Waiting is what waits as applied.
type Waiting interface {
	Get(handle event.Position) (pending.Entry, bool, error)
}

// Consumer is a group that has to do with a topic, as far as the broker knows
// it.
type Consumer struct {
	Group        string
	Online       bool
	Broadcasting bool // each online member consumes everything
	Pulls        bool // the members ask for messages when they want to
	// Uncertain: the group is only told about if the log names it.
	Uncertain bool
	// Wants tells whether the subscription of the online members takes a
	// message; nil where that is not known.
	Wants func(m *Message, payload []byte) bool
}

// Names are the topics in which messages and their copies stand.
type Names struct {
	Waiting     []string // topics of messages that wait
	RetryPrefix string   // before a group's name
	DeadPrefix  string
	GivenUp     string // topic of half messages whose outcome nobody has told
}

// Tracker answers what became of messages.
type Tracker struct {
	Log     Log
	Topics  Topics
	Offsets Offsets
	Waiting Waiting
	Names   Names
	// Consumers lists the groups that have consumed a queue of a topic or are
	// online to do so, in order.
	Consumers func(t topic.Topic, q event.Queue) []Consumer
	// OffsetOf is the offset of a message in its queue, -1 for none.
	OffsetOf func(q event.Queue, m engine.Message) (event.Offset, error)
}

// everywhere is past all positions.
const everywhere = event.Position(1<<64 - 1)

// Find tells what became of the messages with an id: one that a broker gave
// (offsetMsgId) or a client (the unique key). A unique key is looked for in a
// topic, or in all where none is named. No message is no error.
func (t *Tracker) Find(id, topicName string) ([]Message, error) {
	f := &finder{Tracker: t, id: id}
	if err := f.find(topicName); err != nil {
		return nil, err
	}
	messages := make([]Message, 0, len(f.found))
	for i := range f.found {
		m := &f.found[i]
		if err := t.follow(m); err != nil {
			return nil, fmt.Errorf("follow the message at position %d: %w", m.Position, err)
		}
		messages = append(messages, m.Message)
	}
	return messages, nil
}

// copyFor is the group for which a topic holds copies of messages, "" for a
// topic of originals.
func (n *Names) copyFor(topicName string) string {
	for _, prefix := range []string{n.RetryPrefix, n.DeadPrefix} {
		if group, ok := strings.CutPrefix(topicName, prefix); ok {
			return group
		}
	}
	return ""
}

func isNotFound(err error) bool { return errors.Is(err, engine.ErrNotFound) }
