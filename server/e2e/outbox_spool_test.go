package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// outboxSender sends to one queue through an agent, without a client library.
type outboxSender struct {
	*peer
	topic string
	fill  int    // bytes that make bodies large
	key   string // sharding key, or nothing

	mu    sync.Mutex
	acked []string // bodies, without what fills them
}

// newOutboxSender makes a topic and finds its broker as clients do.
func newOutboxSender(t *testing.T, s *server, o *outbox, topic string, fill int) *outboxSender {
	t.Helper()
	createTopic(t, s, topic)
	return (&outboxSender{topic: topic, fill: fill}).dial(t, o, "broker-a")
}

// dial connects to the door of a broker, again after the agent's restart.
func (w *outboxSender) dial(t *testing.T, o *outbox, broker string) *outboxSender {
	t.Helper()
	addresses := routeOf(t, o.server, w.topic)[broker]
	if addresses == nil {
		t.Fatalf("the agent doesn't tell of %s", broker)
	}
	w.peer = dial(t, addresses["0"])
	return w
}

// send sends one message and remembers it when it was taken.
func (w *outboxSender) send(body string) (*remoting.Command, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r := &remoting.Request{Code: remoting.RequestSendMessageV2, Body: append([]byte(body+" "), make([]byte, w.fill)...)}
	properties := "UNIQ_KEY\x01id-" + body + "\x02"
	if w.key != "" {
		properties += "__SHARDINGKEY\x01" + w.key + "\x02"
	}
	r.Header = fields("a", "outbox", "b", w.topic, "c", "TBW102", "d", "4", "e", "0", "f", "0", "g", "1700000000000", "h", "0",
		"i", properties, "j", "0", "m", "false")
	got, err := w.client.Call(ctx, r)
	if err == nil && got.Code == remoting.ResponseSuccess {
		w.mu.Lock()
		w.acked = append(w.acked, body)
		w.mu.Unlock()
	}
	return got, err
}

// must is send for messages that have to be taken.
func (w *outboxSender) must(bodies ...string) {
	w.t.Helper()
	for _, body := range bodies {
		if got, err := w.send(body); err != nil || got.Code != remoting.ResponseSuccess {
			w.t.Fatalf("send %s: %v, %+v", body, err, got)
		}
	}
}

