package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

func TestRelaysSideBySideNeverReorderAStream(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		const customers, each, relays = 12, 60 / scale, 3
		var doubts atomic.Int64
		b := &broker{
			before: func(*outbox.Message) error {
				if rand.IntN(10) == 0 {
					return fmt.Errorf("%w: by chance", outbox.ErrNotAccepted)
				}
				return nil
			},
			after: func(*outbox.Message) error {
				if rand.IntN(10) == 0 {
					doubts.Add(1)
					return errors.New("the answer was lost, by chance")
				}
				return nil
			},
		}
		for range relays {
			d.run(b, RelayOptions{Workers: 3, BatchMax: 7})
		}
		var writers sync.WaitGroup
		for c := range customers {
			writers.Go(func() {
				for n := range each {
					if err := d.commit(order(fmt.Sprint("c", c), n)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		d.awaitEmpty()
		if copies := judge(t, b.all(), customers, each); int64(copies) != doubts.Load() {
			t.Errorf("%d copies too many, but %d answers were lost", copies, doubts.Load())
		}
	})
}

func TestAStreamThatCantBeSentHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		var open atomic.Bool
		b := &broker{before: func(m *outbox.Message) error {
			if m.ShardingKey == "blocked" && !open.Load() {
				return outbox.ErrNotAccepted
			}
			return nil
		}}
		d.enqueue(order("blocked", 0), order("blocked", 1), order("free", 0), order("free", 1))
		r, _ := d.run(b, RelayOptions{Workers: 1})
		eventually(t, "the free stream is sent", func() error {
			if got := b.bodies(); !slices.Equal(got, []string{"free 0", "free 1"}) {
				return fmt.Errorf("sent: %q", got)
			}
			return nil
		})
		open.Store(true)
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got[2:], []string{"blocked 0", "blocked 1"}) {
			t.Errorf("sent: %q", got)
		}
		if s := r.Stats(); s.Sent != 4 || s.Failed == 0 || s.InDoubt != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestWhatIsRefusedForGoodIsSetAside(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		var accept atomic.Bool
		b := &broker{before: func(m *outbox.Message) error {
			if strings.HasSuffix(string(m.Body), "1") && !accept.Load() {
				return fmt.Errorf("%w: code 13", outbox.ErrRefused)
			}
			return nil
		}}
		d.enqueue(order("a", 0), order("a", 1), order("a", 2), order("b", 1))
		r, _ := d.run(b, RelayOptions{})
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got, []string{"a 0", "a 2"}) {
			t.Errorf("sent: %q", got)
		}
		list, err := d.Quarantined(t.Context(), d.db, 0, 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("quarantine: %+v, %v", list, err)
		}
		if q := list[0]; string(q.Message.Body) != "a 1" || q.ID != q.Message.ID || !strings.Contains(q.Reason, "code 13") || time.Since(q.Since).Abs() > time.Hour {
			t.Errorf("in quarantine: %+v", q)
		}
		if rest, err := d.Quarantined(t.Context(), d.db, list[0].Row, 10); err != nil || len(rest) != 1 || rest[0].Row != list[1].Row {
			t.Errorf("quarantine after the first: %+v, %v", rest, err)
		}
		accept.Store(true)
		if found, err := d.Drop(t.Context(), d.db, list[1].Row); !found || err != nil {
			t.Errorf("drop: %v, %v", found, err)
		}
		if found, err := d.Retry(t.Context(), d.db, list[0].Row); !found || err != nil {
			t.Errorf("retry: %v, %v", found, err)
		}
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got, []string{"a 0", "a 2", "a 1"}) {
			t.Errorf("sent after the retry: %q", got)
		}
		if found, err := d.Drop(t.Context(), d.db, list[1].Row); found || err != nil {
			t.Errorf("second drop: %v, %v", found, err)
		}
		if s := r.Stats(); s.Quarantined != 2 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestARowThatCantBeReadIsSetAside(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		d.enqueue(order("a", 0), order("a", 1), order("a", 2), order("a", 3))
		for i, damage := range []string{"attributes = '{'", "message_id = ''", "topic = 'no/topic'"} {
			if _, err := d.db.Exec("UPDATE " + d.name + " SET " + damage + fmt.Sprintf(" WHERE id = (SELECT min(id) + %d FROM %s)", i, d.name)); err != nil {
				t.Fatal(err)
			}
		}
		b := &broker{}
		d.run(b, RelayOptions{})
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got, []string{"a 3"}) {
			t.Errorf("sent: %q", got)
		}
		list, err := d.Quarantined(t.Context(), d.db, 0, 10)
		if err != nil || len(list) != 3 || list[0].Message != nil || list[0].Reason == "" {
			t.Errorf("quarantine: %+v, %v", list, err)
		}
	})
}

