package projectiontest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

var updateGolden = flag.Bool("update-golden", false, "write the golden files anew")

// golden folds a fixed log into p, which is new, and compares the checkpoint
// with testdata/checkpoint-v1 of the test's folder. Checkpoints of that file
// are in use, so a change of its bytes needs a new format number.
func golden(t *testing.T, p projection.Projection) {
	t.Helper()
	Apply(p, fixedLog())
	got := checkpoint(t, p)
	name := filepath.Join("testdata", "checkpoint-v1")
	if *updateGolden {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the checkpoint of format 1 has changed:\n got %x\nwant %x", got, want)
	}
}

// fixedLog uses every kind that a projection reads, crosses segments and
// fills more than one block of a queue.
func fixedLog() []Step {
	log := NewLog(8 << 10)
	now := int64(1_700_000_000_000)
	var steps []Step
	for id := event.TopicID(1); id <= 3; id++ {
		config := event.TopicConfig{Name: fmt.Sprintf("topic-%d", id), ReadQueues: 8, WriteQueues: uint32(id),
			Attributes: []event.Attribute{{Key: "perm", Value: "6"}}}
		steps = append(steps, log.Frame(now, event.Draft{Kind: event.KindTopic, Topic: id,
			Payload: event.Bytes(event.AppendTopicConfig(nil, config))})...)
	}
	for i := range uint32(200) {
		now += int64(i % 3)
		steps = append(steps, log.Frame(now,
			event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Queue: i % 2, Tag: int32(i),
				Payload: event.Bytes("a record")},
			event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1 + event.TopicID(i%3), Queue: 7, Tag: -int32(i)},
		)...)
	}
	commits := []event.OffsetCommit{
		{Group: "billing", Queue: event.Queue{Topic: 1, ID: 1}, Offset: 90, Client: "client-1"},
		{Group: "billing", Queue: event.Queue{Topic: 1, ID: 0}, Offset: 1 << 40, Client: "client-1"},
		{Group: "audit", Queue: event.Queue{Topic: 2, ID: 7}, Offset: 0},
		{Group: "gone", Queue: event.Queue{Topic: 3, ID: 7}, Offset: 5, Client: "client-2"},
	}
	steps = append(steps, log.Frame(now+1,
		event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, commits))},
		event.Draft{Kind: event.KindTopicDeleted, Topic: 3},
	)...)
	group := func(name, retries string) event.Draft {
		config := event.GroupConfig{Name: name, Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: retries}}}
		return event.Draft{Kind: event.KindGroup, Payload: event.Bytes(event.AppendGroupConfig(nil, config))}
	}
	gone := event.GroupDeletion{Name: "gone", Offsets: true}
	steps = append(steps, log.Frame(now+2, group("billing", "1"), group("audit", "2"), group("gone", "3"), group("billing", "16"),
		event.Draft{Kind: event.KindGroupDeleted, Payload: event.Bytes(event.AppendGroupDeletion(nil, gone))},
		event.Draft{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, event.Trim{Through: 50, Position: 2500, Cause: event.TrimBySize}))},
	)...)
	lock := func(kind event.Kind, group, client string, queues ...event.Queue) event.Draft {
		l := event.Lock{Group: group, Client: client, Queues: queues}
		return event.Draft{Kind: kind, Payload: event.Bytes(event.AppendLock(nil, l))}
	}
	return append(steps, log.Frame(now+3,
		lock(event.KindLocked, "billing", "client-1", event.Queue{Topic: 1, ID: 1}, event.Queue{Topic: 1, ID: 0}),
		lock(event.KindLocked, "audit", "client-2", event.Queue{Topic: 2, ID: 7}),
		lock(event.KindUnlocked, "billing", "client-1", event.Queue{Topic: 1, ID: 1}),
	)...)
}
