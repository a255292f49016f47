package topic_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
	"github.com/apogeemq/apogee/engine/projection/topic"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func encode(d event.Draft) event.Event {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func configured(id event.TopicID, name string, queues uint32) event.Event {
	config := event.TopicConfig{Name: name, ReadQueues: queues, WriteQueues: queues}
	return encode(event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(event.AppendTopicConfig(nil, config))})
}

func deleted(id event.TopicID) event.Event {
	return encode(event.Draft{Kind: event.KindTopicDeleted, Topic: id})
}

func TestATopicIsCreatedReconfiguredAndDeleted(t *testing.T) {
	t.Parallel()
	table := topic.New()
	check := func(step string, version uint64, next event.TopicID, want ...topic.Topic) {
		t.Helper()
		if diff := gocmp.Diff(append([]topic.Topic{}, want...), table.All()); diff != "" {
			t.Fatalf("%s: %s", step, diff)
		}
		if table.Version() != version || table.NextID() != next {
			t.Fatalf("%s: version %d, next id %d, expected %d and %d", step, table.Version(), table.NextID(), version, next)
		}
	}
	orders := topic.Topic{ID: 1, Config: event.TopicConfig{Name: "orders", ReadQueues: 8, WriteQueues: 8}, ChangedAt: 10}
	bills := topic.Topic{ID: 2, Config: event.TopicConfig{Name: "bills", ReadQueues: 4, WriteQueues: 4}, ChangedAt: 20}
	check("empty", 0, 1)
	table.Apply(projection.Place{Timestamp: 10}, configured(1, "orders", 8))
	table.Apply(projection.Place{Timestamp: 20}, configured(2, "bills", 4))
	check("two", 2, 3, orders, bills)
	table.Apply(projection.Place{Timestamp: 30}, configured(1, "orders", 16))
	orders.Config.ReadQueues, orders.Config.WriteQueues, orders.ChangedAt = 16, 16, 30
	check("reconfigured", 3, 3, orders, bills)
	table.Apply(projection.Place{Timestamp: 40}, deleted(1))
	table.Apply(projection.Place{Timestamp: 41}, deleted(1))
	check("deleted", 4, 3, bills)
	if _, found := table.Get("orders"); found {
		t.Fatal("the deleted topic is found by name")
	}
	if _, found := table.ByID(1); found {
		t.Fatal("the deleted topic is found by id")
	}
	table.Apply(projection.Place{Timestamp: 50}, configured(3, "orders", 1))
	if got, found := table.Get("orders"); !found || got.ID != 3 {
		t.Fatalf("the topic created again is %+v", got)
	}
}

// Names and ids pair up whatever the order of events, and the latest event
// counts.
func TestEveryNameBelongsToTheIncarnationOfTheLatestEvent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table, names, last := topic.New(), map[string]event.TopicID{}, event.TopicID(0)
		for _, s := range projectiontest.Logs().Draw(t, "log") {
			projectiontest.Apply(table, []projectiontest.Step{s})
			if k := s.Event.Kind(); k != event.KindTopic && k != event.KindTopicDeleted {
				continue
			}
			for name, id := range names {
				if id == s.Event.Topic() {
					delete(names, name)
				}
			}
			if s.Event.Kind() == event.KindTopic {
				config, err := event.DecodeTopicConfig(s.Event.Payload())
				if err != nil {
					t.Fatalf("%v", err)
				}
				names[config.Name] = s.Event.Topic()
				last = max(last, s.Event.Topic())
				if got, found := table.Get(config.Name); !found || gocmp.Diff(config, got.Config) != "" || got.ChangedAt != s.At.Timestamp {
					t.Fatalf("got %+v of %d ms, expected %+v of %d ms", got, got.ChangedAt, config, s.At.Timestamp)
				}
			}
		}
		all := table.All()
		if len(all) != len(names) || table.NextID() != last+1 {
			t.Fatalf("topics %+v with next id %d, expected %v with %d", all, table.NextID(), names, last+1)
		}
		for name, id := range names {
			byName, found := table.Get(name)
			byID, foundToo := table.ByID(id)
			if !found || !foundToo || byName.ID != id || byID.Config.Name != name {
				t.Fatalf("%q is %+v, id %d is %+v", name, byName, id, byID)
			}
		}
	})
}

func TestNoIDIsLeftAfterTheLastOne(t *testing.T) {
	t.Parallel()
	table := topic.New()
	table.Apply(projection.Place{}, configured(math.MaxUint32, "last", 1))
	if next := table.NextID(); next != 0 {
		t.Fatalf("next id %d, expected 0", next)
	}
}

