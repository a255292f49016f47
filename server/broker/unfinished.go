package broker

import (
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// Unfinished is what a broker has that somebody may still want.
type Unfinished struct {
	Unconsumed int64 // messages that a group of their topic hasn't consumed, or that no group has ever consumed
	Waiting    int64 // messages that wait for their time, or for the outcome of their transaction
}

// Unfinished counts what would be lost if the broker went for good. It looks at
// every queue.
func (b *Broker) Unfinished() Unfinished {
	counts := b.waiting.Counts()
	u := Unfinished{Waiting: counts.Delayed + counts.Half}
	groups := b.offsets.Groups()
	for _, t := range b.topics.All() {
		if !isSystemTopic(t.Config.Name) {
			u.Unconsumed += b.unconsumed(groups, t)
		}
	}
	return u
}

// unconsumed is what the slowest group of each queue of a topic has before it.
func (b *Broker) unconsumed(groups []string, t topic.Topic) int64 {
	total := int64(0)
	for id := range max(t.Config.WriteQueues, t.Config.ReadQueues) {
		q := event.Queue{Topic: t.ID, ID: id}
		first, next := b.queues.Bounds(q)
		slowest, consumed := next, false
		for _, group := range groups {
			if committed, known := b.commits.get(commitKey{group, q}); known {
				slowest, consumed = min(slowest, max(committed, first)), true
			}
		}
		if !consumed {
			slowest = first
		}
		total += int64(next - slowest)
	}
	return total
}
