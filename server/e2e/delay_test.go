package e2e

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// delayed is a message with a property that delays it.
func delayed(topic, body, property, value string) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(body))
	m.WithProperty(property, value)
	return m
}

// notEarly checks that no message was stored before its time. wait says how
// long each had to wait after its producer made it.
func notEarly(t *testing.T, messages []*primitive.MessageExt, wait func(body string) time.Duration) {
	t.Helper()
	for _, m := range messages {
		if late := m.StoreTimestamp - m.BornTimestamp - wait(string(m.Body)).Milliseconds(); late < 0 {
			t.Errorf("%s was delivered %d ms early", m.Body, -late)
		}
	}
}

func TestDelayedMessagesOfTheOfficialClientArriveInTime(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	sendAll(t, p, primitive.NewMessage("delays", []byte("first")))
	in := newInbox(t, s, "delays-group", "delays", "*")
	level := primitive.NewMessage("delays", []byte("level 1")).WithDelayTimeLevel(1)
	at := time.Now().Add(1500 * time.Millisecond).UnixMilli()
	sendAll(t, p, level,
		delayed("delays", "1 s", "TIMER_DELAY_SEC", "1"), delayed("delays", "1700 ms", "TIMER_DELAY_MS", "1700"),
		delayed("delays", "a time", "TIMER_DELIVER_MS", strconv.FormatInt(at, 10)), delayed("delays", "the past", "TIMER_DELIVER_MS", "1"))
	in.expect("first", "level 1", "1 s", "1700 ms", "a time", "the past")
	waits := map[string]time.Duration{"level 1": time.Second, "1 s": time.Second, "1700 ms": 1700 * time.Millisecond}
	messages := in.messages()
	notEarly(t, messages, func(body string) time.Duration { return waits[body] })
	for _, m := range messages {
		if string(m.Body) == "a time" && m.StoreTimestamp < at {
			t.Errorf("the message with a time was delivered %d ms early", at-m.StoreTimestamp)
		}
		if _, waited := waits[string(m.Body)]; waited && m.GetProperty("REAL_TOPIC") != "delays" {
			t.Errorf("%s has the properties %v", m.Body, m.GetProperties())
		}
	}
}

func TestDelayedMessagesAreDeliveredOnceOverKills(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	delayedOverCrashes(t, alone(t, append(crashSettings("SYNC_FLUSH"), "messageDelayLevel=1s 2s")...))
}

func delayedOverCrashes(t *testing.T, s world) {
	plan := killPlan(t)
	p := newProducer(t, s.server)
	sendAll(t, p, primitive.NewMessage("kills", []byte("first")))
	const count, wait, level = 200, 2 * time.Second, 2
	bodies := numbered("delayed", count)
	due := time.Now().Add(wait)
	for i, body := range bodies {
		if i%2 == 0 {
			sendAll(t, p, delayed("kills", body, "TIMER_DELIVER_MS", strconv.FormatInt(due.UnixMilli(), 10)))
		} else {
			sendAll(t, p, primitive.NewMessage("kills", []byte(body)).WithDelayTimeLevel(level))
		}
	}
	s.crash(t)
	// What comes due is delivered while the server dies again.
	await(t, "the time", time.After(time.Until(due)+time.Duration(plan.IntN(30))*time.Millisecond))
	s.crash(t)
	in := newInbox(t, s.server, "kills-group", "kills", "*")
	in.expect(append(bodies, "first")...)
	last := fmt.Sprint("last of ", count)
	sendAll(t, p, delayed("kills", last, "TIMER_DELAY_MS", "500"))
	in.expect(append(bodies, "first", last)...)
	for _, m := range in.messages() {
		if m.GetProperty(primitive.PropertyDelayTimeLevel) != "" {
			notEarly(t, []*primitive.MessageExt{m}, func(string) time.Duration { return wait })
		}
		if m.GetProperty("TIMER_OUT_MS") > strconv.FormatInt(m.StoreTimestamp, 10) {
			t.Errorf("%s was delivered at %d, it was due at %s", m.Body, m.StoreTimestamp, m.GetProperty("TIMER_OUT_MS"))
		}
	}
}

func TestTheDelayOfATransactionBeginsWithItsCommitOverKills(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	delayedTransaction(t, alone(t, transactionSettings...))
}

func delayedTransaction(t *testing.T, s world) {
	const topic, wait = "e2e-delayed-transactions", 3 * time.Second
	createTopic(t, s.server, topic)
	stored, restarted := make(chan struct{}), make(chan struct{})
	var committed atomic.Int64
	a := &ledger{}
	a.execute = func(string) primitive.LocalTransactionState {
		close(stored)
		<-restarted
		return primitive.UnknowState
	}
	a.check = func(string) primitive.LocalTransactionState {
		committed.CompareAndSwap(0, time.Now().UnixMilli())
		return primitive.CommitMessageState
	}
	p := newTransactionProducer(t, s.server, a)
	sent := make(chan error, 1)
	go func() {
		_, err := p.SendMessageInTransaction(t.Context(), delayed(topic, "once", "TIMER_DELAY_MS", strconv.FormatInt(wait.Milliseconds(), 10)))
		sent <- err
	}()
	await(t, "local transaction", stored)
	s.crash(t)
	close(restarted)
	if err := await(t, "end of the send", sent); err != nil {
		t.Fatal(err)
	}
	awaitNoHalves(t, s.server) // it is committed when the broker asks
	s.crash(t)
	awaitRoute(t, s.server, topic)
	in := newInbox(t, s.server, "e2e-delayed-transactions-group", topic, "*")
	in.expect("once")
	m := in.messages()[0]
	if early := committed.Load() + wait.Milliseconds() - m.StoreTimestamp; early > 0 {
		t.Errorf("the message was delivered %d ms early", early)
	}
	if m.GetProperty(primitive.PropertyTransactionPrepared) != "true" || m.PreparedTransactionOffset == 0 || m.GetProperty("TIMER_DEQUEUE_MS") == "" {
		t.Errorf("properties %v, prepared at %d", m.GetProperties(), m.PreparedTransactionOffset)
	}
}
