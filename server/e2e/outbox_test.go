package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/broker/record"
)

// outbox is an agent before a server. It is found where servers are: its port
// for nameservers stands at the same place of its ports.
type outbox struct{ *server }

// startOutbox starts an agent before s.
func startOutbox(t *testing.T, s *server, settings ...string) *outbox {
	t.Helper()
	o := &outbox{&server{t: t, dir: t.TempDir(), ports: freePorts(t)}}
	o.settings = append([]string{
		"namesrvAddr=" + s.nameserverAddress(), "storePathRootDir=" + o.dir, "listenPort=" + strconv.Itoa(o.ports.nameserver()),
		"adminListenPort=" + strconv.Itoa(o.ports.admin()),
	}, settings...)
	t.Cleanup(o.cleanUp)
	o.restart()
	return o
}

// restart starts the process, in the same folder and on the same ports.
func (o *outbox) restart() {
	o.t.Helper()
	arguments := []string{"outbox"}
	for _, setting := range o.settings {
		arguments = append(arguments, "--set", setting)
	}
	p := &process{command: exec.Command(apogee, arguments...), journal: newJournal(), exited: make(chan struct{})}
	p.run(o.t)
	o.process = p
	if err := p.journal.wait("msg=ready"); err != nil {
		o.t.Fatalf("start the outbox: %v\n%s", err, p.journal)
	}
}

// waiting is how many messages the agent holds, in the spool and in quarantine.
func (o *outbox) waiting() (messages, quarantined int, err error) {
	response, err := http.Get("http://" + loopback(o.ports.admin()) + "/outbox/stats")
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	var stats struct{ Messages, Quarantined int }
	err = json.NewDecoder(response.Body).Decode(&stats)
	return stats.Messages, stats.Quarantined, err
}

func (o *outbox) awaitEmpty() {
	o.t.Helper()
	eventually(o.t, "the outbox to be empty", func() error {
		messages, quarantined, err := o.waiting()
		if err == nil && (messages > 0 || quarantined > 0) {
			err = fmt.Errorf("%d messages wait, %d are in quarantine", messages, quarantined)
		}
		return err
	})
}

const (
	outboxTopic   = "e2e-outbox"
	outboxWriters = 4
	outboxKills   = 4 // of the server, then of the agent
)

// outboxWriter sends numbered messages to one queue, each after the answer to
// the one before.
type outboxWriter struct {
	number   int
	producer rocketmq.Producer

	mu    sync.Mutex
	acked map[string]string // unique id by body
	count atomic.Int64      // of them
}

// first selects the queue of a writer.
type first struct{ writer int }

func (f first) Select(_ *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	for _, q := range queues {
		if q.QueueId == f.writer {
			return q
		}
	}
	return queues[f.writer%len(queues)]
}

func newOutboxWriter(t *testing.T, o *outbox, number int) *outboxWriter {
	t.Helper()
	return &outboxWriter{number: number, acked: map[string]string{},
		producer: newProducer(t, o.server, producer.WithQueueSelector(first{number}), producer.WithSendMsgTimeout(3*time.Second))}
}

// run sends until the context ends. A send that fails isn't repeated.
func (w *outboxWriter) run(ctx context.Context) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		body := fmt.Sprintf("%d %d", w.number, n)
		result, err := w.producer.SendSync(context.Background(), primitive.NewMessage(outboxTopic, []byte(body)))
		if err == nil && result.Status == primitive.SendOK {
			w.mu.Lock()
			w.acked[body] = result.MsgID
			w.mu.Unlock()
			w.count.Add(1)
			continue
		}
		select {
		case <-pause.C: // nobody listens: no use in trying at once
		case <-ctx.Done():
		}
	}
}

func TestTheOutboxKeepsEverythingThatItAnsweredThroughKillsOfAllAndOfItself(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := startOutbox(t, s)
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writers := make([]*outboxWriter, outboxWriters)
	for i := range writers {
		w := newOutboxWriter(t, o, i)
		writers[i] = w
		// The first message brings the topic about.
		if r, err := w.producer.SendSync(ctx, primitive.NewMessage(outboxTopic, []byte(fmt.Sprintf("%d -1", i)))); err != nil || r.Status != primitive.SendOK {
			t.Fatalf("writer %d: %v, %v", i, r, err)
		}
		writing.Go(func() { w.run(ctx) })
	}
	progress := func(what string) {
		t.Helper()
		for _, w := range writers {
			was := w.count.Load()
			eventually(t, fmt.Sprintf("%s: writer %d goes on", what, w.number), func() error {
				if now := w.count.Load(); now < was+30 {
					return fmt.Errorf("%d answers since", now-was)
				}
				return nil
			})
		}
	}
	progress("with the cluster")
	s.kill()
	progress("without it")
	for range 2 {
		o.kill() // with all that it knows of the cluster
		o.restart()
		progress("after the outbox was killed")
	}
	s.restart()
	o.kill() // while it delivers
	o.restart()
	progress("with the cluster again")
	stop()
	writing.Wait()
	o.awaitEmpty()
	judgeOutbox(t, s, writers)
}

// judgeOutbox reads what the broker has: everything that was answered, what one
// writer sent in its order, and repeated only around the kills.
func judgeOutbox(t *testing.T, s *server, writers []*outboxWriter) {
	t.Helper()
	ids, repeated := map[string]string{}, 0
	p := dial(t, s.brokerAddress())
	for queue := range outboxWriters {
		last := map[string]int{}
		err := p.readQueue(outboxTopic, queue, func(r record.Record) error {
			body := string(r.Body)
			id, _ := record.Properties(r.Properties).Get("UNIQ_KEY")
			if before, seen := ids[body]; seen {
				repeated++
				if before != string(id) {
					return fmt.Errorf("message %q is there as %s and as %s", body, before, id)
				}
				return nil
			}
			ids[body] = string(id)
			writer, text, _ := strings.Cut(body, " ")
			n, err := strconv.Atoi(text)
			if before, known := last[writer]; err != nil || known && n <= before {
				return fmt.Errorf("queue %d: message %d of writer %s comes after %d", queue, n, writer, before)
			}
			last[writer] = n
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	answered := 0
	for _, w := range writers {
		for body, id := range w.acked {
			if answered++; ids[body] != id {
				t.Errorf("message %q was answered with id %s and is there as %q", body, id, ids[body])
			}
		}
	}
	const perKill = 3 // in flight, or delivered and not noted yet
	if most := outboxKills * perKill * outboxWriters; repeated > most {
		t.Errorf("%d messages are repeated, at most %d were in flight or in doubt", repeated, most)
	}
	t.Logf("%d messages answered, %d there, %d repeated", answered, len(ids), repeated)
}
