package group

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

// Group is one consumer group. It is shared: nobody changes it or its
// attributes.
type Group struct {
	Config event.GroupConfig
	// ChangedAt is the time of the last event that configured the group, in
	// Unix milliseconds.
	ChangedAt int64
}

// Table is the projection of all groups.
type Table struct {
	state atomic.Pointer[state] // replaced as a whole by Restore
}

var _ projection.Projection = (*Table)(nil)

// state is what Restore replaces.
type state struct {
	groups sync.Map // name → *Group; written under mu

	mu      sync.RWMutex // readers of more than one group hold it
	version uint64
}

// New returns a table without groups.
func New() *Table {
	t := &Table{}
	t.state.Store(&state{})
	return t
}

// Name is "group".
func (t *Table) Name() string { return "group" }

// Apply takes in group events and passes over all others. It panics on
// payloads that can't be decoded.
func (t *Table) Apply(at projection.Place, e event.Event) {
	switch e.Kind() {
	case event.KindGroup:
		config, err := event.DecodeGroupConfig(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: group event at position %d: %v", at.Position, err))
		}
		t.state.Load().set(&Group{Config: config, ChangedAt: at.Timestamp})
	case event.KindGroupDeleted:
		deletion, err := event.DecodeGroupDeletion(e.Payload())
		if err != nil {
			panic(fmt.Sprintf("BUG: group event at position %d: %v", at.Position, err))
		}
		t.state.Load().remove(deletion.Name)
	}
}

func (s *state) set(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups.Store(g.Config.Name, g)
	s.version++
}

func (s *state) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.groups.LoadAndDelete(name); found {
		s.version++
	}
}

// Get returns the group of that name.
func (t *Table) Get(name string) (Group, bool) {
	g, found := t.state.Load().groups.Load(name)
	if !found {
		return Group{}, false
	}
	return *g.(*Group), true
}

// GetBytes is Get for a name that is still in the buffer it came in, which it
// doesn't keep. It saves the caller the copy.
func (t *Table) GetBytes(name []byte) (Group, bool) {
	return t.Get(unsafe.String(unsafe.SliceData(name), len(name)))
}

// All returns all groups, by name, as they were at one moment.
func (t *Table) All() []Group {
	s := t.state.Load()
	var groups []Group
	s.mu.RLock()
	s.groups.Range(func(_, g any) bool {
		groups = append(groups, *g.(*Group))
		return true
	})
	s.mu.RUnlock()
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Config.Name, b.Config.Name) })
	return groups
}

// Version counts the changes since the log began. It is part of the state, so
// it goes on after a restore and agrees on all replicas.
func (t *Table) Version() uint64 {
	s := t.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version
}
