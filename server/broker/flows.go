package broker

import (
	"sync"
	"sync/atomic"
)

// flowKey names what is counted together.
type flowKey struct {
	topic string
	group string      // of consumers; "" for messages that are stored
	kind  messageKind // of messages that are stored
	event flowEvent   // that is counted instead of messages stored or pulled
}

// flowEvent is something that is counted by topic. Its name is part of the
// metric's.
type flowEvent string

const (
	committed  flowEvent = "commit" // a transaction
	rolledBack flowEvent = "rollback"
	buried     flowEvent = "send_to_dlq" // what a group could not handle
)

// flows are the counters by topic and group: as many as Limits.MeasuredPairs,
// those of other pairs are counted together. Whoever counts keeps the counters
// that it has found until the generation changes.
type flows struct {
	limit      int
	create     func(k flowKey) *flow
	drop       func(f *flow)
	generation atomic.Uint64 // changes when counters were dropped

	mu    sync.Mutex
	table map[flowKey]*flow
}

func newFlows(limit int, create func(flowKey) *flow, drop func(*flow)) *flows {
	return &flows{limit: limit, create: create, drop: drop, table: make(map[flowKey]*flow)}
}

// find returns the counters of k, or those of all that have none of their own.
func (f *flows) find(k flowKey) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found := f.table[k]; found != nil {
		return found
	}
	if len(f.table) >= f.limit {
		other := flowKey{topic: otherTopics, kind: k.kind, event: k.event}
		if k.group != "" {
			other.group = otherTopics
		}
		k = other
		if found := f.table[k]; found != nil {
			return found
		}
	}
	created := f.create(k)
	f.table[k] = created
	return created
}

// count is the number of counters.
func (f *flows) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.table)
}

// each calls visit with all counters.
func (f *flows) each(visit func(flowKey, *flow)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, one := range f.table {
		visit(k, one)
	}
}

// forget drops the counters of what is gone.
func (f *flows) forget(gone func(flowKey) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, one := range f.table {
		if k.topic != otherTopics && gone(k) {
			delete(f.table, k)
			f.drop(one)
			f.generation.Add(1)
		}
	}
}

// flowCache is what one goroutine has found.
type flowCache[K comparable] struct {
	flows      *flows
	generation uint64
	found      map[K]*flow
}

func newFlowCache[K comparable](f *flows) *flowCache[K] {
	return &flowCache[K]{flows: f, found: make(map[K]*flow)}
}

// find returns the counters for a key of the goroutine's own, nil when it has
// not learned them.
func (c *flowCache[K]) find(key K) *flow {
	if g := c.flows.generation.Load(); g != c.generation || len(c.found) > c.flows.limit {
		clear(c.found)
		c.generation = g
	}
	return c.found[key]
}

// learn finds the counters by their name and keeps them for find.
func (c *flowCache[K]) learn(key K, name flowKey) *flow {
	one := c.flows.find(name)
	c.found[key] = one
	return one
}
