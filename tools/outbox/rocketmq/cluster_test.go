package rocketmq

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/local"
)

const topic = "outbox-orders"

// application is a program with an outbox, which may be started again.
type application struct {
	t      *testing.T
	sender *Sender
	dir    string
	spool  *local.Spool
	outbox *outbox.Outbox

	mu     sync.Mutex
	sent   map[string]string // bodies by unique id
	doubts int64             // of the outboxes that were closed
}

func (a *application) start() {
	a.t.Helper()
	spool, err := local.Open(local.Options{Dir: a.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		a.t.Fatal(err)
	}
	a.spool = spool
	a.outbox = outbox.Open(a.sender, spool, outbox.Options{Backoff: outbox.Backoff{Max: 500 * time.Millisecond},
		Logger: slog.New(slog.DiscardHandler)})
}

func (a *application) stop() {
	a.outbox.Close()
	a.doubts += a.outbox.Stats().InDoubt
	if err := a.spool.Close(); err != nil {
		a.t.Error(err)
	}
}

// send sends messages from to until of each customer, those of one customer
// one after the other, and returns how many were spooled.
func (a *application) send(customers, from, until int) (spooled int) {
	var writers sync.WaitGroup
	for c := range customers {
		writers.Go(func() {
			for n := from; n < until; n++ {
				m := &outbox.Message{Topic: topic, ShardingKey: fmt.Sprint("customer ", c), Body: fmt.Appendf(nil, "%d %d", c, n)}
				result, _, err := a.outbox.Send(context.Background(), m)
				if err != nil {
					a.t.Errorf("send message %d of customer %d: %v", n, c, err)
					return
				}
				a.mu.Lock()
				a.sent[m.ID] = string(m.Body)
				if result == outbox.Spooled {
					spooled++
				}
				a.mu.Unlock()
			}
		})
	}
	writers.Wait()
	return spooled
}

func (a *application) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.sent)
}

func TestEverythingArrivesInOrderThoughTheServerIsKilledInBetween(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("the official client has data races of its own, between its connections and its consumer")
	}
	const customers, each = 6, 200
	s := newServer(t)
	s.start()
	a := &application{t: t, sender: open(t, s.nameserver), dir: t.TempDir(), sent: map[string]string{}}
	a.start()
	if n := a.send(customers, 0, 50); n > 0 {
		t.Errorf("%d messages were spooled while the server was there", n)
	}
	sent := make(chan int)
	go func() { sent <- a.send(customers, 50, 120) }()
	eventually(t, "messages are under way", func() error {
		if n := a.count(); n < customers*70 {
			return fmt.Errorf("%d are sent", n)
		}
		return nil
	})
	s.kill()
	during := <-sent
	if away := a.send(customers, 120, 150); away != customers*30 {
		t.Errorf("%d of %d messages were spooled while the server was away", away, customers*30)
	}
	a.stop() // the application ends, and begins again, with nobody to send to
	a.start()
	a.send(customers, 150, 160)
	s.start()
	a.send(customers, 160, each)
	eventually(t, "the spool is empty", func() error {
		if st := a.outbox.Stats(); st.Spool.Entries > 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	stats := a.outbox.Stats()
	a.stop()
	t.Logf("%d were spooled around the kill; since the second start: %+v", during, stats)
	a.judge(s, customers, each)
}

// judge reads all messages and wants each that was sent, in order by customer,
// and no more copies than there were doubts.
func (a *application) judge(s *server, customers, each int) {
	a.t.Helper()
	next, copies := make([]int, customers), 0
	for _, m := range a.consume(s, customers*each) {
		var customer, n int
		if _, err := fmt.Sscanf(string(m.Body), "%d %d", &customer, &n); err != nil {
			a.t.Fatalf("message %q: %v", m.Body, err)
		}
		if a.sent[m.MsgId] != string(m.Body) {
			a.t.Errorf("message %q arrived with the id %s", m.Body, m.MsgId)
		}
		switch {
		case n == next[customer]:
			next[customer]++
		case n < next[customer]:
			copies++
		default:
			a.t.Errorf("customer %d: message %d arrived when %d was next", customer, n, next[customer])
			next[customer] = n + 1
		}
	}
	if int64(copies) > a.doubts {
		a.t.Errorf("%d copies too many, but only %d attempts were in doubt", copies, a.doubts)
	}
	a.t.Logf("%d copies, %d attempts in doubt", copies, a.doubts)
}

// consume reads everything with the official consumer and returns it by queue
// and offset, once so many different messages are there.
func (a *application) consume(s *server, want int) []*primitive.MessageExt {
	a.t.Helper()
	c, err := client.NewPushConsumer(consumer.WithNameServer([]string{s.nameserver}), consumer.WithGroupName("outbox-judge"),
		consumer.WithInstance(a.t.Name()+"-judge"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		a.t.Fatal(err)
	}
	var mu sync.Mutex
	byPlace := map[[2]int64]*primitive.MessageExt{}
	ids := map[string]bool{}
	err = c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				byPlace[[2]int64{int64(m.Queue.QueueId), m.QueueOffset}] = m
				ids[m.MsgId] = true
			}
			return consumer.ConsumeSuccess, nil
		})
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	eventually(a.t, "all messages arrive", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(ids) < want {
			return fmt.Errorf("%d of %d", len(ids), want)
		}
		return nil
	})
	_ = c.Shutdown()
	mu.Lock()
	defer mu.Unlock()
	var all []*primitive.MessageExt
	for _, m := range byPlace {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *primitive.MessageExt) int {
		return cmp.Or(cmp.Compare(a.Queue.QueueId, b.Queue.QueueId), cmp.Compare(a.QueueOffset, b.QueueOffset))
	})
	return all
}
