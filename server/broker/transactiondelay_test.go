package broker

import (
	"bytes"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

const fixedMillis = 1700000000000

// fixedClock stops the broker's clock.
func fixedClock(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(fixedMillis) } }

func TestTheDelayOfATransactionalMessageBeginsWithItsCommit(t *testing.T) {
	t.Parallel()
	for property, plan := range map[string]delay.Plan{
		"DELAY\x012\x02":                         {Topic: delay.LevelTopic, Queue: 1},
		"DELAY\x012\x02TIMER_DELAY_SEC\x019\x02": {Topic: delay.LevelTopic, Queue: 1},
		"TIMER_DELAY_SEC\x015\x02":               {Topic: delay.TimerTopic},
		"TIMER_DELIVER_MS\x011700000005000\x02":  {Topic: delay.TimerTopic},
	} {
		h := start(t, fixedClock)
		answer := h.sendHalf(1, "H1", property)
		if entry := h.entry(answer); entry.Kind != event.KindHalf || len(h.pullAll(plan.Topic, int(plan.Queue))) != 0 {
			t.Fatalf("%q: before the commit %v waits", property, entry.Kind)
		}
		if handle, found := answer.Get("recallHandle"); found {
			t.Errorf("%q: a half message has the recall handle %s", property, handle)
		}
		position := h.log.end()
		h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
		for range 2 {
			h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
			h.want(h.end(answer, endRollback), remoting.ResponseSystemError)
		}
		entry, found, _ := h.broker.waiting.Get(position)
		if !found || entry.Kind != event.KindDelayed || entry.Due != fixedMillis+5000 || h.halves() != 0 || h.broker.waiting.Counts().Delayed != 1 {
			t.Fatalf("%q: after the commits %+v waits", property, entry)
		}
		got := h.pullAll(plan.Topic, int(plan.Queue))
		if len(got) != 1 || got[0].SystemFlag != record.FlagCommitted || got[0].PreparedOffset != int64(h.handleOf(answer)) {
			t.Errorf("%q: %s has %+v", property, plan.Topic, got)
		}
		if n := len(h.pullAll("T", 1)); n != 0 {
			t.Errorf("%q: %d messages are seen before they are due", property, n)
		}
		h.checkDelivery(entry.Handle, got[0])
	}
}

// checkDelivery checks what the message of a delayed record will be.
func (h *harness) checkDelivery(handle event.Position, waits record.Record) {
	h.Helper()
	var m delay.Message
	var payload []byte
	if err := h.broker.queues.ReadAt(handle, func(m engine.Message) error {
		payload = bytes.Clone(m.Event.Payload())
		return nil
	}); err != nil {
		h.Fatal(err)
	}
	if found, err := m.Load(delay.Waited{Handle: handle, Record: payload, Stored: fixedMillis}, h.broker.topics, fixedMillis); !found || err != nil {
		h.Fatal(found, err)
	}
	encoded := make([]byte, m.Draft.Payload.PayloadBytes())
	m.Draft.Payload.PutPayload(encoded)
	r, _, err := record.Decode(encoded)
	if err != nil {
		h.Fatal(err)
	}
	p := properties(r)
	if string(r.Topic) != "T" || r.QueueID != 1 || string(r.Body) != string(waits.Body) || r.SystemFlag != record.FlagCommitted ||
		r.PreparedOffset != waits.PreparedOffset || m.Draft.Cause != handle || len(m.Draft.Keys) != 1 {
		h.Errorf("delivered is %+v, caused by %d, with %d keys", r, m.Draft.Cause, len(m.Draft.Keys))
	}
	for name, want := range map[string]string{"TRAN_MSG": "true", "REAL_TOPIC": "T", "REAL_QID": "1", "__transactionId__": "H1", "UNIQ_KEY": "H1"} {
		if p[name] != want {
			h.Errorf("property %s is %q, want %q", name, p[name], want)
		}
	}
}

