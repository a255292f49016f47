package event_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"pgregory.net/rapid"
)

var updateGolden = flag.Bool("update-golden", false, "write the golden files anew")

var testLog = event.LogID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func encode(d event.Draft, seed event.Seed) []byte {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, seed)
	return b
}

// goldenDrafts hold one event of every kind and every envelope feature.
func goldenDrafts() []event.Draft {
	config := event.TopicConfig{Name: "orders", ReadQueues: 8, WriteQueues: 4,
		Attributes: []event.Attribute{{Key: "order", Value: "true"}, {Key: "perm", Value: "6"}}}
	commits := []event.OffsetCommit{
		{Group: "billing", Queue: event.Queue{Topic: 7, ID: 0}, Offset: 300, Client: "10.0.0.1@4711"},
		{Group: "billing", Queue: event.Queue{Topic: 7, ID: 1}, Offset: 0, Client: "10.0.0.1@4711"},
		{Group: "audit", Queue: event.Queue{Topic: 1 << 31, ID: 1 << 20}, Offset: 1 << 40},
	}
	group := event.GroupConfig{Name: "billing", Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: "3"}}}
	lock := event.Lock{Group: "billing", Client: "10.0.0.1@4711", Queues: []event.Queue{{Topic: 7, ID: 0}, {Topic: 1 << 31, ID: 300}}}
	key := event.KeyHash(7, []byte("order-1"))
	deliveries := []event.Delivery{
		{Group: "billing", Queue: event.Queue{Topic: 7, ID: 1}, Client: "10.0.0.1@4711", First: 1000, Next: 3000, Messages: 2000, Since: 1_700_000_000_000, Span: 900},
		{Group: "audit", Queue: event.Queue{Topic: 1 << 31}, First: 0, Next: 9, Messages: 2, Since: 1_700_000_000_100},
	}
	return []event.Draft{
		{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 7, Queue: 3, Tag: -559038737,
			Keys: []uint64{key, ^key}, Payload: event.Bytes("a record")},
		{Kind: event.KindMessage, Topic: 7, Due: 1_700_000_000_000, Keys: []uint64{key}, Payload: event.Bytes("later")},
		{Kind: event.KindTopic, Topic: 7, Payload: event.Bytes(event.AppendTopicConfig(nil, config))},
		{Kind: event.KindTopicDeleted, Topic: 7},
		{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, commits))},
		{Kind: event.KindGroup, Payload: event.Bytes(event.AppendGroupConfig(nil, group))},
		{Kind: event.KindGroupDeleted, Payload: event.Bytes(event.AppendGroupDeletion(nil, event.GroupDeletion{Name: "billing", Offsets: true}))},
		{Kind: event.KindLost, Payload: event.Bytes{0, 0, 0, 0, 0, 0, 0, 1}},
		{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, event.Trim{Through: 300, Position: 1 << 40, Cause: event.TrimByAge}))},
		{Kind: event.KindDelayed, Stream: event.StreamQueue, Topic: 9, Due: 1_700_000_000_000, Keys: []uint64{key}, Payload: event.Bytes("a record")},
		{Kind: event.KindHalf, Stream: event.StreamQueue, Topic: 10, Due: 1_700_000_006_000, Payload: event.Bytes("a record")},
		{Kind: event.KindAsked, Due: 1_700_000_036_000, Cause: 1 << 40},
		{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 7, Queue: 3, Cause: 1 << 40, Keys: []uint64{key}, Payload: event.Bytes("a record")},
		{Kind: event.KindDropped, Cause: 1 << 41, Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRecalled}))},
		{Kind: event.KindMoved, Due: 1_700_000_000_000, Cause: 1 << 42,
			Payload: event.Bytes(event.AppendMove(nil, event.Move{Kind: event.KindDelayed, Asked: 300, Payload: []byte("a record")}))},
		{Kind: event.KindLocked, Payload: event.Bytes(event.AppendLock(nil, lock))},
		{Kind: event.KindUnlocked, Payload: event.Bytes(event.AppendLock(nil, lock))},
		{Kind: event.KindDelivered, Keys: event.AppendDeliveryHashes(nil, &deliveries[0]), Payload: event.Bytes(event.AppendDeliveries(nil, deliveries))},
	}
}

