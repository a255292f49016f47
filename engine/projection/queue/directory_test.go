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
				twin[q] = newLine(q, 0, 0)
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

func TestADirectoryStaysAtMostThreeQuartersFullHoweverManyComeAndGo(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	for i := range uint32(10_000) {
		q := event.Queue{Topic: 1, ID: i}
		d.add(newLine(q, 0, 0))
		if slots := len(*d.slots.Load()); 4*d.used > 3*slots || slots > 256 {
			t.Fatalf("%d of %d slots used by %d lines", d.used, slots, d.lines)
		}
		if i >= 50 {
			d.remove(event.Queue{Topic: 1, ID: i - 50})
		}
	}
}

func TestALineThatIsGoneIsNotTheLineOfQueueZero(t *testing.T) {
	t.Parallel()
	d, zero := newDirectory(), event.Queue{}
	d.add(newLine(zero, 0, 0))
	d.remove(zero)
	if l := d.find(zero); l != nil {
		t.Fatalf("found %p", l)
	}
}

func TestADeletedTopicLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newState()
	for id := range uint32(3) {
		s.add(newLine(event.Queue{Topic: 1, ID: id}, 0, 0))
	}
	s.remove(1, 7)
	if len(s.topics) != 0 || s.lines.lines != 0 {
		t.Fatalf("%d topics and %d lines left", len(s.topics), s.lines.lines)
	}
}
