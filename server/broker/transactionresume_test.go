package broker

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// giveUp sends a half message and gives it up.
func (h *harness) giveUp(unique string, more ...string) string {
	h.Helper()
	half := h.sendHalf(3, unique, more...)
	entry := h.entry(half)
	entry.Asked = 15
	if err := h.broker.AbandonHalfMessage(h.Context(), entry); err != nil {
		h.Fatal(err)
	}
	m := h.tracked(unique, "T")
	if m.State != track.GivenUp || m.Offset < 0 {
		h.Fatalf("message %+v", m)
	}
	return m.ID
}

func (h *harness) resume(id string) *remoting.Command {
	h.Helper()
	return h.call(remoting.RequestResumeCheckHalfMessage, fields{"topic": topicHalfExpired, "msgId": id}, nil)
}

func TestAMessageThatWasGivenUpWaitsForItsOutcomeAgainOnce(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_100_000)
	h := start(t, func(c *Config) { c.Clock = func() time.Time { return now } })
	id := h.giveUp("H1", "KEYS\x01order-1\x02")
	h.want(h.resume(id), remoting.ResponseSuccess)
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait", n)
	}
	m := h.tracked(id, "")
	if m.State != track.Half || m.Due != now.UnixMilli() || m.Asked != 0 || m.Topic != "T" {
		t.Errorf("it is due at once, and its checks begin anew: %+v", m)
	}
	half := h.pullAll(topicHalf, 0)[1]
	if p := properties(half); p["TRANSACTION_CHECK_TIMES"] != "" || p["REAL_TOPIC"] != "T" || p["UNIQ_KEY"] != "H1" || string(half.Body) != "body of H1" {
		t.Errorf("half message %+v with %v", half, p)
	}
	h.want(h.resume(id), remoting.ResponseSystemError)
	h.want(h.resume(m.ID), remoting.ResponseSystemError) // it waits
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait after further requests", n)
	}
	end := fields{"producerGroup": "PG", "tranStateTableOffset": "1", "commitLogOffset": fmt.Sprint(half.Position), "commitOrRollback": endCommit,
		"fromTransactionCheck": "true", "msgId": "H1", "transactionId": "H1"}
	h.want(h.call(remoting.RequestEndTransaction, end, nil), remoting.ResponseSuccess)
	got := h.pullAll("T", 3)
	if len(got) != 1 || string(got[0].Body) != "body of H1" || got[0].PreparedOffset != half.Position {
		t.Errorf("delivered %+v", got)
	}
	h.want(h.resume(id), remoting.ResponseSystemError)
	for _, name := range []string{id, m.ID, "H1"} {
		if m := h.tracked(name, ""); m.State != track.Stored || m.Queue != 3 {
			t.Errorf("%s is %+v", name, m)
		}
	}
}

func TestOfManyRequestsToResumeACheckOneDoes(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	id := h.giveUp("H1")
	var all sync.WaitGroup
	for range 8 {
		c := h.dial(nil)
		all.Go(func() { h.callAs(c, remoting.RequestResumeCheckHalfMessage, fields{"msgId": id}, nil) })
	}
	all.Wait()
	if n := h.halves(); n != 1 {
		t.Errorf("%d half messages wait", n)
	}
}

func TestOnlyWhatWasGivenUpIsResumed(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	id := h.giveUp("H1")
	waits, ended, ordinary := h.sendHalf(0, "H2").Text("msgId"), h.sendHalf(0, "H3"), h.unique("U1").Text("msgId")
	h.want(h.end(ended, endRollback), remoting.ResponseSuccess)
	for name, c := range map[string]struct {
		id   string
		code int32
	}{
		"no id":              {"", remoting.ResponseInvalidParameter},
		"no position":        {"H1", remoting.ResponseInvalidParameter},
		"one that waits":     {waits, remoting.ResponseSystemError},
		"one that has ended": {ended.Text("msgId"), remoting.ResponseSystemError},
		"an ordinary one":    {ordinary, remoting.ResponseSystemError},
	} {
		if got := h.resume(c.id); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if n := h.halves(); n != 1 {
		t.Errorf("%d half messages wait, want the one that did", n)
	}
	h.log.with(func(l *fakeLog) { l.refusal = errStopped })
	h.want(h.resume(id), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = nil })
	h.want(h.resume(id), remoting.ResponseSuccess)
}