func TestEventsEncodeToTheGoldenFileOfVersion1(t *testing.T) {
	t.Parallel()
	var got []byte
	for _, d := range goldenDrafts() {
		got = append(got, encode(d, testLog.Seed())...)
	}
	name := filepath.Join("testdata", "golden-v1")
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
		t.Fatalf("the bytes of version 1 have changed:\n got %x\nwant %x", got, want)
	}
	for i, d := range goldenDrafts() {
		e, rest, err := event.Split(want)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if err := e.Verify(testLog.Seed()); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		compareWithDraft(t, e, d)
		want = rest
	}
	if len(want) > 0 {
		t.Fatalf("%d bytes left after the last event", len(want))
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func compareWithDraft(t fataler, e event.Event, d event.Draft) {
	t.Helper()
	got := event.Draft{Kind: e.Kind(), Stream: e.Stream(), Topic: e.Topic(), Queue: e.Queue().ID, Tag: e.Tag(), Due: e.Due(), Cause: e.Cause()}
	for i := range e.KeyCount() {
		got.Keys = append(got.Keys, e.Key(i))
	}
	var payload []byte
	if d.Payload != nil {
		payload = d.Payload.(event.Bytes)
	}
	same := got.Kind == d.Kind && got.Stream == d.Stream && got.Topic == d.Topic && got.Queue == d.Queue &&
		got.Tag == d.Tag && got.Due == d.Due && got.Cause == d.Cause && slices.Equal(got.Keys, d.Keys) &&
		bytes.Equal(e.Payload(), payload) && e.Queue().Topic == d.Topic && len(e) == d.EncodedBytes()
	if !same {
		t.Fatalf("decoded %+v with payload %x, expected %+v", got, e.Payload(), d)
	}
}

func drafts() *rapid.Generator[event.Draft] {
	return rapid.Custom(func(t *rapid.T) event.Draft {
		d := event.Draft{
			Kind:   event.Kind(rapid.IntRange(int(event.KindMessage), int(event.KindDelivered)).Draw(t, "kind")),
			Stream: event.Stream(rapid.IntRange(0, 1).Draw(t, "stream")),
			Topic:  event.TopicID(rapid.Uint32().Draw(t, "topic")),
			Queue:  rapid.Uint32().Draw(t, "queue"),
			Tag:    rapid.Int32().Draw(t, "tag"),
			Due:    rapid.Int64().Draw(t, "due"),
			Cause:  event.Position(rapid.Uint64().Draw(t, "cause")),
			Keys:   rapid.SliceOfN(rapid.Uint64(), 0, 255).Draw(t, "keys"),
		}
		if rapid.Bool().Draw(t, "has payload") {
			d.Payload = event.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "payload"))
		}
		return d
	})
}

func TestSplitAndVerifyGiveBackWhatWasEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := event.Seed(rapid.Uint32().Draw(t, "seed"))
		all := rapid.SliceOfN(drafts(), 1, 4).Draw(t, "drafts")
		var b []byte
		for _, d := range all {
			if err := d.Validate(); err != nil {
				t.Fatalf("%v", err)
			}
			b = append(b, encode(d, seed)...)
		}
		for _, d := range all {
			e, rest, err := event.Split(b)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if err := e.Verify(seed); err != nil {
				t.Fatalf("%v", err)
			}
			compareWithDraft(t, e, d)
			b = rest
		}
		if len(b) > 0 {
			t.Fatalf("%d bytes left", len(b))
		}
	})
}

func TestVerifyRefusesEveryFlippedBitAndOtherSeeds(t *testing.T) {
	t.Parallel()
	for _, d := range goldenDrafts() {
		good := encode(d, testLog.Seed())
		if err := event.Event(good).Verify(testLog.Seed() + 1); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("another log's seed: %v, expected ErrCorrupt", err)
		}
		for bit := range 8 * len(good) {
			bad := slices.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			e, _, err := event.Split(bad)
			if err == nil {
				err = e.Verify(testLog.Seed())
			}
			if !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%v with bit %d flipped: %v, expected ErrCorrupt", d.Kind, bit, err)
			}
		}
	}
}

func TestSplitRefusesEveryShorterInput(t *testing.T) {
	t.Parallel()
	good := encode(goldenDrafts()[0], testLog.Seed())
	for n := range good {
		if _, _, err := event.Split(good[:n]); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(good), err)
		}
	}
}

func TestValidateNamesWhatIsWrongWithADraft(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]event.Draft{
		"kind 0":   {},
		"kind 200": {Kind: 200},
		"256 keys": {Kind: event.KindMessage, Keys: make([]uint64, 256)},
		"bytes":    {Kind: event.KindMessage, Payload: event.Bytes(make([]byte, event.BytesMax))},
	} {
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error about %q", err, want)
		}
	}
}

func TestKeyHashDependsOnTopicAndKey(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for topic := range event.TopicID(100) {
		for _, key := range []string{"", "a", "b", "ab"} {
			seen[event.KeyHash(topic, []byte(key))] = true
		}
	}
	if len(seen) != 400 {
		t.Fatalf("%d different hashes of 400 keys", len(seen))
	}
}

func FuzzSplitAndVerify(f *testing.F) {
	var all []byte
	for _, d := range goldenDrafts() {
		b := encode(d, testLog.Seed())
		f.Add(b)
		f.Add(b[:len(b)-1])
		all = append(all, b...)
	}
	f.Add(all)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			e, rest, err := event.Split(b)
			if err != nil {
				if !errors.Is(err, event.ErrCorrupt) {
					t.Fatalf("%v is no ErrCorrupt", err)
				}
				return
			}
			if len(e)+len(rest) != len(b) {
				t.Fatalf("split %d bytes into %d and %d", len(b), len(e), len(rest))
			}
			// Every accessor must hold on an event that was only split.
			d := event.Draft{Kind: e.Kind(), Stream: e.Stream(), Topic: e.Topic(), Queue: e.Queue().ID,
				Tag: e.Tag(), Due: e.Due(), Cause: e.Cause(), Payload: event.Bytes(e.Payload())}
			for i := range e.KeyCount() {
				d.Keys = append(d.Keys, e.Key(i))
			}
			// A due time or cause that is present and 0 is never written, so
			// these alone don't come back.
			if e.Verify(testLog.Seed()) == nil && len(e) == d.EncodedBytes() && !bytes.Equal(encode(d, testLog.Seed()), e) {
				t.Fatalf("%x decodes to %+v, which encodes to other bytes", []byte(e), d)
			}
			b = rest
		}
	})
}
