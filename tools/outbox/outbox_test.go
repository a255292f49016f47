package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is a sender whose brokers can be away.
type cluster struct {
	mu      sync.Mutex
	arrived []*Message
	fail    func(m *Message) error // decides before a message is stored; nil stores all
	lose    func(m *Message) error // is the answer once it is stored
	calls   int
}

func (c *cluster) Send(ctx context.Context, m *Message) (Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.fail != nil {
		if err := c.fail(m); err != nil {
			return Receipt{}, err
		}
	}
	kept := *m
	c.arrived = append(c.arrived, &kept)
	if c.lose != nil {
		if err := c.lose(m); err != nil {
			return Receipt{}, err
		}
	}
	return Receipt{Broker: "a", Offset: int64(len(c.arrived)) - 1}, nil
}

func (c *cluster) set(fail func(m *Message) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func (c *cluster) bodies() (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.arrived {
		texts = append(texts, string(m.Body))
	}
	return texts
}

func away(*Message) error { return fmt.Errorf("%w: connection refused", ErrNotAccepted) }

// In the tests of this file the clock is synctest's, so waits take no time.

func newOutbox(t *testing.T, c *cluster, room int) (*Outbox, *memory) {
	t.Helper()
	spool := newMemory(room)
	o := Open(c, spool, Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(o.Close)
	return o, spool
}

func message(topic, key, body string) *Message {
	return &Message{Topic: topic, ShardingKey: key, Body: []byte(body)}
}

func send(t *testing.T, o *Outbox, m *Message, want Result) {
	t.Helper()
	got, _, err := o.Send(t.Context(), m)
	if got != want || err != nil {
		t.Fatalf("send %s: %v, %v; want %v", m.Body, got, err, want)
	}
}

func awaitDrained(o *Outbox) {
	for o.spool.Stats().Entries > 0 {
		<-time.After(time.Millisecond)
	}
}

func TestAMessageIsDeliveredWhileTheClusterAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOutbox(t, &cluster{}, 10)
		m := message("orders", "a", "1")
		result, receipt, err := o.Send(t.Context(), m)
		if result != Delivered || receipt.Broker != "a" || err != nil || m.ID == "" {
			t.Errorf("%v, %+v, %v, id %q", result, receipt, err, m.ID)
		}
	})
}

func TestWhatCantBeSentIsSpooledAndSentLaterInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{fail: away}
		o, _ := newOutbox(t, c, 100)
		var ids []string
		for i := range 10 {
			m := message("orders", "a", fmt.Sprint(i))
			send(t, o, m, Spooled)
			ids = append(ids, m.ID)
		}
		<-time.After(time.Minute)
		c.set(nil)
		send(t, o, message("orders", "a", "10"), Spooled) // joins the others, though it could be sent
		awaitDrained(o)
		send(t, o, message("orders", "a", "11"), Delivered)
		if got := strings.Join(c.bodies(), " "); got != "0 1 2 3 4 5 6 7 8 9 10 11" {
			t.Errorf("arrived: %s", got)
		}
		for i, id := range ids {
			if c.arrived[i].ID != id {
				t.Errorf("message %d arrived with the id %s instead of %s", i, c.arrived[i].ID, id)
			}
		}
		if s := o.Stats(); s.Spooled != 11 || s.Drained != 11 || s.Delivered != 1 || s.InDoubt != 0 || s.Failed == 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestWhatMayBeStoredIsSentAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := 0
		c := &cluster{lose: func(*Message) error {
			if lost++; lost <= 2 {
				return context.DeadlineExceeded
			}
			return nil
		}}
		o, _ := newOutbox(t, c, 10)
		m := message("orders", "", "1")
		send(t, o, m, Spooled)
		awaitDrained(o)
		if got := c.bodies(); !slices.Equal(got, []string{"1", "1", "1"}) {
			t.Fatalf("arrived: %q", got)
		}
		for _, copy := range c.arrived {
			if copy.ID != m.ID || !copy.Born.Equal(m.Born) {
				t.Errorf("a copy has the id %s and was born %v", copy.ID, copy.Born)
			}
		}
		if s := o.Stats(); s.InDoubt != 2 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestAttemptsBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{fail: away}
		o, _ := newOutbox(t, c, 10)
		send(t, o, message("orders", "", "1"), Spooled)
		<-time.After(time.Hour)
		synctest.Wait()
		// At 5 s, shortened by up to a half, an hour has 720 to 1440 attempts.
		if c.calls < 700 || c.calls > 1500 {
			t.Errorf("%d attempts in an hour", c.calls)
		}
	})
}

