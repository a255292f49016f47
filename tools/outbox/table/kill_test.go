package table

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// relayVariable makes the test binary a relay: driver, address, dialect, table
// and the file that stands for the broker, separated by |.
const relayVariable = "APOGEE_OUTBOX_RELAY"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(relayVariable); arguments != "" {
		if err := beRelay(strings.Split(arguments, "|")); err != nil {
			fmt.Fprintln(os.Stderr, "relay:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// beRelay runs a relay until the process is killed.
func beRelay(arguments []string) error {
	db, err := sql.Open(arguments[0], arguments[1])
	if err != nil {
		return err
	}
	dialect := SQLite
	if arguments[2] == PostgreSQL.String() {
		dialect = PostgreSQL
	}
	table, err := New(dialect, arguments[3])
	if err != nil {
		return err
	}
	file, err := os.OpenFile(arguments[4], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	table.Relay(db, fileBroker{file}, RelayOptions{Interval: 5 * time.Millisecond, AttemptTimeout: 200 * time.Millisecond,
		Lease: 800 * time.Millisecond, BatchMax: 10, Workers: 4, Logger: slog.New(slog.DiscardHandler)}).Run(context.Background())
	return nil
}

// fileBroker is a broker that outlives the processes that send to it: a file
// with a line per message.
type fileBroker struct{ file *os.File }

func (b fileBroker) Send(_ context.Context, m *outbox.Message) (outbox.Receipt, error) {
	if _, err := fmt.Fprintf(b.file, "%s id %s\n", m.Body, m.ID); err != nil {
		return outbox.Receipt{}, err
	}
	return outbox.Receipt{}, nil
}

// messages reads what has arrived.
func (b fileBroker) messages(t *testing.T) (arrived []*outbox.Message) {
	t.Helper()
	text, err := os.ReadFile(b.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		body, id, _ := strings.Cut(lines.Text(), " id ")
		arrived = append(arrived, &outbox.Message{Body: []byte(body), ID: id})
	}
	return arrived
}

func TestRelaysThatAreKilledSendDuplicatesWithTheSameIDOnly(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d *database) {
		const customers, each, kills = 6, 150 / scale, 8
		file, err := os.Create(filepath.Join(t.TempDir(), "broker"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		b := fileBroker{file}
		relays := [2]*exec.Cmd{d.spawn(b), d.spawn(b)}
		defer func() {
			for _, relay := range relays {
				end(relay)
			}
		}()
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
		for kill := range kills {
			want := len(b.messages(t)) + 1 + rand.IntN(customers*each/kills)
			eventually(t, "more messages arrive", func() error {
				if d.backlog() > 0 && len(b.messages(t)) < want {
					return fmt.Errorf("%d are waiting", d.backlog())
				}
				return nil
			})
			end(relays[kill%2])
			relays[kill%2] = d.spawn(b)
		}
		writers.Wait()
		d.awaitEmpty()
		t.Logf("%d kills made %d duplicates", kills, judge(t, b.messages(t), customers, each))
	})
}

// spawn starts a relay in a process of its own.
func (d *database) spawn(b fileBroker) *exec.Cmd {
	d.t.Helper()
	relay := exec.Command(os.Args[0])
	relay.Env = append(os.Environ(), relayVariable+"="+strings.Join([]string{d.driver, d.address, d.dialect.String(), d.name, b.file.Name()}, "|"))
	relay.Stderr = os.Stderr
	if err := relay.Start(); err != nil {
		d.t.Fatal(err)
	}
	return relay
}

// end kills a relay as kill -9 does.
func end(relay *exec.Cmd) {
	_ = relay.Process.Kill()
	_ = relay.Wait()
}
