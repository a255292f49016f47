package table

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/apogeemq/apogee/tools/outbox"
)

// postgresVariable names the environment variable with a server for tests, as
// lib/pq takes it; without it they run on SQLite only.
const postgresVariable = "APOGEE_POSTGRES"

// patience is how long tests wait for what must happen.
const patience = time.Minute

// database is one outbox in a database of its own, or nearly so.
type database struct {
	*Table
	t               *testing.T
	db              *sql.DB
	driver, address string
}

// onEachDatabase runs a test on every database that is there.
func onEachDatabase(t *testing.T, test func(t *testing.T, d *database)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		if !slices.Contains(sql.Drivers(), "sqlite") {
			t.Skip("SQLite is tested on Linux: sqlite_test.go")
		}
		file := filepath.Join(t.TempDir(), "application.db")
		test(t, newDatabase(t, SQLite, "", "sqlite", "file:"+file+
			"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(20000)&_pragma=synchronous(NORMAL)&_txlock=immediate"))
	})
	address := os.Getenv(postgresVariable)
	if address == "" {
		return
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		name := "t" + strings.ToLower(rand.Text())
		test(t, newDatabase(t, PostgreSQL, name, "postgres", address))
	})
}

func newDatabase(t *testing.T, dialect Dialect, name, driver, address string) *database {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	table, err := New(dialect, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Create(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if dialect == PostgreSQL {
			_, _ = db.ExecContext(context.Background(), "DROP TABLE "+name+", "+name+"_streams")
		}
		_ = db.Close()
	})
	return &database{Table: table, t: t, db: db, driver: driver, address: address}
}

// enqueue writes messages in one transaction and commits it.
func (d *database) enqueue(messages ...*outbox.Message) {
	d.t.Helper()
	if err := d.commit(messages...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) commit(messages ...*outbox.Message) error {
	tx, err := d.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := d.Enqueue(context.Background(), tx, messages...); err != nil {
		return err
	}
	return tx.Commit()
}

// run starts a relay, with short waits, and returns it and what stops it.
func (d *database) run(sender outbox.Sender, options RelayOptions) (r *Relay, stop func()) {
	d.t.Helper()
	options.Interval = 5 * time.Millisecond
	options.Logger = slog.New(slog.DiscardHandler)
	options.Backoff = outbox.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}
	r = d.Relay(d.db, sender, options)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	d.t.Cleanup(stop)
	return r, stop
}

// awaitEmpty waits until nothing waits to be sent.
func (d *database) awaitEmpty() {
	d.t.Helper()
	eventually(d.t, "all messages are sent", func() error {
		b, err := d.Backlog(context.Background(), d.db)
		if err == nil && b.Waiting > 0 {
			err = fmt.Errorf("%d are waiting", b.Waiting)
		}
		return err
	})
}

// eventually polls until there is no error.
func eventually(t *testing.T, what string, probe func() error) {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}

// order makes the n-th message of a customer.
func order(customer string, n int) *outbox.Message {
	return &outbox.Message{Topic: "orders", ShardingKey: customer, Body: fmt.Appendf(nil, "%s %d", customer, n)}
}