func TestTheApplicationCommitsWhileBrokersAreWaitedFor(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		reached, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		b := &broker{before: func(*outbox.Message) error {
			once.Do(func() { close(reached); <-release })
			return nil
		}}
		d.enqueue(order("a", 0))
		d.run(b, RelayOptions{AttemptTimeout: patience})
		await(t, "the relay sends", reached)
		d.enqueue(order("a", 1))
		close(release)
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got, []string{"a 0", "a 1"}) {
			t.Errorf("sent: %q", got)
		}
	})
}

// The first relay hangs in a send past its lease, another one takes over, or
// another worker of the first, and it goes on then.
func TestARelayThatStoodStillLosesItsStreams(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		const each = 20
		for n := range each {
			d.enqueue(order("a", n))
		}
		reached, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		arrived := &broker{}
		hangs := &broker{before: func(m *outbox.Message) error {
			if string(m.Body) == "a 5" {
				once.Do(func() { close(reached); <-release })
			}
			_, err := arrived.Send(t.Context(), m)
			return err
		}}
		first, stop := d.run(hangs, RelayOptions{AttemptTimeout: 50 * time.Millisecond, Lease: 200 * time.Millisecond})
		await(t, "the first relay sends", reached)
		_, stopSecond := d.run(arrived, RelayOptions{})
		d.awaitEmpty()
		stopSecond()
		close(release)
		eventually(t, "the first relay learns that its stream is gone", func() error {
			if s := first.Stats(); s.ClaimsLost == 0 {
				return fmt.Errorf("stats: %+v", s)
			}
			return nil
		})
		stop()
		if copies := judge(t, arrived.all(), 1, each); copies < 5 {
			t.Errorf("%d copies, want at least the 5 that the first relay had sent and not removed", copies)
		}
	})
}

func TestAnOrderlyEndLeavesNoDoubtAndNoClaim(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		const each = 50
		for n := range each {
			d.enqueue(order("a", n))
		}
		b := &broker{}
		for sent := 0; sent < each; sent = len(b.all()) {
			ten := make(chan struct{})
			count, want := 0, min(10, each-sent)
			b.before = func(*outbox.Message) error {
				if count++; count == want {
					close(ten)
				}
				return nil
			}
			_, stop := d.run(b, RelayOptions{Lease: time.Hour})
			await(t, "ten more are sent", ten)
			stop()
			var claims int
			if err := d.db.QueryRow("SELECT count(*) FROM " + d.name + "_streams").Scan(&claims); err != nil || claims != 0 {
				t.Fatalf("%d claims are left, %v", claims, err)
			}
			if n, rest := len(b.all()), d.backlog(); n+rest != each {
				t.Fatalf("%d are sent and %d are left, of %d", n, rest, each)
			}
		}
		if copies := judge(t, b.all(), 1, each); copies != 0 {
			t.Errorf("%d copies too many", copies)
		}
	})
}

func (d *database) backlog() int {
	d.t.Helper()
	b, err := d.Backlog(context.Background(), d.db)
	if err != nil {
		d.t.Fatal(err)
	}
	return int(b.Waiting)
}

func TestAClaimThatEndedGivesNoRights(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		d.enqueue(order("a", 0))
		take := func(lease time.Duration) *stream {
			c := claims{Table: d.Table, db: d.db, lease: lease}
			taken, err := c.take(t.Context(), "", 5)
			if err != nil || len(taken) > 1 {
				t.Fatalf("%d streams were claimed, %v", len(taken), err)
			}
			if len(taken) == 0 {
				return nil
			}
			return &taken[0]
		}
		first := take(-time.Second)
		second := take(time.Hour)
		if first == nil || second == nil {
			t.Fatal("a claim that ended wasn't free")
		}
		c := claims{Table: d.Table, db: d.db, lease: time.Hour}
		if kept, err := c.renew(t.Context(), first); kept || err != nil {
			t.Errorf("the claim that ended was renewed: %v, %v", kept, err)
		}
		if err := errors.Join(c.release(t.Context(), first), c.pause(t.Context(), first, 0)); err != nil {
			t.Fatal(err)
		}
		if third := take(time.Hour); third != nil {
			t.Error("a stream was claimed twice after somebody else gave it back")
		}
		if kept, err := c.renew(t.Context(), second); !kept || err != nil {
			t.Errorf("the claim was not renewed: %v, %v", kept, err)
		}
	})
}
