package lock

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Name of the projection and of its section in checkpoints.
const Name = "lock"

// Key names a queue that a group consumes.
type Key struct {
	Group string
	Queue event.Queue
}

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Group, other.Group), cmp.Compare(k.Queue.Topic, other.Queue.Topic), cmp.Compare(k.Queue.ID, other.Queue.ID))
}

// Lock is one queue and its owner.
type Lock struct {
	Key
	Client string
	Since  int64 // time of the event that gave it, Unix milliseconds
}

// owner is who has a queue, and since when.
type owner struct {
	client string
	since  int64
}

// Table is the projection of all locks.
type Table struct {
	mu     sync.RWMutex
	owners map[Key]owner
}

var _ projection.Projection = (*Table)(nil)

// New returns a table without locks.
func New() *Table { return &Table{owners: make(map[Key]owner)} }

// Name is "lock".
func (t *Table) Name() string { return Name }

// Apply takes in lock events and the deletions of topics and groups, and passes
// over all others. It panics on payloads that can't be decoded.
func (t *Table) Apply(at projection.Place, e event.Event) {
	switch e.Kind() {
	case event.KindLocked, event.KindUnlocked:
		l, err := event.DecodeLock(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: lock event at position %d: %v", at.Position, err))
		}
		if e.Kind() == event.KindLocked {
			t.give(l, at.Timestamp)
		} else {
			t.take(l)
		}
	case event.KindTopicDeleted:
		t.remove(func(k Key) bool { return k.Queue.Topic == e.Topic() })
	case event.KindGroupDeleted:
		deletion, err := event.DecodeGroupDeletion(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: lock event at position %d: %v", at.Position, err))
		}
		t.remove(func(k Key) bool { return k.Group == deletion.Name })
	}
}

// give lets a lock that the client has already be as old as it is.
func (t *Table) give(l event.Lock, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range l.Queues {
		k := Key{l.Group, q}
		if held, found := t.owners[k]; !found || held.client != l.Client {
			t.owners[k] = owner{l.Client, now}
		}
	}
}

func (t *Table) take(l event.Lock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range l.Queues {
		k := Key{l.Group, q}
		if t.owners[k].client == l.Client {
			delete(t.owners, k)
		}
	}
}

func (t *Table) remove(match func(Key) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.owners {
		if match(k) {
			delete(t.owners, k)
		}
	}
}

// Owner is the client that a queue belongs to, "" for none.
func (t *Table) Owner(group string, q event.Queue) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.owners[Key{group, q}].client
}

// All returns all locks, by group, topic and queue.
func (t *Table) All() []Lock {
	t.mu.RLock()
	all := make([]Lock, 0, len(t.owners))
	for k, o := range t.owners {
		all = append(all, Lock{Key: k, Client: o.client, Since: o.since})
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b Lock) int { return a.compare(b.Key) })
	return all
}
