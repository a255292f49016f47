package topic

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Topic is one incarnation of a topic. It is shared: nobody changes it or its
// attributes.
type Topic struct {
	ID     event.TopicID
	Config event.TopicConfig
	// ChangedAt is the time of the last event that configured the topic, in
	// Unix milliseconds.
	ChangedAt int64
}

// Table is the projection of all topics.
type Table struct {
	state atomic.Pointer[state] // replaced as a whole by Restore
}

var _ projection.Projection = (*Table)(nil)

// state is what Restore replaces.
type state struct {
	names sync.Map // string → *Topic

	mu      sync.RWMutex // guards the rest
	ids     map[event.TopicID]*Topic
	lastID  event.TopicID
	version uint64
}

func newState() *state { return &state{ids: make(map[event.TopicID]*Topic)} }

// New returns a table without topics.
func New() *Table {
	t := &Table{}
	t.state.Store(newState())
	return t
}

// Name is "topic".
func (t *Table) Name() string { return "topic" }

// Apply takes in topic events and passes over all others. It panics on a
// configuration that can't be decoded or has no topic id.
func (t *Table) Apply(at projection.Place, e event.Event) {
	switch e.Kind() {
	case event.KindTopic:
		config, err := event.DecodeTopicConfig(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: topic event at position %d: %v", at.Position, err))
		}
		if e.Topic() == 0 {
			panic(fmt.Sprintf("BUG: topic event at position %d configures %q without a topic id", at.Position, config.Name))
		}
		t.state.Load().set(&Topic{ID: e.Topic(), Config: config, ChangedAt: at.Timestamp})
	case event.KindTopicDeleted:
		t.state.Load().remove(e.Topic())
	}
}

func (s *state) set(topic *Topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.ids[topic.ID]; before != nil && before.Config.Name != topic.Config.Name {
		s.names.Delete(before.Config.Name)
	}
	if holder, found := s.names.Swap(topic.Config.Name, topic); found {
		delete(s.ids, holder.(*Topic).ID)
	}
	s.ids[topic.ID] = topic
	s.lastID = max(s.lastID, topic.ID)
	s.version++
}

func (s *state) remove(id event.TopicID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	topic := s.ids[id]
	if topic == nil {
		return
	}
	s.names.Delete(topic.Config.Name)
	delete(s.ids, id)
	s.version++
}

// Get returns the live topic of that name.
func (t *Table) Get(name string) (Topic, bool) {
	topic, found := t.state.Load().names.Load(name)
	if !found {
		return Topic{}, false
	}
	return *topic.(*Topic), true
}

// GetBytes is Get for a name that is still in the buffer it came in, which it
// doesn't keep. It saves the caller the copy.
func (t *Table) GetBytes(name []byte) (Topic, bool) {
	return t.Get(unsafe.String(unsafe.SliceData(name), len(name)))
}

// ByID returns the live topic incarnation of that id.
func (t *Table) ByID(id event.TopicID) (Topic, bool) {
	s := t.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	topic := s.ids[id]
	if topic == nil {
		return Topic{}, false
	}
	return *topic, true
}

// All returns all live topics, by id, as they were at one moment.
func (t *Table) All() []Topic {
	s := t.state.Load()
	s.mu.RLock()
	topics := make([]Topic, 0, len(s.ids))
	for _, topic := range s.ids {
		topics = append(topics, *topic)
	}
	s.mu.RUnlock()
	slices.SortFunc(topics, func(a, b Topic) int { return cmp.Compare(a.ID, b.ID) })
	return topics
}

// NextID is the id for the next new topic: one more than any id ever used,
// also by topics that are deleted. 0 means that no id is left.
func (t *Table) NextID() event.TopicID {
	s := t.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lastID + 1
}

// Version counts the changes since the log began. It is part of the state, so
// it goes on after a restore and agrees on all replicas.
func (t *Table) Version() uint64 {
	s := t.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version
}
