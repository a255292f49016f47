package load

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

// waitingBroker takes messages that wait, and commits of transactions.
type waitingBroker struct {
	t       *testing.T
	mu      sync.Mutex
	sent    []map[string]string // properties
	busy    bool                // answers ends of transactions
	mute    bool                // answers have no positions
	halves  map[string]int64    // position by unique key
	arrived map[string]int64    // messages by queue
}

// startWaiting serves a broker until the test ends and returns its address.
func startWaiting(t *testing.T) (*waitingBroker, string) {
	t.Helper()
	b := newWaiting(t)
	return b, serve(t, b, remoting.Options{})
}

func newWaiting(t *testing.T) *waitingBroker {
	return &waitingBroker{t: t, halves: map[string]int64{}, arrived: map[string]int64{}}
}

func (b *waitingBroker) Closed(*remoting.Conn) {}

func (b *waitingBroker) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reply := &remoting.Reply{}
	switch cmd.Code {
	case remoting.RequestUpdateAndCreateTopic:
	case remoting.RequestGetMaxOffset:
		reply.SetInt("offset", b.arrived[cmd.Text("queueId")])
	case remoting.RequestSendMessageV2:
		b.send(cmd, reply)
	case remoting.RequestEndTransaction:
		b.end(cmd)
		if b.busy {
			rt.Oneway, reply.Code = false, remoting.ResponseSystemBusy
		}
	default:
		b.t.Errorf("request code %d", cmd.Code)
	}
	rt.Send(reply)
}

func (b *waitingBroker) send(cmd *remoting.Command, reply *remoting.Reply) {
	properties := map[string]string{"queue": cmd.Text("e"), "flag": cmd.Text("f")}
	for entry := range strings.SplitSeq(strings.TrimSuffix(cmd.Text("i"), propertyEnd), propertyEnd) {
		name, value, _ := strings.Cut(entry, propertyMid)
		properties[name] = value
	}
	b.sent = append(b.sent, properties)
	position := int64(len(b.sent)) << 40 // needs the upper digits of a position
	b.halves[properties["UNIQ_KEY"]] = position
	if b.mute {
		return
	}
	reply.SetText("msgId", fmt.Sprintf("7F00000100002A9F%016X", position))
	reply.SetText("transactionId", properties["UNIQ_KEY"])
	reply.SetInt("queueOffset", position>>40)
	reply.SetInt("queueId", 1)
}

func (b *waitingBroker) end(cmd *remoting.Command) {
	key := cmd.Text("msgId")
	position, found := b.halves[key]
	got, _ := cmd.Int("commitLogOffset")
	state, _ := cmd.Int("tranStateTableOffset")
	if !found || got != position || state != position>>40 || cmd.Text("transactionId") != key || cmd.Text("commitOrRollback") != "8" ||
		cmd.Text("producerGroup") != "P" || cmd.Text("topic") != "T" || cmd.Text("fromTransactionCheck") != "false" || !cmd.IsOneway() {
		b.t.Errorf("end of a transaction %q with %q at %d", key, cmd.Fields, position)
	}
	delete(b.halves, key)
	b.arrived["1"]++
}

func kindOptions(address string, s frame.Serialization, k Kind) SendOptions {
	return SendOptions{Target: target(address, s), InFlight: 7, Size: 10, Batch: 1, Topics: 1, Messages: 700, Producers: "P", Kind: k}
}

func TestEachTransactionIsCommittedAndCountsWhenItHasArrived(t *testing.T) {
	t.Parallel()
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		b, address := startWaiting(t)
		r, err := Send(t.Context(), kindOptions(address, s, Transactional))
		if err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		first := b.sent[0]
		if first["TRAN_MSG"] != "true" || first["PGROUP"] != "P" || first["flag"] != "4" {
			t.Errorf("a half message with %q", first)
		}
		// What was committed last may still be under way when the load ends.
		if len(b.sent) != 700 || r.Requests != 700 || r.Messages != r.Arrived || r.Messages > 700 || r.Messages < 350 || r.Bytes != 10*r.Messages {
			t.Errorf("%d sent, %d answered, %d counted, %d arrived, %d bytes", len(b.sent), r.Requests, r.Messages, r.Arrived, r.Bytes)
		}
	}
}

