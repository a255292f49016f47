package offset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// lockCommitsMax bounds the commits taken in while readers wait.
const lockCommitsMax = 512

// Commit is the progress of one group in one queue.
type Commit struct {
	// Offset of the next event the group wants.
	Offset event.Offset
	// Timestamp of the event that carried the commit, in Unix milliseconds.
	Timestamp int64
	// Client that asked for the commit, "" where unknown.
	Client string
}

// QueueCommit is a commit and the queue it is for.
type QueueCommit struct {
	Queue event.Queue
	Commit
}

// Table is the projection of all commits.
type Table struct {
	mu      sync.RWMutex // guards the rest
	groups  map[string]group
	version uint64
}

// group holds the commits of one group by topic incarnation and queue id, so
// that deleting a topic costs one step per group. No map in it is empty.
type group map[event.TopicID]map[uint32]Commit

var _ projection.Projection = (*Table)(nil)

// New returns a table without commits.
func New() *Table { return &Table{groups: make(map[string]group)} }

// Name is "offset".
func (t *Table) Name() string { return "offset" }

// Apply takes in commits and the deletion of topics and groups and passes over
// all other events. It panics on payloads that can't be decoded.
func (t *Table) Apply(at projection.Place, e event.Event) {
	switch e.Kind() {
	case event.KindOffsets:
		commits, err := event.DecodeOffsetCommits(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: offsets event at position %d: %v", at.Position, err))
		}
		for step := range slices.Chunk(commits, lockCommitsMax) {
			t.setAll(step, at.Timestamp)
		}
	case event.KindTopicDeleted:
		t.remove(e.Topic())
	case event.KindGroupDeleted:
		deletion, err := event.DecodeGroupDeletion(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: group event at position %d: %v", at.Position, err))
		}
		if deletion.Offsets {
			t.removeGroup(deletion.Name)
		}
	}
}

func (t *Table) removeGroup(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, queues := range t.groups[name] {
		t.version += uint64(len(queues))
	}
	delete(t.groups, name)
}

func (t *Table) setAll(commits []event.OffsetCommit, timestamp int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range commits {
		c := &commits[i]
		t.set(c.Group, c.Queue, Commit{Offset: c.Offset, Timestamp: timestamp, Client: c.Client})
	}
	t.version += uint64(len(commits))
}

func (t *Table) set(name string, q event.Queue, c Commit) {
	topics := t.groups[name]
	if topics == nil {
		topics = make(group)
		t.groups[name] = topics
	}
	queues := topics[q.Topic]
	if queues == nil {
		queues = make(map[uint32]Commit)
		topics[q.Topic] = queues
	}
	if before := queues[q.ID]; before.Client == c.Client {
		c.Client = before.Client // keeps one text alive, not one per event
	}
	queues[q.ID] = c
}

func (t *Table) remove(topic event.TopicID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, topics := range t.groups {
		t.version += uint64(len(topics[topic]))
		delete(topics, topic)
		if len(topics) == 0 {
			delete(t.groups, name)
		}
	}
}

// Get returns what the group has committed for the queue.
func (t *Table) Get(group string, q event.Queue) (Commit, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c, found := t.groups[group][q.Topic][q.ID]
	return c, found
}

// Group returns all commits of the group by topic id and queue id; none if
// the group is unknown.
func (t *Table) Group(group string) []QueueCommit {
	t.mu.RLock()
	var commits []QueueCommit
	for topic, queues := range t.groups[group] {
		for id, c := range queues {
			commits = append(commits, QueueCommit{Queue: event.Queue{Topic: topic, ID: id}, Commit: c})
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(commits, func(a, b QueueCommit) int { return compareQueues(a.Queue, b.Queue) })
	return commits
}

// Groups returns the names of the groups that have commits, in order.
func (t *Table) Groups() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.groups))
}

// Version counts the commits set and removed since the log began. It is part
// of the state, so it goes on after a restore and agrees on all replicas.
func (t *Table) Version() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.version
}

func compareQueues(a, b event.Queue) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}
