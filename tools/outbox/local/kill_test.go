package local

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// applicationVariable makes the test binary an application with an outbox: its
// folder, and the round, from 1 on, or 0 for one that sends nothing new.
const applicationVariable = "APOGEE_OUTBOX_APPLICATION"

// Files in the folder of an application.
const (
	arrivedFile   = "arrived"   // what the broker got, a line per message
	confirmedFile = "confirmed" // what Send returned for
	upFile        = "up"        // is there while the broker is
)

func TestMain(m *testing.M) {
	if arguments := os.Getenv(applicationVariable); arguments != "" {
		dir, round, _ := strings.Cut(arguments, "|")
		if err := beApplication(dir, round); err != nil {
			fmt.Fprintln(os.Stderr, "application:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

const killedCustomers = 4

// beApplication sends for each customer one message after the other, and runs
// until it is killed.
func beApplication(dir, round string) error {
	number, err := strconv.Atoi(round)
	if err != nil {
		return err
	}
	confirmed, err := os.OpenFile(filepath.Join(dir, confirmedFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	s, err := Open(Options{Dir: filepath.Join(dir, "spool"), Logger: quiet})
	if err != nil {
		return err
	}
	box := outbox.Open(fileBroker(dir), s, outbox.Options{Backoff: outbox.Backoff{Max: 50 * time.Millisecond}, Logger: quiet})
	const perRound = 1000000
	var customers sync.WaitGroup
	for c := range killedCustomers {
		customers.Go(func() {
			for n := number * perRound; number > 0; n++ {
				m := order(fmt.Sprint("c", c), n)
				if _, _, err := box.Send(context.Background(), m); err != nil {
					fmt.Fprintln(os.Stderr, "application:", err)
					return
				}
				_, _ = fmt.Fprintf(confirmed, "%s %s\n", m.Body, m.ID)
			}
		})
	}
	customers.Wait()
	select {}
}

// fileBroker is a broker that outlives those who send to it.
type fileBroker string

func (dir fileBroker) Send(_ context.Context, m *outbox.Message) (outbox.Receipt, error) {
	if _, err := os.Stat(filepath.Join(string(dir), upFile)); err != nil {
		return outbox.Receipt{}, outbox.ErrNotAccepted
	}
	f, err := os.OpenFile(filepath.Join(string(dir), arrivedFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return outbox.Receipt{}, err
	}
	defer func() { _ = f.Close() }()
	_, err = fmt.Fprintf(f, "%s %s\n", m.Body, m.ID)
	return outbox.Receipt{}, err
}

// lines are the whole lines of a file: customer, number and unique id.
func lines(t *testing.T, dir, file string) (all [][3]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && strings.HasSuffix(line, "\n") {
			all = append(all, [3]string(fields))
		}
	}
	return all
}

// spawn starts an application, waits until enough tells that it has done what
// it should, and kills it.
func spawn(t *testing.T, dir string, round int, enough func() bool) {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", applicationVariable, dir, round))
	p.Stderr = os.Stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Wait() }()
	defer func() { _ = p.Process.Kill() }()
	deadline, tick := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !enough() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("round %d: not within %v", round, patience)
		}
	}
}

func TestWhatAnApplicationWasToldOutlivesItsKills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const rounds, each = 3, 150
	for round := 1; round <= rounds; round++ {
		spawn(t, dir, round, func() bool { return len(lines(t, dir, confirmedFile)) >= round*each })
	}
	if n := len(lines(t, dir, arrivedFile)); n > 0 {
		t.Fatalf("%d messages arrived though the broker was away", n)
	}
	if err := os.WriteFile(filepath.Join(dir, upFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	confirmed := lines(t, dir, confirmedFile)
	missing := func() (n int) {
		ids := map[string]bool{}
		for _, line := range lines(t, dir, arrivedFile) {
			ids[line[2]] = true
		}
		for _, line := range confirmed {
			if !ids[line[2]] {
				n++
			}
		}
		return n
	}
	half := len(confirmed) / 2
	spawn(t, dir, 0, func() bool { return missing() < half }) // killed while it drains
	spawn(t, dir, 0, func() bool { return missing() == 0 })
	judgeOrder(t, lines(t, dir, arrivedFile))
}

// judgeOrder wants first copies in order and each message under one id.
func judgeOrder(t *testing.T, arrived [][3]string) {
	t.Helper()
	last, ids, copies := map[string]int{}, map[string]string{}, 0
	for _, line := range arrived {
		customer, message, id := line[0], line[0]+" "+line[1], line[2]
		n, err := strconv.Atoi(line[1])
		if err != nil {
			t.Fatal(err)
		}
		switch known, again := ids[message]; {
		case again && known != id:
			t.Errorf("message %s arrived as %s and as %s", message, known, id)
		case again:
			copies++
		case n <= last[customer]:
			t.Errorf("message %s arrived after %d", message, last[customer])
		default:
			last[customer] = n
		}
		ids[message] = id
	}
	t.Logf("%d messages, %d copies", len(ids), copies)
}