// RocketMQ's broker answers one-way requests, too, that waited for too long.
func TestAnAnswerToTheEndOfATransactionIsNoneToASend(t *testing.T) {
	t.Parallel()
	b, address := startWaiting(t)
	b.mu.Lock()
	b.busy = true
	b.mu.Unlock()
	r, err := Send(t.Context(), kindOptions(address, frame.JSON, Transactional))
	if err != nil || r.Requests != 700 || r.Errors == 0 {
		t.Fatalf("%d requests, %d errors, %v", r.Requests, r.Errors, err)
	}
}

func TestDelayedMessagesSayWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	before := time.Now()
	at := before.Add(time.Hour).Truncate(time.Millisecond)
	hour := func(properties map[string]string) bool {
		millis, err := strconv.ParseInt(properties["TIMER_DELIVER_MS"], 10, 64)
		wait := time.UnixMilli(millis).Sub(before)
		return err == nil && wait >= time.Hour-time.Second && wait < time.Hour+2*time.Minute
	}
	for name, c := range map[string]struct {
		delay Delay
		right func(map[string]string) bool
	}{
		"level": {Delay{Level: 3}, func(p map[string]string) bool { return p["DELAY"] == "3" && p["TIMER_DELIVER_MS"] == "" }},
		"time":  {Delay{At: at}, func(p map[string]string) bool { return p["TIMER_DELIVER_MS"] == strconv.FormatInt(at.UnixMilli(), 10) }},
		"after": {Delay{After: time.Hour}, hour}, "spread": {Delay{After: time.Hour, Spread: time.Minute}, hour},
	} {
		b, address := startWaiting(t)
		o := kindOptions(address, frame.JSON, Delayed)
		o.Delay = c.delay
		r, err := Send(t.Context(), o)
		if err != nil || r.Messages != 700 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		b.mu.Lock()
		for _, properties := range b.sent {
			if !c.right(properties) || properties["flag"] != "0" {
				t.Fatalf("%s: a message with %q", name, properties)
			}
		}
		b.mu.Unlock()
	}
}

func TestAnswersWithoutAPositionCantBeCommitted(t *testing.T) {
	t.Parallel()
	b, address := startWaiting(t)
	b.mute = true
	_, err := Send(t.Context(), kindOptions(address, frame.JSON, Transactional))
	if err == nil || !strings.Contains(err.Error(), "end transaction") {
		t.Fatalf("error %v", err)
	}
}

func TestKindsAreReadByName(t *testing.T) {
	t.Parallel()
	for _, k := range []Kind{Plain, Delayed, Transactional} {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	if _, err := ParseKind("late"); err == nil {
		t.Error("late is a kind")
	}
}

func TestBadKindsOfMessagesAreRefused(t *testing.T) {
	t.Parallel()
	bad := map[string]func(*SendOptions){
		"a batch":         func(o *SendOptions) { o.Batch = 2 },
		"topics":          func(o *SendOptions) { o.Topics = 2 },
		"no delay":        func(o *SendOptions) { o.Delay = Delay{} },
		"both":            func(o *SendOptions) { o.Delay.At = time.Now() },
		"below zero":      func(o *SendOptions) { o.Delay = Delay{After: -1} },
		"spread":          func(o *SendOptions) { o.Delay = Delay{After: 1, Spread: -1} },
		"hundred years":   func(o *SendOptions) { o.Delay = Delay{After: 100 * 365 * 24 * time.Hour} },
		"level and after": func(o *SendOptions) { o.Delay.After = 1 },
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		o := kindOptions("127.0.0.1:1", frame.JSON, Delayed)
		o.Delay.Level = 1
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		bad[name](&o)
		if o.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