func TestBytesNoProposerLetsThroughPanic(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]event.Event{
		"BUG: topic event at position 77: corrupt event":                         encode(event.Draft{Kind: event.KindTopic, Topic: 1}),
		`BUG: topic event at position 77 configures "orders" without a topic id`: configured(0, "orders", 1),
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("panic %q, expected one with %q", got, want)
				}
			}()
			topic.New().Apply(projection.Place{Position: 77}, e)
		}()
	}
}

func TestRestoreNamesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	config := event.AppendTopicConfig(nil, event.TopicConfig{Name: "orders"})
	checkpoint := func(lastID uint32, ids ...uint32) []byte {
		le := binary.LittleEndian
		b := le.AppendUint32(le.AppendUint32(nil, 1), lastID)
		b = le.AppendUint32(le.AppendUint64(b, 99), uint32(len(ids)))
		for _, id := range ids {
			b = le.AppendUint64(le.AppendUint32(b, id), 0)
			b = append(le.AppendUint32(b, uint32(len(config))), config...)
		}
		return b
	}
	for want, b := range map[string][]byte{
		`topic id 2 has the name "orders" of another topic`: checkpoint(2, 1, 2),
		"topic id 1 comes after 2":                          checkpoint(2, 2, 1),
		"topic id 0 comes after 0":                          checkpoint(2, 0),
		"topic id 3 comes after 0, the last is 2":           checkpoint(2, 3),
	} {
		table := topic.New()
		if err := table.Restore(bytes.NewReader(b)); !errors.Is(err, projection.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected ErrCorrupt with %q", err, want)
		}
	}
	table := topic.New()
	if err := table.Restore(bytes.NewReader(checkpoint(2, 1))); err != nil || table.NextID() != 3 || table.Version() != 99 {
		t.Errorf("next id %d, version %d, %v", table.NextID(), table.Version(), err)
	}
}

func TestReadersSeeWholeTopicsWhileTheApplierChangesThem(t *testing.T) {
	t.Parallel()
	table, done := topic.New(), make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				// The number of queues always equals the id.
				for _, one := range table.All() {
					byName, _ := table.Get(one.Config.Name)
					byID, _ := table.ByID(one.ID)
					if byName.Config.ReadQueues != uint32(byName.ID) || byID.Config.ReadQueues != uint32(byID.ID) || table.NextID() <= one.ID {
						t.Errorf("torn topic %+v or %+v", byName, byID)
						return
					}
				}
			}
		})
	}
	for i := event.TopicID(1); i <= 3000; i++ {
		table.Apply(projection.Place{}, configured(i, fmt.Sprintf("topic-%d", i%10), uint32(i)))
		if i%7 == 0 {
			table.Apply(projection.Place{}, deleted(i))
		}
	}
	close(done)
	readers.Wait()
}

func TestGetAllocatesNothing(t *testing.T) {
	table := topic.New()
	name := strings.Repeat("a-long-topic-name-", 5)
	table.Apply(projection.Place{}, configured(1, name, 1))
	raw := []byte(name)
	if n := testing.AllocsPerRun(100, func() {
		_, found := table.Get(name)
		_, foundToo := table.GetBytes(raw)
		_, none := table.GetBytes(nil)
		if !found || !foundToo || none {
			t.Error("not found")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// One topic more must cost the same whether there are ten or ten thousand.
func BenchmarkApplyOf12500Topics(b *testing.B) {
	const count = 12_500
	events := make([]event.Event, count)
	for i := range events {
		events[i] = configured(event.TopicID(i+1), fmt.Sprintf("topic-%d", i), 8)
	}
	b.ReportAllocs()
	for b.Loop() {
		table := topic.New()
		for _, e := range events {
			table.Apply(projection.Place{}, e)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/topic")
}

func benchmarkGet(b *testing.B, count int) {
	table := topic.New()
	names := make([][]byte, count)
	for i := range count {
		names[i] = fmt.Appendf(nil, "topic-%d", i)
		table.Apply(projection.Place{}, configured(event.TopicID(i+1), string(names[i]), 8))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, found := table.GetBytes(names[i*7919%count]); !found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkGetOf8(b *testing.B)     { benchmarkGet(b, 8) }
func BenchmarkGetOf12500(b *testing.B) { benchmarkGet(b, 12_500) }