func TestOnlyTheFirstMessageOfATopicWaitsForAnAttemptToFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		slow := senderFunc(func(ctx context.Context, m *Message) (Receipt, error) {
			if m.Topic == "dead" {
				<-ctx.Done()
				return Receipt{}, ctx.Err()
			}
			return c.Send(ctx, m)
		})
		o := Open(slow, newMemory(100), Options{Backoff: Backoff{Min: time.Minute, Max: time.Minute}})
		defer o.Close()
		began := time.Now()
		for i := range 50 {
			send(t, o, message("dead", fmt.Sprint(i), "1"), Spooled)
		}
		if took := time.Since(began); took != attemptTimeoutDefault {
			t.Errorf("50 sends took %v, want one attempt's %v", took, attemptTimeoutDefault)
		}
		send(t, o, message("alive", "", "1"), Delivered)
	})
}

type senderFunc func(ctx context.Context, m *Message) (Receipt, error)

func (f senderFunc) Send(ctx context.Context, m *Message) (Receipt, error) { return f(ctx, m) }

func TestAFullSpoolRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{fail: away}
		o, _ := newOutbox(t, c, 2)
		send(t, o, message("orders", "a", "1"), Spooled)
		send(t, o, message("orders", "b", "2"), Spooled)
		result, _, err := o.Send(t.Context(), message("orders", "a", "3"))
		if result != 0 || !errors.Is(err, ErrFull) {
			t.Errorf("%v, %v; want that the spool is full", result, err)
		}
		c.set(nil)
		awaitDrained(o)
		if got := slices.Sorted(slices.Values(c.bodies())); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

func TestARefusalIsTheCallersOrGoesIntoQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refuse2 := func(m *Message) error {
			if string(m.Body) == "2" {
				return fmt.Errorf("%w: code 13", ErrRefused)
			}
			return nil
		}
		c := &cluster{fail: refuse2}
		o, spool := newOutbox(t, c, 10)
		if result, _, err := o.Send(t.Context(), message("orders", "a", "2")); result != 0 || Class(err) != ErrRefused {
			t.Errorf("%v, %v; want a refusal", result, err)
		}
		if result, _, err := o.Send(t.Context(), message("no/topic", "", "2")); result != 0 || Class(err) != ErrRefused {
			t.Errorf("%v, %v; want a refusal", result, err)
		}
		c.set(away)
		for _, body := range []string{"1", "2", "3"} {
			send(t, o, message("orders", "a", body), Spooled)
		}
		c.set(refuse2)
		awaitDrained(o)
		if got := c.bodies(); !slices.Equal(got, []string{"1", "3"}) {
			t.Errorf("arrived: %q", got)
		}
		if len(spool.quarantined) != 1 || !strings.Contains(spool.quarantined[0], "code 13") {
			t.Errorf("quarantine: %q", spool.quarantined)
		}
	})
}

func TestACallerWhoGivesUpStillHasItsMessageKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		first := true
		o := Open(senderFunc(func(ctx context.Context, m *Message) (Receipt, error) {
			if first {
				first = false
				<-ctx.Done()
				return Receipt{}, ctx.Err()
			}
			return c.Send(ctx, m)
		}), newMemory(10), Options{})
		defer o.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if result, _, err := o.Send(ctx, message("orders", "", "1")); result != Spooled || err != nil {
			t.Fatalf("%v, %v", result, err)
		}
		awaitDrained(o)
		if got := c.bodies(); !slices.Equal(got, []string{"1"}) {
			t.Errorf("arrived: %q", got)
		}
		if _, _, err := o.Send(ctx, message("orders", "", "2")); Class(err) != ErrNotAccepted {
			t.Errorf("a send that came too late: %v", err)
		}
	})
}

func TestCloseLeavesWhatIsSpooled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, spool := newOutbox(t, &cluster{fail: away}, 10)
		send(t, o, message("orders", "", "1"), Spooled)
		o.Close()
		if _, _, err := o.Send(t.Context(), message("orders", "", "2")); !errors.Is(err, ErrClosed) {
			t.Errorf("send after Close: %v", err)
		}
		c := &cluster{}
		again := Open(c, spool, Options{})
		defer again.Close()
		awaitDrained(again)
		if got := c.bodies(); !slices.Equal(got, []string{"1"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	for attempts, want := range map[int]time.Duration{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 1 << 30: 1000} {
		want *= time.Millisecond
		for range 100 {
			if got := b.After(attempts); got < want/2 || got > want {
				t.Errorf("wait after %d attempts: %v, want %v or up to a half less", attempts, got, want)
			}
		}
	}
}
