package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

const patience = 30 * time.Second

func open(t *testing.T, dir string, bytesMax int64) *Spool {
	t.Helper()
	s, err := Open(Options{Dir: dir, BytesMax: bytesMax, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closing(t *testing.T, s *Spool) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func order(customer string, n int) *outbox.Message {
	return &outbox.Message{Topic: "orders", ShardingKey: customer, Body: fmt.Appendf(nil, "%s %d", customer, n)}
}

func keep(t *testing.T, s *Spool, m *outbox.Message) {
	t.Helper()
	if err := errors.Join(m.Prepare(), s.Append(m, false)); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *Spool) outbox.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := s.Take(ctx)
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	return e
}

// takeNothing wants that nothing can be taken for a moment.
func takeNothing(t *testing.T, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if e, err := s.Take(ctx); err == nil {
		t.Fatalf("took %s", e.Message.Body)
	}
}

func TestMessagesComeBackWholeAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	want := []*outbox.Message{
		{Topic: "a", Tags: "t", Keys: []string{"k"}, ShardingKey: "Ä", Properties: map[string]string{"<": "&"}, Body: []byte{0, 255}, Flag: -1},
		{Topic: "b", Body: []byte("2"), Queue: &outbox.Queue{Broker: "x", ID: 3}, DelayLevel: 18},
		{Topic: "c", Body: make([]byte, 4<<20), DeliverAt: time.UnixMilli(1700000000123)},
	}
	for i, m := range want {
		if err := errors.Join(m.Prepare(), s.Append(m, i == 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 0)
	closing(t, s)
	if st := s.Stats(); st.Entries != 3 || st.Streams != 3 || time.Since(st.Oldest).Abs() > time.Hour {
		t.Errorf("stats: %+v", st)
	}
	var got []*outbox.Message
	for range want {
		e := take(t, s)
		got = append(got, e.Message)
		if e.InDoubt != (e.Message.Topic == "b") || !s.Holds(e.Message) {
			t.Errorf("in doubt: %v, held: %v for %s", e.InDoubt, s.Holds(e.Message), e.Message.Topic)
		}
		if err := s.Done(e); err != nil || s.Holds(e.Message) {
			t.Errorf("after Done: %v, held: %v", err, s.Holds(e.Message))
		}
	}
	slices.SortFunc(got, func(a, b *outbox.Message) int { return strings.Compare(a.Topic, b.Topic) })
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("came back changed (-want +got):\n%.2000s", diff)
	}
}

func TestOneThatIsWaitedForIsTakenBeforeTheNext(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	closing(t, s)
	for n := range 3 {
		keep(t, s, order("a", n))
	}
	first := take(t, s)
	takeNothing(t, s)
	s.Return(first, time.Now().Add(50*time.Millisecond), true)
	again := take(t, s)
	if again.Number != first.Number || again.Attempts != 1 || !again.InDoubt {
		t.Errorf("took %+v after %+v", again, first)
	}
	if err := s.Done(again); err != nil {
		t.Fatal(err)
	}
	if second := take(t, s); string(second.Message.Body) != "a 1" {
		t.Errorf("took %s", second.Message.Body)
	} else if err := s.Done(second); err != nil {
		t.Fatal(err)
	}
}

// Whoever sends many messages at once gets them back as many at once: else a
// backlog would never go away under the load that made it.
func TestSideBySideInSideBySideOut(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	closing(t, s)
	const together = 16
	for round := range 3 {
		var all sync.WaitGroup
		for n := range together {
			all.Go(func() { keep(t, s, order("a", together*round+n)) })
		}
		all.Wait()
	}
	side := 0
	for done := 0; done < 3*together; {
		entries := []outbox.Entry{take(t, s)}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		for {
			e, err := s.Take(ctx)
			if err != nil {
				break
			}
			entries = append(entries, e)
		}
		cancel()
		side = max(side, len(entries))
		if len(entries) > together {
			t.Errorf("%d were taken side by side, which were appended one after the other", len(entries))
		}
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		for _, e := range entries {
			var round int
			if _, err := fmt.Sscanf(string(e.Message.Body), "a %d", &round); err != nil || round/together != done/together {
				t.Errorf("%s was taken when %d were done", e.Message.Body, done)
			}
			if err := s.Done(e); err != nil {
				t.Fatal(err)
			}
		}
		done += len(entries)
	}
	if side < 2 {
		t.Error("no two messages were taken side by side")
	}
}

func TestAFullSpoolRefusesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 128<<20)
	closing(t, s)
	body := make([]byte, 1<<20)
	var err error
	kept := 0
	for ; err == nil && kept < 200; kept++ {
		m := order("a", kept)
		m.Body = body
		err = errors.Join(m.Prepare(), s.Append(m, false))
	}
	if !errors.Is(err, outbox.ErrFull) {
		t.Fatalf("after %d messages of 1 MiB: %v", kept, err)
	}
	for range kept - 1 {
		if err := s.Done(take(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(patience)
	for err != nil && time.Now().Before(deadline) {
		m := order("a", kept)
		m.Body = body
		err = errors.Join(m.Prepare(), s.Append(m, false))
	}
	if err != nil {
		t.Errorf("all are done, and still: %v", err)
	}
}

func TestQuarantineIsListedRetriedAndDropped(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	closing(t, s)
	for n := range 3 {
		keep(t, s, order("a", n))
	}
	for range 2 {
		if err := s.Quarantine(take(t, s), "code 13"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Quarantined(t.Context(), 10)
	if err != nil || len(list) != 2 || string(list[0].Message.Body) != "a 0" || list[0].Reason != "code 13" {
		t.Fatalf("quarantine: %+v, %v", list, err)
	}
	if short, err := s.Quarantined(t.Context(), 1); err != nil || len(short) != 1 {
		t.Errorf("quarantine, up to one: %+v, %v", short, err)
	}
	if err := errors.Join(s.Retry(t.Context(), list[0].Number), s.Drop(list[1].Number)); err != nil {
		t.Fatal(err)
	}
	for _, gone := range list {
		if err := s.Retry(t.Context(), gone.Number); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("retry one that is gone: %v", err)
		}
		if err := s.Drop(gone.Number); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("drop one that is gone: %v", err)
		}
	}
	for _, want := range []string{"a 2", "a 0"} {
		e := take(t, s)
		if string(e.Message.Body) != want {
			t.Errorf("took %s, want %s", e.Message.Body, want)
		}
		if err := s.Done(e); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Entries != 0 || st.Quarantined != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestAnEntryThatCantBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	closing(t, s)
	keep(t, s, order("a", 0))
	p := placeOf(order("a", 1))
	stream, err := s.spool.Stream(p.name, p.lane)
	if err != nil {
		t.Fatal(err)
	}
	s.hold(p, 1)
	stored := make(chan struct{})
	if err := s.spool.Put(&spool.Entry{Stream: stream, Payload: event.Bytes("nonsense"), Stored: func(*spool.Entry) { close(stored) }}); err != nil {
		t.Fatal(err)
	}
	<-stored
	stream.Answered(1)
	keep(t, s, order("a", 2))
	for _, want := range []string{"a 0", "a 2"} {
		e := take(t, s)
		if string(e.Message.Body) != want {
			t.Errorf("took %s, want %s", e.Message.Body, want)
		}
		if err := s.Done(e); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Quarantined(t.Context(), 10); err != nil || len(list) != 1 || list[0].Message != nil {
		t.Errorf("quarantine: %+v, %v", list, err)
	}
	if st := s.Stats(); st.Entries != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func FuzzDecodeEndsAndReadsWhatEncodeWrites(f *testing.F) {
	m := &outbox.Message{Topic: "orders", Tags: "t", ShardingKey: "k", ID: "U1", Body: []byte("body"), Queue: &outbox.Queue{Broker: "a"}}
	payload, err := encode(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add(payload[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(m)
		if err != nil {
			t.Fatalf("encode %+v: %v", m, err)
		}
		twice, err := decode(again)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if diff := cmp.Diff(m, twice); diff != "" {
			t.Errorf("came back changed:\n%s", diff)
		}
	})
}
