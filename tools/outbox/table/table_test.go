package table

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/tools/outbox"
)

func TestARollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		b := &broker{}
		d.run(b, RelayOptions{})
		tx, err := d.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Enqueue(t.Context(), tx, order("rolled-back", 0)); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		d.enqueue(order("committed", 0))
		d.awaitEmpty()
		if got := b.bodies(); !slices.Equal(got, []string{"committed 0"}) {
			t.Errorf("sent: %q", got)
		}
	})
}

func TestACommitDeliversOnceAndWhole(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		whole := &outbox.Message{Topic: "orders", Tags: "paid", Keys: []string{"k1", "k2"}, ShardingKey: "Ä <&>\u2028",
			Properties: map[string]string{"name": "Zoë \"quoted\" \n"}, Body: []byte{0, 1, 2, 255, '?', '$', '1'}, Flag: -7,
			Queue: &outbox.Queue{Broker: "a", ID: 3}, DeliverAt: time.UnixMilli(1700000000123)}
		plain := &outbox.Message{Topic: "orders", Body: []byte("plain"), DelayLevel: 18}
		long := &outbox.Message{Topic: "orders", Body: []byte("long"), ShardingKey: strings.Repeat("ü", 5000)}
		d.enqueue(whole, plain, long)
		b := &broker{}
		_, stop := d.run(b, RelayOptions{})
		d.awaitEmpty()
		stop()
		got := b.all()
		slices.SortFunc(got, func(a, b *outbox.Message) int { return strings.Compare(string(a.Body), string(b.Body)) })
		if diff := cmp.Diff([]*outbox.Message{whole, long, plain}, got); diff != "" {
			t.Errorf("sent, unlike what was enqueued (-want +got):\n%s", diff)
		}
	})
}

func TestAMessageThatWillNeverBeAcceptedWritesNothing(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		err := d.Enqueue(t.Context(), d.db, order("a", 0), &outbox.Message{Topic: "no/topic", Body: []byte("1")})
		if outbox.Class(err) != outbox.ErrRefused {
			t.Errorf("got %v, want a refusal", err)
		}
		backlog, err := d.Backlog(t.Context(), d.db)
		if err != nil || backlog.Waiting != 0 {
			t.Errorf("backlog %+v, %v", backlog, err)
		}
	})
}

func TestIDsOfRowsAreNeverUsedTwice(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		id := func() (id int64) {
			d.enqueue(order("a", 0))
			if err := d.db.QueryRow("SELECT id FROM " + d.name).Scan(&id); err != nil {
				t.Fatal(err)
			}
			if _, err := d.db.Exec("DELETE FROM " + d.name); err != nil {
				t.Fatal(err)
			}
			return id
		}
		if first, second := id(), id(); second <= first {
			t.Errorf("row %d followed row %d", second, first)
		}
	})
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		for i := range 5 {
			m := order("a", i)
			m.Body = make([]byte, 1000)
			d.enqueue(m)
		}
		c := &d.Relay(d.db, &broker{}, RelayOptions{}).claims
		s := &stream{name: "orders/a"}
		for _, want := range []struct{ limit, bytes, rows int }{{5, 1, 1}, {5, 1001, 2}, {5, 3000, 3}, {2, 3000, 2}, {9, 1 << 30, 5}} {
			rows, err := c.read(t.Context(), s, want.limit, want.bytes)
			if err != nil || len(rows) != want.rows {
				t.Errorf("up to %d rows and %d bytes: %d rows, %v; want %d", want.limit, want.bytes, len(rows), err, want.rows)
			}
		}
	})
}

func TestBacklogTellsHowMuchWaitsAndSinceWhen(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		d.enqueue(order("a", 0), order("b", 0))
		if _, err := d.db.Exec("UPDATE " + d.name + " SET enqueued = enqueued - 60000"); err != nil {
			t.Fatal(err)
		}
		b, err := d.Backlog(t.Context(), d.db)
		if err != nil || b.Waiting != 2 || b.Quarantined != 0 || b.Oldest < time.Minute || b.Oldest > time.Minute+patience {
			t.Errorf("backlog %+v, %v", b, err)
		}
	})
}

func TestTablesAreMadeOnceHoweverOftenItIsAsked(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		d.enqueue(order("a", 0))
		if err := d.Create(context.Background(), d.db); err != nil {
			t.Fatal(err)
		}
		if b, err := d.Backlog(t.Context(), d.db); err != nil || b.Waiting != 1 {
			t.Errorf("backlog %+v, %v", b, err)
		}
	})
}

func TestNamesThatWouldHaveToBeQuotedAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "a;drop", "Outbox", "1a", "ä", strings.Repeat("a", 51)} {
		if _, err := New(SQLite, name); err == nil {
			t.Errorf("table %q was accepted", name)
		}
	}
	if _, err := New(0, ""); err == nil {
		t.Error("no dialect was accepted")
	}
}
