package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
)

func TestSendPatchesEveryMessage(t *testing.T) {
	t.Parallel()
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		for _, batch := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s header, batch %d", s, batch), func(t *testing.T) {
				t.Parallel()
				b := &fakeBroker{}
				o := SendOptions{Target: target(startBroker(t, b), s), InFlight: 7, Size: 100, Batch: batch,
					Topics: 1, Messages: 2400, Producers: "P"}
				r, err := Send(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				checkSends(t, b, r, o)
			})
		}
	}
}

func checkSends(t *testing.T, b *fakeBroker, r *Result, o SendOptions) {
	t.Helper()
	if r.Messages != o.Messages || r.Requests != o.Messages/int64(o.Batch) || r.Errors != 0 || r.Bytes != o.Messages*100 {
		t.Errorf("counted %d messages, %d requests, %d errors, %d bytes", r.Messages, r.Requests, r.Errors, r.Bytes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.keys) != int(o.Messages) {
		t.Errorf("%d different unique keys in %d messages", len(b.keys), o.Messages)
	}
	for queue := range o.Queues {
		if n := b.queues[fmt.Sprintf("T/%d", queue)]; n != int(o.Messages)/o.Queues {
			t.Errorf("queue %d got %d of %d messages", queue, n, o.Messages)
		}
	}
	if l := r.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
		t.Errorf("latencies %+v", l)
	}
}

func TestSendWritesAllTopicsEvenly(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{}
	o := SendOptions{Target: target(startBroker(t, b), frame.JSON), InFlight: 6, Size: 1, Batch: 1,
		Topics: 10, Messages: 1200, Producers: "P"}
	if _, err := Send(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.topics) // they are created side by side
	if len(b.topics) != 10 || b.topics[9] != "T-000009" || len(b.queues) != 40 {
		t.Fatalf("created %q, wrote to %d queues", b.topics, len(b.queues))
	}
	for queue, n := range b.queues {
		if n < 29 || n > 31 { // three connections, each begins elsewhere
			t.Errorf("%s got %d messages of 30", queue, n)
		}
	}
}

