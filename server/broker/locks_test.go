package broker

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// lockClock is a clock that a test moves.
type lockClock struct{ millis atomic.Int64 }

func (c *lockClock) set(config *Config) {
	config.Clock = func() time.Time { return time.UnixMilli(1700000000000 + c.millis.Load()) }
}

func (c *lockClock) at(d time.Duration) { c.millis.Store(d.Milliseconds()) }

// ownerOf is who has a queue of T, as the log has it.
func (h *harness) ownerOf(queue uint32) string {
	return h.log.locks.Owner("CG", event.Queue{Topic: h.topicID("T"), ID: queue})
}

func (h *harness) expectLocked(code int32, client string, want []int32, queues ...int32) {
	h.Helper()
	if diff := cmp.Diff(want, h.lock(code, client, queues...)); diff != "" {
		h.Errorf("locked for %s (-want +got):\n%s", client, diff)
	}
}

func TestGrantsAndTheirEndsAreEventsAndRenewalsAreNot(t *testing.T) {
	t.Parallel()
	var clock lockClock
	h := start(t, clock.set)
	step := func(events int, act func()) {
		t.Helper()
		before := h.log.proposed()
		act()
		if got := h.log.proposed() - before; got != events {
			t.Errorf("%d events, want %d", got, events)
		}
	}
	step(1, func() { h.expectLocked(remoting.RequestLockBatchMQ, "c1", []int32{0, 1}, 0, 1) })
	for i := range 10 {
		clock.at(time.Duration(i) * 20 * time.Second)
		step(0, func() { h.expectLocked(remoting.RequestLockBatchMQ, "c1", []int32{1, 0}, 1, 0, 1, 99) })
	}
	step(0, func() { h.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{}, 0, 1) })
	step(0, func() { h.lock(remoting.RequestUnlockBatchMQ, "c2", 0) })
	step(1, func() { h.lock(remoting.RequestUnlockBatchMQ, "c1", 0) })
	step(1, func() { h.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{0}, 0, 1) })
	if h.ownerOf(0) != "c2" || h.ownerOf(1) != "c1" {
		t.Errorf("the log has owners %q and %q", h.ownerOf(0), h.ownerOf(1))
	}
	clock.at(time.Hour)
	step(2, func() { h.broker.locks.sweep() })
	step(0, func() { h.broker.locks.sweep() })
	if h.ownerOf(0) != "" || h.ownerOf(1) != "" {
		t.Errorf("after the leases the log has owners %q and %q", h.ownerOf(0), h.ownerOf(1))
	}
}

func TestAfterARestartAQueueStaysItsOwnersForAFreshLease(t *testing.T) {
	t.Parallel()
	var clock lockClock
	h := start(t, clock.set)
	h.expectLocked(remoting.RequestLockBatchMQ, "c1", []int32{0, 1}, 0, 1)
	clock.at(59 * time.Second) // the lease is almost over when the broker comes back
	c := testConfig()
	clock.set(&c)
	again, err := New(c, h.log.dependencies())
	if err != nil {
		t.Fatal(err)
	}
	again.Lead()
	second := serve(t, again)
	second.log = h.log
	for _, at := range []time.Duration{59 * time.Second, 61 * time.Second, 118 * time.Second} {
		clock.at(at)
		second.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{2}, 0, 1, 2)
	}
	second.expectLocked(remoting.RequestLockBatchMQ, "c1", []int32{0}, 0)
	clock.at(119 * time.Second)
	second.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{1}, 0, 1)
}

func TestALockThatCanNotBeStoredIsNotGiven(t *testing.T) {
	t.Parallel()
	var clock lockClock
	h := start(t, clock.set)
	refuse := func(err error) { h.log.with(func(l *fakeLog) { l.refusal = err }) }
	body := []byte(`{"clientId":"c1","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T"}]}`)
	refuse(engine.ErrNotLeader)
	h.want(h.call(remoting.RequestLockBatchMQ, nil, body), remoting.ResponseServiceNotAvailable)
	refuse(nil)
	h.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{0}, 0)
	refuse(engine.ErrDiskFull)
	h.want(h.call(remoting.RequestUnlockBatchMQ, nil, []byte(`{"clientId":"c2","consumerGroup":"CG","mqSet":[{"queueId":0,"topic":"T"}]}`)),
		remoting.ResponseServiceNotAvailable)
	refuse(nil)
	h.broker.locks.sweep()
	if owner := h.ownerOf(0); owner != "" {
		t.Errorf("the queue that was given back belongs to %q", owner)
	}
}

func TestNobodyElseGetsAQueueWhoseGrantIsInDoubt(t *testing.T) {
	t.Parallel()
	var clock lockClock
	h := start(t, clock.set)
	h.log.with(func(l *fakeLog) { l.outcome = engine.OutcomeUnknown })
	body := []byte(`{"clientId":"c1","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T"}]}`)
	h.want(h.call(remoting.RequestLockBatchMQ, nil, body), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.outcome = engine.OutcomeCommitted })
	h.expectLocked(remoting.RequestLockBatchMQ, "c2", []int32{}, 0)
	h.expectLocked(remoting.RequestLockBatchMQ, "c1", []int32{0}, 0)
	if owner := h.ownerOf(0); owner != "c1" {
		t.Errorf("the log has owner %q", owner)
	}
}
