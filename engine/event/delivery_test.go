package event_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/apogeemq/apogee/engine/event"
)

var deliveryPayload = payload[[]event.Delivery]{append: event.AppendDeliveries, decode: event.DecodeDeliveries, validate: event.ValidateDeliveries}

func deliveries() *rapid.Generator[[]event.Delivery] {
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) event.Delivery {
		first := rapid.Int64Range(0, math.MaxInt64-1).Draw(t, "first")
		next := rapid.Int64Range(first+1, math.MaxInt64).Draw(t, "next")
		since := rapid.Int64Range(0, math.MaxInt64).Draw(t, "since")
		return event.Delivery{
			Group:  rapid.StringN(1, 3, 12).Draw(t, "group"),
			Queue:  event.Queue{Topic: event.TopicID(rapid.Uint32().Draw(t, "topic")), ID: rapid.Uint32().Draw(t, "queue")},
			Client: rapid.StringN(0, 3, 12).Draw(t, "client"), First: event.Offset(first), Next: event.Offset(next),
			Messages: rapid.Uint64Range(1, uint64(next-first)).Draw(t, "messages"),
			Since:    since, Span: rapid.Uint64Range(0, uint64(math.MaxInt64-since)).Draw(t, "span"),
		}
	}))
}

func TestDeliveriesThatValidateComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := deliveries().Draw(t, "deliveries")
		deliveryPayload.comesBack(t, want)
		deliveryPayload.refusesOthers(t, want)
	})
}

func TestValidateNamesWhatIsWrongWithADelivery(t *testing.T) {
	t.Parallel()
	good := event.Delivery{Group: "g", First: 5, Next: 7, Messages: 2}
	long := strings.Repeat("x", event.NameBytesMax+1)
	for want, change := range map[string]func(*event.Delivery){
		"group name of 0 bytes": func(d *event.Delivery) { d.Group = "" },
		"client of 1025 bytes":  func(d *event.Delivery) { d.Client = long },
		"offsets from 5":        func(d *event.Delivery) { d.Next = 5 },
		"offsets from -1":       func(d *event.Delivery) { d.First = -1 },
		"3 messages":            func(d *event.Delivery) { d.Messages = 3 },
		"0 messages":            func(d *event.Delivery) { d.Messages = 0 },
		"sent within":           func(d *event.Delivery) { d.Since = -1 },
	} {
		bad := good
		change(&bad)
		err := event.ValidateDeliveries([]event.Delivery{good, bad})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "delivery 1") {
			t.Errorf("got %v, expected an error about delivery 1 with %q", err, want)
		}
	}
}

func TestADeliveryIsFoundByEachBlockThatItTouches(t *testing.T) {
	t.Parallel()
	q := event.Queue{Topic: 7, ID: 3}
	for _, c := range []struct {
		first, next event.Offset
		blocks      []event.Offset // an offset of each
	}{
		{0, 1, []event.Offset{0}},
		{1023, 1025, []event.Offset{0, 1024}},
		{1024, 3072, []event.Offset{2047, 2048}},
		{1 << 40, 1<<40 + 1, []event.Offset{1 << 40}},
	} {
		d := event.Delivery{Group: "g", Queue: q, First: c.first, Next: c.next}
		var want []uint64
		for _, o := range c.blocks {
			want = append(want, event.DeliveryHash("g", q, o))
		}
		if got := event.AppendDeliveryHashes(nil, &d); !slices.Equal(got, want) || d.Blocks() != len(want) {
			t.Errorf("from %d to %d: %x, expected %x; %d blocks", c.first, c.next, got, want, d.Blocks())
		}
	}
	hashes := []uint64{event.DeliveryHash("g", q, 0), event.DeliveryHash("h", q, 0), event.DeliveryHash("g", event.Queue{Topic: 7}, 0),
		event.CommitHash("g", q), event.FirstCommitHash("g", q), event.SetBackHash("g", q), event.CauseHash(3)}
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) != 7 {
		t.Error("two hashes are the same")
	}
}

func FuzzDecodeDeliveries(f *testing.F) {
	f.Add(event.AppendDeliveries(nil, []event.Delivery{
		{Group: "g", Queue: event.Queue{Topic: 300, ID: 7}, Client: "c", First: 1 << 50, Next: 1<<50 + 32, Messages: 7, Since: 1_700_000_000_000, Span: 999},
		{Group: "h", First: 0, Next: 1, Messages: 1, Client: "c"},
	}))
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 1, 'g', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) { deliveryPayload.check(t, b) })
}
