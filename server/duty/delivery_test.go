package duty

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

const (
	patience   = 60 * time.Second
	realTopic  = event.TopicID(1)
	waitTopic  = event.TopicID(2)
	begin      = int64(1_700_000_000_000)
	realQueues = 4
)

// node is a log with the duties on it and a clock that the test moves.
type node struct {
	*testing.T
	single     *replication.Single
	engine     *engine.Engine
	settlement *settlement.Settlement
	delivery   *Delivery
	now        atomic.Int64
	text       bytes.Buffer
}

// openNode opens a log in a folder. A new one gets the topics.
func openNode(t *testing.T, dir string, now int64) *node {
	t.Helper()
	d, err := disk.OpenPosix(dir)
	if err != nil {
		t.Fatal(err)
	}
	return openNodeOn(t, d, now)
}

func openNodeOn(t *testing.T, d disk.Disk, now int64) *node {
	t.Helper()
	n := &node{T: t}
	n.now.Store(now)
	single, recovery, err := replication.OpenSingle(replication.SingleOptions{
		Address: "192.0.2.1:10911",
		Engine: engine.Options{CommitAt: engine.CommitWritten,
			Log: commitlog.Options{Disk: d, SegmentBytes: 2 << 20, TailBytes: 1 << 20, HistoryBytes: 1 << 20}},
		Proposer: replication.ProposerOptions{WaitingBytes: 8 << 20, WaitTime: patience, FlushTimeout: patience, Now: n.now.Load},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.single, n.engine = single, single.Engine()
	n.settlement = settlement.New(n.engine.Waiting(), func() event.Position { return n.engine.Marks().AppliedPosition })
	n.delivery = NewDelivery(DeliveryConfig{Waiting: n.engine.Waiting(), Events: n.engine, Topics: n.engine.Topics(),
		Proposer: single, Settlement: n.settlement, Clock: func() time.Time { return time.UnixMilli(n.now.Load()) },
		Log: slog.New(slog.NewTextHandler(&n.text, nil))})
	if recovery.Created {
		n.store(topicDraft(realTopic, "T", realQueues), topicDraft(waitTopic, delay.TimerTopic, 1))
	}
	return n
}

func (n *node) close() {
	n.Helper()
	if err := n.single.Close(); err != nil {
		n.Error(err)
	}
}

func topicDraft(id event.TopicID, name string, queues uint32) event.Draft {
	return event.Draft{Kind: event.KindTopic, Topic: id,
		Payload: event.Bytes(event.AppendTopicConfig(nil, event.TopicConfig{Name: name, ReadQueues: queues, WriteQueues: queues}))}
}

type completion chan *engine.Proposal

func (c completion) Complete(p *engine.Proposal) { c <- p }

// store stores events and waits until they are applied.
func (n *node) store(drafts ...event.Draft) event.Position {
	n.Helper()
	done := make(completion, len(drafts))
	for _, d := range drafts {
		if err := n.single.Propose(&engine.Proposal{Drafts: []event.Draft{d}, Completion: done}); err != nil {
			n.Fatal(err)
		}
	}
	var last event.Position
	for range drafts {
		last = (<-done).Position
	}
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	if err := n.engine.WaitApplied(ctx, last); err != nil {
		n.Fatal(err)
	}
	return last
}

// waiting is an event with a message that waits until due.
func waiting(due int64, topic, body string, queue uint32) event.Draft {
	plan := delay.Plan{Topic: delay.TimerTopic, Due: due}
	m := &record.Message{Topic: delay.TimerTopic, BornTimestamp: begin - 1,
		Properties: plan.AppendProperties([]byte("UNIQ_KEY\x01"+body+"\x02TAGS\x01tag\x02"), topic, queue)}
	m.SetBody([]byte(body))
	return event.Draft{Kind: event.KindDelayed, Stream: event.StreamQueue, Topic: waitTopic, Due: due, Payload: m}
}

func (n *node) look() int64 {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	next, err := n.delivery.Look(ctx)
	if err != nil {
		n.Fatal(err)
	}
	return next
}

// delivered counts the bodies in the real topic and checks their records.
func (n *node) delivered() map[string]int {
	n.Helper()
	found := map[string]int{}
	for queue := range uint32(realQueues) {
		q := event.Queue{Topic: realTopic, ID: queue}
		limits := engine.ReadLimits{Count: math.MaxInt32, Bytes: math.MaxInt32, Scan: math.MaxInt32}
		from, _ := n.engine.Bounds(q)
		_, err := n.engine.ReadQueue(q, from, limits, nil, func(m engine.Message) error {
			r, _, err := record.Decode(m.Event.Payload())
			if err != nil {
				return err
			}
			found[string(r.Body)]++
			out, _ := record.Properties(r.Properties).Get("TIMER_OUT_MS")
			if string(r.Topic) != "T" || r.QueueID != queue || r.BornTimestamp != begin-1 || fmt.Sprint(m.Timestamp) < string(out) {
				return fmt.Errorf("record %+v at %d in queue %d", r, m.Timestamp, queue)
			}
			return nil
		})
		if err != nil {
			n.Fatal(err)
		}
	}
	return found
}

func TestAMessageIsDeliveredWhenItIsDueAndNotBefore(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	n.store(waiting(begin+1000, "T", "a", 1), waiting(begin+2000, "T", "b", 2))
	if next := n.look(); next != begin+1000 || len(n.delivered()) != 0 {
		t.Fatalf("next %d, delivered %v", next-begin, n.delivered())
	}
	n.now.Store(begin + 999)
	if n.look(); len(n.delivered()) != 0 {
		t.Fatal("delivered a millisecond early")
	}
	n.now.Store(begin + 1000)
	if next := n.look(); next != begin+2000 || !maps.Equal(n.delivered(), map[string]int{"a": 1}) {
		t.Fatalf("next %d, delivered %v", next-begin, n.delivered())
	}
	n.now.Store(begin + 9000)
	if next := n.look(); next != math.MaxInt64 || !maps.Equal(n.delivered(), map[string]int{"a": 1, "b": 1}) {
		t.Fatalf("next %d, delivered %v", next, n.delivered())
	}
	var b strings.Builder
	n.delivery.WriteMetrics(&b)
	for _, want := range []string{`apogee_duty_delivery_lateness_seconds_bucket{le="0.001"} 1`, `apogee_duty_delivery_lateness_seconds_bucket{le="10"} 2`,
		`apogee_waiting_messages{kind="delayed"} 0`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("metrics lack %s:\n%s", want, b.String())
		}
	}
}

func TestMessagesOfATopicThatIsGoneAreDropped(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	n.store(waiting(begin, "Gone", "a", 0), waiting(begin, "Gone", "b", 0), waiting(begin, "T", "fewer queues", realQueues+1))
	n.look()
	if got := n.delivered(); !maps.Equal(got, map[string]int{"fewer queues": 1}) || n.engine.Waiting().Counts().Delayed != 0 {
		t.Fatalf("delivered %v, %+v wait", got, n.engine.Waiting().Counts())
	}
	if strings.Count(n.text.String(), "dropped") != 1 || !strings.Contains(n.text.String(), "messages=2") {
		t.Errorf("log: %s", n.text.String())
	}
}

func TestWhatSomebodyElseDecidesAboutIsNotDelivered(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	handle := n.store(waiting(begin, "T", "a", 0))
	if _, ok, err := n.settlement.Begin(handle); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n.look()
	if got := n.delivered(); len(got) != 0 {
		t.Fatalf("delivered %v while a recall is on its way", got)
	}
	n.settlement.Withdraw(handle)
	n.look()
	if got := n.delivered(); got["a"] != 1 {
		t.Fatalf("delivered %v", got)
	}
}

// topicsUntil calls then after so many look-ups.
type topicsUntil struct {
	delay.Topics
	count int
	done  *int
	then  func()
}

func (t topicsUntil) GetBytes(name []byte) (topic.Topic, bool) {
	if *t.done++; *t.done == t.count {
		t.then()
	}
	return t.Topics.GetBytes(name)
}

// TestManyMessagesDueAtOnceAreDeliveredOnceOverARestart ends the process, as
// far as the log sees it, while they are being delivered.
func TestManyMessagesDueAtOnceAreDeliveredOnceOverARestart(t *testing.T) {
	t.Parallel()
	const count = 3000
	dir := t.TempDir()
	n := openNode(t, dir, begin)
	drafts := make([]event.Draft, count)
	for i := range drafts {
		drafts[i] = waiting(begin+1000, "T", fmt.Sprint(i), uint32(i%realQueues))
	}
	n.store(drafts...)
	n.now.Store(begin + 1000)
	ctx, cancel := context.WithCancel(t.Context())
	n.delivery.config.Topics = topicsUntil{n.engine.Topics(), count / 2, new(int), cancel}
	if _, err := n.delivery.Look(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
	n.close()
	n = openNode(t, dir, begin+5000)
	defer n.close()
	if left := n.engine.Waiting().Counts().Delayed; left == 0 || left == count {
		t.Fatalf("%d wait after the restart", left)
	}
	n.look()
	got := n.delivered()
	for body, times := range got {
		if times != 1 {
			t.Errorf("%s was delivered %d times", body, times)
		}
	}
	if len(got) != count || n.engine.Waiting().Counts().Delayed != 0 {
		t.Errorf("%d of %d were delivered, %d wait", len(got), count, n.engine.Waiting().Counts().Delayed)
	}
}

// damagedEvents can't read the event at one position.
type damagedEvents struct {
	Events
	at    event.Position
	reads int
}

func (d *damagedEvents) ReadEntries(places []engine.EntryPlace, visit func(i int, m engine.Message, err error)) error {
	return d.Events.ReadEntries(places, func(i int, m engine.Message, err error) {
		if places[i].Position == d.at {
			d.reads++
			m, err = engine.Message{}, engine.ErrCorrupt
		}
		visit(i, m, err)
	})
}

func TestAMessageThatCanNotBeReadIsReportedOnceAndTriedAgainLater(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	damaged := &damagedEvents{Events: n.engine, at: n.store(waiting(begin, "T", "damaged", 0))}
	n.delivery.config.Events = damaged
	n.store(waiting(begin, "T", "good", 1))
	for range 3 {
		n.look()
	}
	if got := n.delivered(); !maps.Equal(got, map[string]int{"good": 1}) || damaged.reads != 1 {
		t.Fatalf("delivered %v, the damaged one was read %d times", got, damaged.reads)
	}
	n.now.Add(unreadablePause.Milliseconds())
	n.look()
	if lines := strings.Count(n.text.String(), "can't be read"); lines != 1 || damaged.reads != 2 {
		t.Errorf("it was read %d times and reported %d times:\n%s", damaged.reads, lines, n.text.String())
	}
	damaged.at = 0
	n.now.Add(unreadablePause.Milliseconds())
	n.look()
	if got := n.delivered(); got["damaged"] != 1 {
		t.Errorf("delivered %v", got)
	}
}

func TestTheDutyWakesForWhatIsDueSooner(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); n.delivery.Run(ctx) }()
	arrived := make(chan struct{}, 1)
	n.engine.OnApplied(func(queues []event.Queue) {
		for _, q := range queues {
			if q.Topic == realTopic {
				select {
				case arrived <- struct{}{}:
				default:
				}
			}
		}
	})
	n.store(waiting(begin+time.Hour.Milliseconds(), "T", "later", 0), waiting(begin, "T", "now", 0))
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
	}
	cancel()
	<-ran
	if got := n.delivered(); !maps.Equal(got, map[string]int{"now": 1}) {
		t.Fatalf("delivered %v", got)
	}
}