// stored are the bodies that the broker has, in its order.
func (w *outboxSender) stored(t *testing.T, s *server) (bodies []string) {
	t.Helper()
	err := dial(t, s.brokerAddress()).readQueue(w.topic, 0, func(r record.Record) error {
		body, _, _ := strings.Cut(string(r.Body), " ")
		if id, _ := record.Properties(r.Properties).Get("UNIQ_KEY"); string(id) != "id-"+body {
			return fmt.Errorf("message %s has the id %s", body, id)
		}
		bodies = append(bodies, body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bodies
}

// command runs `apogee outbox …`.
func (o *outbox) command(arguments ...string) string {
	o.t.Helper()
	arguments = append(append([]string{"outbox"}, arguments...), "--admin", loopback(o.ports.admin()))
	out, err := exec.Command(apogee, arguments...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("apogee %q: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// counts returns what stats say in a row.
func (o *outbox) counts(row string) (n int) {
	o.t.Helper()
	for line := range strings.Lines(o.command("stats")) {
		if rest, ok := strings.CutPrefix(line, row+" "); ok {
			n, _ = strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return n
}

func (o *outbox) awaitCount(row string, want int) {
	o.t.Helper()
	eventually(o.t, fmt.Sprintf("%s to be %d", row, want), func() error {
		if n := o.counts(row); n != want {
			return fmt.Errorf("it is %d", n)
		}
		return nil
	})
}

// awaitMetric waits for a value of a metric, which stats show half a second late.
func (o *outbox) awaitMetric(name, want string) {
	o.t.Helper()
	eventually(o.t, name+" to be "+want, func() error {
		for line := range strings.Lines(metricsOf(o.t, o.server)) {
			if got, ok := strings.CutPrefix(line, name+" "); ok {
				if got = strings.TrimSpace(got); got != want {
					return fmt.Errorf("it is %s", got)
				}
				return nil
			}
		}
		return errors.New("there is no such metric")
	})
}

// fillUp sends from many goroutines until the agent refuses each of them.
func (w *outboxSender) fillUp(t *testing.T) (refused []string) {
	t.Helper()
	const senders, most = 8, 100
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for n := range most {
				body := fmt.Sprint(i, "-", n)
				got, err := w.send(body)
				if err == nil && got.Code == remoting.ResponseSuccess {
					continue
				}
				if err != nil || got.Code != remoting.ResponseServiceNotAvailable || !strings.Contains(string(got.Remark), "[OUTBOX_FULL]") {
					t.Errorf("send %s: %v, %+v; want 14 and [OUTBOX_FULL]", body, err, got)
				}
				w.mu.Lock()
				refused = append(refused, body)
				w.mu.Unlock()
				return
			}
			t.Errorf("sender %d is never refused", i)
		})
	}
	sending.Wait()
	return refused
}

func TestAFullOutboxRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := startOutbox(t, s, "spoolBytesMax=268435456")
	w := newOutboxSender(t, s, o, "e2e-outbox-full", 1<<20)
	s.kill()
	refused := w.fillUp(t)
	if n := o.counts("refused, full"); n < len(refused) {
		t.Errorf("stats count %d refused sends of %d", n, len(refused))
	}
	o.awaitCount("messages that wait", len(w.acked))
	o.kill()
	o.restart() // full as it is
	if n := o.counts("messages that wait"); n != len(w.acked) {
		t.Errorf("after a restart %d messages wait, want %d", n, len(w.acked))
	}
	s.restart()
	o.awaitEmpty()
	got := w.stored(t, s)
	for _, body := range w.acked {
		if !slices.Contains(got, body) {
			t.Errorf("message %s was taken and is not there", body)
		}
	}
	for _, body := range refused {
		if slices.Contains(got, body) {
			t.Errorf("message %s was refused and is there", body)
		}
	}
	w.dial(t, o, "broker-a")
	s.kill()
	eventually(t, "room for more", func() error {
		if got, err := w.send("more"); err != nil || got.Code != remoting.ResponseSuccess {
			return fmt.Errorf("%w, %+v", err, got)
		}
		return nil
	})
}

// damage changes one byte of what the agent's log has of a body.
func (o *outbox) damage(body string) {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.dir, "log", "*.seg"))
	if err != nil {
		o.t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			o.t.Fatal(err)
		}
		at := bytes.Index(b, []byte(body+" "))
		if at < 0 {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			o.t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{b[at] ^ 1}, int64(at)); err != nil {
			o.t.Fatal(err)
		}
		return
	}
	o.t.Fatalf("no file of the spool has %q", body)
}

func TestADamagedOutboxDeliversTheRestAndSaysSo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                  string
		behind                int // MiB behind what is damaged
		quarantined, asideLog int
	}{
		{"where a start reads it", 0, 0, 1},
		{"where only the delivery reads it", 100, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			o := startOutbox(t, s)
			w := newOutboxSender(t, s, o, "e2e-outbox-damaged", 100)
			s.kill()
			w.must("first", "second", "damaged", "third", "fourth")
			w.fill = 1 << 20
			var behind []string
			for i := range c.behind {
				behind = append(behind, fmt.Sprint("behind-", i))
			}
			w.must(behind...)
			// In an orderly end: after a kill, how much a start reads depends on timing.
			if _, err := o.terminate(); err != nil {
				t.Fatal(err)
			}
			o.damage("damaged")
			o.restart()
			s.restart()
			o.awaitCount("messages that wait", 0)
			if got, want := w.stored(t, s), append([]string{"first", "second", "third", "fourth"}, behind...); !slices.Equal(got, want) {
				t.Errorf("the broker has %q, want %q", got, want)
			}
			if got := o.counts("quarantined"); got != c.quarantined {
				t.Errorf("%d messages are in quarantine, want %d", got, c.quarantined)
			}
			if got := o.counts("damaged folders"); got != c.asideLog {
				t.Errorf("%d logs are moved aside, want %d", got, c.asideLog)
			}
			if c.quarantined > 0 && !strings.Contains(o.command("list", "--quarantine"), "damaged") {
				t.Errorf("the list of the quarantine doesn't say why:\n%s", o.command("list", "--quarantine"))
			}
			if text := metricsOf(t, o.server); o.counts("damaged places") == 0 || strings.Contains(text, "apogee_outbox_damaged_total 0") {
				t.Errorf("stats or metrics don't say it:\n%s", text)
			}
		})
	}
}

func TestOneOfTwoBrokersIsLostAndTheOutboxHasTheOther(t *testing.T) {
	t.Parallel()
	living := startServer(t)
	lost := startServer(t, "brokerName=broker-b", "namesrvAddr="+living.nameserverAddress())
	o := startOutbox(t, living, "brokerGoneAfterMs=1000")
	const topic = "e2e-outbox-two"
	createTopic(t, lost, topic)
	createTopic(t, living, topic)
	eventually(t, "the route to have both", func() error {
		if r := routeOf(t, o.server, topic); len(r) != 2 {
			return fmt.Errorf("it has %v", r)
		}
		return nil
	})
	w := (&outboxSender{topic: topic}).dial(t, o, "broker-b")
	w.must("with-both")
	lost.kill()
	o.awaitMetric("apogee_outbox_brokers_in_reach", "1") // what is sent before may be in doubt
	at := numbered("at-once", 50)
	w.must(at...)
	o.awaitMetric("apogee_outbox_spooled_total", "0") // though a broker was there
	w.key = "key"                                     // whose broker must not change lightly
	later := numbered("later", 20)
	w.must(later...)
	o.awaitMetric("apogee_outbox_delivered_total", "20")
	o.awaitMetric("apogee_outbox_spooled_total", "20")
	if got, want := w.stored(t, living), append(at, later...); !slices.Equal(got, want) {
		t.Errorf("the broker that lives has %q, want %q", got, want)
	}
}
