package broker

import (
	"maps"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// lagReadsMax bounds the messages that are read to tell how old the waiting
// ones of all groups are. Past it ages show as 0.
const lagReadsMax = 2048

// groupLag is how far a group is behind in a topic.
type groupLag struct {
	group, topic string
	messages     int64 // stored and not consumed
	inFlight     int64 // of them, pulled
	ready        int64 // of them, not pulled
	millis       int64 // since the oldest of them was stored
}

// lag lists all groups that have offsets or are online, by topic: as many as
// Limits.MeasuredPairs. A queue without an offset counts as consumed, as in
// RocketMQ.
func (b *Broker) lag() []groupLag {
	var list []groupLag
	reads := lagReadsMax
	for _, group := range b.groupsToShow() {
		for _, name := range b.topicsToShow(group, "", "") {
			t, found := b.topics.Get(name)
			if !found {
				continue
			}
			if len(list) == b.config.Limits.MeasuredPairs {
				return list
			}
			list = append(list, b.lagIn(group, t, &reads))
		}
	}
	return list
}

// groupsToShow are the groups with offsets and those online, in order.
func (b *Broker) groupsToShow() []string {
	names := make(map[string]struct{})
	for _, g := range b.offsets.Groups() {
		names[g] = struct{}{}
	}
	for _, g := range b.clients.groupNames() {
		names[g] = struct{}{}
	}
	return slices.Sorted(maps.Keys(names))
}

func (b *Broker) lagIn(group string, t topic.Topic, reads *int) groupLag {
	l := groupLag{group: group, topic: t.Config.Name}
	oldest := int64(0)
	for id := range max(t.Config.WriteQueues, t.Config.ReadQueues) {
		k := commitKey{group, event.Queue{Topic: t.ID, ID: id}}
		first, next := b.queues.Bounds(k.queue)
		committed, known := b.commits.get(k)
		if committed = max(committed, first); !known || committed >= next {
			continue
		}
		pulled := min(max(b.pulled.get(k, committed), committed), next)
		l.messages += int64(next - committed)
		l.inFlight += int64(pulled - committed)
		l.ready += int64(next - pulled)
		if *reads > 0 {
			*reads--
			at, err := b.timeOf(k.queue, committed, 0)
			if err != nil {
				b.config.Logger.Error("the oldest waiting message can't be read", "topic", l.topic, "queue", id, "cause", err)
			} else if at > 0 && (oldest == 0 || at < oldest) {
				oldest = at
			}
		}
	}
	if oldest > 0 {
		l.millis = max(b.config.Clock().UnixMilli()-oldest, 0)
	}
	return l
}

// pullOffsets are where the next pulls of groups begin, as RocketMQ's
// pullOffsetTable. What doesn't fit is not known.
type pullOffsets struct {
	limit int

	mu    sync.Mutex
	table map[commitKey]event.Offset
}

func newPullOffsets(limit int) *pullOffsets {
	return &pullOffsets{limit: limit, table: make(map[commitKey]event.Offset)}
}

func (p *pullOffsets) set(k commitKey, next event.Offset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.table[k]; known || len(p.table) < p.limit {
		p.table[k] = next
	}
}

func (p *pullOffsets) get(k commitKey, otherwise event.Offset) event.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next, known := p.table[k]; known {
		return next
	}
	return otherwise
}

// forget drops the offsets of what is gone.
func (p *pullOffsets) forget(gone func(commitKey) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.table {
		if gone(k) {
			delete(p.table, k)
		}
	}
}

// forgetGone drops what is remembered of topics and groups that are deleted,
// and where the pulls of groups stand that are not online.
func (b *Broker) forgetGone() {
	b.metrics.flows.forget(func(k flowKey) bool {
		_, found := b.topics.Get(k.topic)
		return !found || k.group != "" && !b.groupExists(k.group)
	})
	online := make(map[string]bool)
	for _, name := range b.clients.groupNames() {
		online[name] = true
	}
	b.pulled.forget(func(k commitKey) bool {
		_, found := b.topics.ByID(k.queue.Topic)
		return !found || !online[k.group]
	})
}