func TestSendReportsRefusalsByCode(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{code: 2}
	o := SendOptions{Target: target(startBroker(t, b), frame.JSON), InFlight: 4, Size: 10, Batch: 1,
		Topics: 1, Messages: 40, Create: CreateNever, Producers: "P"}
	r, err := Send(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != 40 || r.Messages != 0 || len(r.Statuses) != 1 || r.Statuses[0].Name != "SYSTEM_BUSY" || r.Statuses[0].Remark != "as the test wants" {
		t.Fatalf("errors %d, messages %d, statuses %+v", r.Errors, r.Messages, r.Statuses)
	}
	if len(b.topics) != 0 {
		t.Errorf("created %q", b.topics)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil || !strings.Contains(text.String(), "SYSTEM_BUSY (2): 40 replies, the first: as the test wants") {
		t.Errorf("printed %q, %v", text.String(), err)
	}
}

func TestStoredWithALateFlushIsNoError(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{code: 10}
	o := SendOptions{Target: target(startBroker(t, b), frame.JSON), InFlight: 4, Size: 10, Batch: 1, Topics: 1, Messages: 40, Producers: "P"}
	r, err := Send(t.Context(), o)
	if err != nil || r.Errors != 0 || r.Messages != 40 || r.Statuses[0].Name != "FLUSH_DISK_TIMEOUT" {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestSendEndsWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{}
	o := SendOptions{Target: target(startBroker(t, b), frame.JSON), InFlight: 4, Size: 10, Batch: 1, Topics: 1, Producers: "P"}
	o.Warmup, o.Duration = 50*time.Millisecond, 100*time.Millisecond
	r, err := Send(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Seconds != 0.1 || r.Messages == 0 || int(r.Messages) >= b.sends {
		t.Fatalf("%v seconds, counted %d of %d messages", r.Seconds, r.Messages, b.sends)
	}
}

func TestSendEndsWhenCanceled(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{}
	o := SendOptions{Target: target(startBroker(t, b), frame.JSON), InFlight: 4, Size: 10, Batch: 1, Topics: 1, Producers: "P"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-b.first
		cancel()
	}()
	if _, err := Send(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}

func TestBadSendOptionsAreRefused(t *testing.T) {
	t.Parallel()
	good := SendOptions{Target: target("127.0.0.1:1", frame.JSON), InFlight: 1, Size: 1, Batch: 1, Topics: 1}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SendOptions){
		"connections": func(o *SendOptions) { o.Connections = 0 },
		"queues":      func(o *SendOptions) { o.Queues = 0 },
		"topic":       func(o *SendOptions) { o.Topic = "" },
		"duration":    func(o *SendOptions) { o.Duration = 0 },
		"in flight":   func(o *SendOptions) { o.InFlight = 0 },
		"size":        func(o *SendOptions) { o.Size = frame.BytesMax },
		"batch":       func(o *SendOptions) { o.Batch = frame.BytesMax },
		"topics":      func(o *SendOptions) { o.Topics = 1 << 20 },
		"messages":    func(o *SendOptions) { o.Messages = -1 },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAReplyToNothingIsAnError(t *testing.T) {
	t.Parallel()
	s := newStream(nil, &window{}, signature{}, 2, 64)
	s.depart(1, time.Second)
	for _, opaque := range []int32{0, frame.OpaqueBase, frame.OpaqueBase + 2} {
		if _, _, err := s.arrive(opaque); err == nil {
			t.Errorf("opaque %d matched", opaque)
		}
	}
	if slot, sent, err := s.arrive(frame.OpaqueBase + 1); slot != 1 || sent != time.Second || err != nil || s.flying != 0 {
		t.Errorf("slot %d sent %v, %v, %d in flight", slot, sent, err, s.flying)
	}
	if _, _, err := s.arrive(frame.OpaqueBase + 1); err == nil {
		t.Error("a second reply matched")
	}
}

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// discarding is a sender of a load to nobody, and a reply to its request.
func discarding(t testing.TB, k Kind) (*sender, *frame.Frame) {
	t.Helper()
	o := SendOptions{Target: target("", frame.JSON), InFlight: 1, Size: 1024, Batch: 1, Topics: 1, Producers: "P", Kind: k, Delay: Delay{After: time.Hour, Spread: time.Hour}}
	p, err := newPlan(&o)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{stream: newStream(discard{}, &window{base: time.Now(), to: time.Hour}, signature{}, 1, 64), plan: p, left: 1 << 40, delay: &o.Delay}
	return s, &frame.Frame{Header: []byte(`{"code":0,"extFields":{"queueId":"1","msgId":"7F00000100002A9F0000000000000000","queueOffset":"17",` +
		`"transactionId":"A9F0C0DEA9F0C0DE0000000000000000"},"flag":1,"opaque":1000000000}`)}
}

func TestSendingAllocatesNothingPerMessage(t *testing.T) {
	for _, k := range []Kind{Plain, Delayed, Transactional} {
		sendingAllocatesNothing(t, k)
	}
}

func sendingAllocatesNothing(t *testing.T, k Kind) {
	t.Helper()
	s, reply := discarding(t, k)
	s.request(0, 0)
	allocations := testing.AllocsPerRun(1000, func() {
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.handle(reply, s.window.now()); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 || s.tally.messages < 1000 {
		t.Errorf("%v: %v allocations per message, %d counted", k, allocations, s.tally.messages)
	}
}

func BenchmarkSendLoop(b *testing.B) {
	s, reply := discarding(b, Plain)
	s.request(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.flush()
		_ = s.handle(reply, time.Millisecond)
	}
}

func TestALoadWithANameserverWaitsForTheRoutes(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{lateRoutes: 5}
	address := startBroker(t, b)
	o := SendOptions{Target: target(address, frame.JSON), InFlight: 3, Size: 1, Batch: 1, Topics: 3, Messages: 90,
		Producers: "P", Nameserver: address}
	if _, err := Send(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.routes < 5+3 || b.sends != 90 {
		t.Errorf("%d routes, %d sends", b.routes, b.sends)
	}
}