func TestACommitAfterTheTimeOfAMessageDeliversItAtOnce(t *testing.T) {
	t.Parallel()
	var millis atomic.Int64
	millis.Store(fixedMillis)
	h := start(t, func(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(millis.Load()) } })
	answer := h.sendHalf(1, "H1", "TIMER_DELIVER_MS\x011700000005000\x02")
	millis.Add(5000)
	h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
	if n := len(h.pullAll("T", 1)); n != 1 || h.broker.waiting.Counts().Delayed != 0 {
		t.Errorf("%d messages are seen, %+v wait", n, h.broker.waiting.Counts())
	}
}

func TestADelayThatIsNotAllowedIsRefusedBeforeTheTransactionBegins(t *testing.T) {
	t.Parallel()
	h := start(t, fixedClock)
	refused := func(what string, properties ...string) {
		t.Helper()
		got := h.call(remoting.RequestSendMessageV2, halfFields(0, "H1", properties...), []byte("b"))
		if got.Code != remoting.ResponseMessageIllegal {
			t.Errorf("%s: code %d, remark %s", what, got.Code, got.Remark)
		}
	}
	for _, property := range []string{"DELAY\x01soon\x02", "TIMER_DELAY_SEC\x01999999999\x02", "TIMER_DELIVER_MS\x01now\x02"} {
		refused(property, property)
	}
	const wait = "TIMER_DELAY_SEC\x015\x02"
	room := 0 // of the longest message that is allowed without a delay
	for n := record.PropertiesBytesMax; room == 0; n-- {
		if h.call(remoting.RequestSendMessageV2, halfFields(0, "H1", filler(n)), []byte("b")).Code == remoting.ResponseSuccess {
			room = n
		}
	}
	refused("no room for what a delivery adds", filler(room-len(wait)), wait)
	if n := h.halves(); n != 1 {
		t.Errorf("%d half messages wait, want the long one", n)
	}
}

// filler is a property of n bytes.
func filler(n int) string { return "F\x01" + strings.Repeat("x", n-3) + "\x02" }

func TestADelayedTransactionIsWhatTheLogSaysAfterRestartsAndARebuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var answer *remoting.Command
	runOnEngine(t, dir, func(h *harness) {
		h.createTopic(TopicSettings{Name: "T", ReadQueues: 4, WriteQueues: 4, Permission: PermissionRead | PermissionWrite})
		answer = h.sendHalf(1, "H1", "TIMER_DELAY_SEC\x013600\x02")
	})
	var waits pending.Entry
	runOnEngine(t, dir, func(h *harness) {
		before := time.Now().UnixMilli()
		h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
		h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
		h.noHalves()
		waits = h.onlyDelayed()
		if early := before + time.Hour.Milliseconds() - waits.Due; early > 0 {
			t.Errorf("it is due %d ms early", early)
		}
	})
	for _, rebuild := range []bool{false, true} {
		if rebuild {
			if err := os.RemoveAll(waitingDir(dir)); err != nil {
				t.Fatal(err)
			}
		}
		runOnEngine(t, dir, func(h *harness) {
			if got := h.onlyDelayed(); got != waits || h.halves() != 0 {
				t.Errorf("rebuilt %v: %+v waits and %d half messages, want %+v", rebuild, got, h.halves(), waits)
			}
			h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
			if n := len(h.pullAll("T", 1)); n != 0 {
				t.Errorf("rebuilt %v: %d messages are seen before they are due", rebuild, n)
			}
		})
	}
}

// noHalves waits until the end of a transaction is applied.
func (h *harness) noHalves() {
	h.Helper()
	for deadline := time.Now().Add(patience); h.halves() != 0; {
		if time.Now().After(deadline) {
			h.Fatal("a half message still waits")
		}
	}
}

// onlyDelayed is the one delayed message that waits.
func (h *harness) onlyDelayed() (only pending.Entry) {
	h.Helper()
	count := 0
	if err := h.broker.waiting.Before(math.MaxInt64, func(e pending.Entry) bool {
		only = e
		count++
		return true
	}); err != nil || count != 1 || only.Kind != event.KindDelayed {
		h.Fatalf("%d messages wait, the last is %+v, %v", count, only, err)
	}
	return only
}
