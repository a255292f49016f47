package queue

import (
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"pgregory.net/rapid"
)

func TestADirectoryFindsExactlyTheLinesThatAreIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, twin := newDirectory(), map[event.Queue]*line{}
		queues := rapid.Custom(func(t *rapid.T) event.Queue {
			return event.Queue{Topic: event.TopicID(rapid.Uint32Range(0, 20).Draw(t, "topic")), ID: rapid.Uint32Range(0, 10).Draw(t, "id")}
		})
		for _, q := range rapid.SliceOfN(queues, 0, 500).Draw(t, "toggled") {
			if twin[q] == nil {
				twin[q] = newLine(q)
				d.add(twin[q])
			} else {
				d.remove(q)
				delete(twin, q)
			}
			if got := d.find(q); got != twin[q] {
				t.Fatalf("found %p, expected %p", got, twin[q])
			}
		}
		d.remove(event.Queue{Topic: 99})
		for topic := range event.TopicID(22) {
			for id := range uint32(12) {
				q := event.Queue{Topic: topic, ID: id}
				if got := d.find(q); got != twin[q] {
					t.Fatalf("queue %v: found %p, expected %p", q, got, twin[q])
				}
			}
		}
		n := 0
		for l := range d.all() {
			if twin[l.queue] != l {
				t.Fatalf("%v is listed and should not be", l.queue)
			}
			n++
		}
		if slots := len(*d.slots.Load()); n != len(twin) || n != d.lines || d.used*4 > 3*slots {
			t.Fatalf("%d lines listed, %d counted, expected %d; %d of %d slots used", n, d.lines, len(twin), d.used, slots)
		}
	})
}
