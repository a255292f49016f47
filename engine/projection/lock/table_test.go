package lock_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/lock"
)

func encode(d event.Draft) event.Event {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func change(kind event.Kind, group, client string, queues ...event.Queue) event.Event {
	payload := event.AppendLock(nil, event.Lock{Group: group, Client: client, Queues: queues})
	return encode(event.Draft{Kind: kind, Payload: event.Bytes(payload)})
}

func owned(group string, q event.Queue, client string, since int64) lock.Lock {
	return lock.Lock{Key: lock.Key{Group: group, Queue: q}, Client: client, Since: since}
}

func TestAQueueBelongsToWhoLockedItLastUntilThatOneGivesItBack(t *testing.T) {
	t.Parallel()
	q0, q1, other := event.Queue{Topic: 1}, event.Queue{Topic: 1, ID: 1}, event.Queue{Topic: 2}
	table := lock.New()
	for i, step := range []struct {
		event event.Event
		want  []lock.Lock
	}{
		{change(event.KindLocked, "g", "a", q1, q0), []lock.Lock{owned("g", q0, "a", 0), owned("g", q1, "a", 0)}},
		{change(event.KindUnlocked, "g", "b", q0), []lock.Lock{owned("g", q0, "a", 0), owned("g", q1, "a", 0)}},
		{change(event.KindUnlocked, "f", "a", q0), []lock.Lock{owned("g", q0, "a", 0), owned("g", q1, "a", 0)}},
		{change(event.KindLocked, "g", "b", q0), []lock.Lock{owned("g", q0, "b", 3), owned("g", q1, "a", 0)}},
		{change(event.KindLocked, "g", "b", q0), []lock.Lock{owned("g", q0, "b", 3), owned("g", q1, "a", 0)}},
		{change(event.KindUnlocked, "g", "a", q0, q1), []lock.Lock{owned("g", q0, "b", 3)}},
		{change(event.KindLocked, "f", "a", other, q0), []lock.Lock{owned("f", q0, "a", 6), owned("f", other, "a", 6), owned("g", q0, "b", 3)}},
		{encode(event.Draft{Kind: event.KindTopicDeleted, Topic: 1}), []lock.Lock{owned("f", other, "a", 6)}},
		{encode(event.Draft{Kind: event.KindGroupDeleted, Payload: event.Bytes(event.AppendGroupDeletion(nil, event.GroupDeletion{Name: "f"}))}), []lock.Lock{}},
	} {
		table.Apply(projection.Place{Timestamp: int64(i)}, step.event)
		if diff := cmp.Diff(step.want, table.All()); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		for _, l := range step.want {
			if got := table.Owner(l.Group, l.Queue); got != l.Client {
				t.Errorf("step %d: %v belongs to %q", i, l.Key, got)
			}
		}
	}
	if got := table.Owner("f", other); got != "" {
		t.Errorf("the queue of a deleted group belongs to %q", got)
	}
}

func TestBytesNoProposerLetsThroughPanic(t *testing.T) {
	t.Parallel()
	for _, kind := range []event.Kind{event.KindLocked, event.KindUnlocked, event.KindGroupDeleted} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: lock event at position 77: corrupt event") {
					t.Errorf("%v: panic %q", kind, got)
				}
			}()
			lock.New().Apply(projection.Place{Position: 77}, encode(event.Draft{Kind: kind}))
		}()
	}
}

func TestRestoreNamesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	checkpoint := func(client string, queues ...uint32) []byte {
		le := binary.LittleEndian
		b := le.AppendUint32(le.AppendUint32(nil, 1), uint32(len(queues)))
		for _, q := range queues {
			b = append(le.AppendUint32(b, 1), 'g')
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 7), q), 99)
			b = append(le.AppendUint32(b, uint32(len(client))), client...)
		}
		return b
	}
	for want, b := range map[string][]byte{
		"comes after one": checkpoint("c", 1, 0), "lock 1 of": checkpoint("c", 1, 1), "no client": checkpoint("", 0),
	} {
		if err := lock.New().Restore(bytes.NewReader(b)); !errors.Is(err, projection.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected ErrCorrupt with %q", err, want)
		}
	}
	table := lock.New()
	if err := table.Restore(bytes.NewReader(checkpoint("c", 0, 1))); err != nil || len(table.All()) != 2 {
		t.Errorf("locks %v, %v", table.All(), err)
	}
}
