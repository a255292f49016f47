package broker

import (
	"fmt"
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

func resetFields(millis int64) fields {
	return fields{"group": "CG", "topic": "T", "timestamp": textOf(millis), "isForce": "true"}
}

func (h *harness) queryOffset(queueID int) string {
	h.Helper()
	return h.want(h.call(remoting.RequestQueryConsumerOffset, offsetFields(queueID), nil), remoting.ResponseSuccess).Text("offset")
}

func TestResetOffsetsAreAnsweredByQueueAndApplied(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var second int64
	for range 3 {
		h.send(1, "a", "x")
		h.log.with(func(l *fakeLog) {
			if second == 0 {
				second = l.timestamp + 1
			}
		})
	}
	answer := func(one string) string {
		return `{"offsetTable":{` + mq(0) + `:0,` + mq(1) + `:` + one + `,` + mq(2) + `:0,` + mq(3) + `:0}}`
	}
	for _, c := range []struct {
		header fields
		one    string
	}{{resetFields(second), "1"}, {resetFields(-1), "3"}, {resetFields(0), "0"}} {
		h.wantBody(remoting.RequestInvokeBrokerToResetOffset, c.header, answer(c.one))
		if got := h.queryOffset(1); got != c.one {
			t.Errorf("offset %s after the reset, want %s", got, c.one)
		}
	}
	one := resetFields(0).with("queueId", "1")
	h.wantBody(remoting.RequestInvokeBrokerToResetOffset, one.with("offset", "2"), `{"offsetTable":{`+mq(1)+`:2}}`)
	h.wantBody(remoting.RequestInvokeBrokerToResetOffset, one.with("offset", "-1"), `{"offsetTable":{`+mq(1)+`:0}}`)
}

func TestIllegalResetsAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(1, "a", "x")
	before := h.log.proposed()
	f := resetFields(0)
	for name, c := range map[string]struct {
		header fields
		code   int32
	}{
		"topic":        {f.with("topic", "None"), remoting.ResponseTopicNotExist},
		"group":        {f.with("group", "None"), remoting.ResponseGroupNotExist},
		"no time":      {f.with("timestamp", "soon"), remoting.ResponseInvalidParameter},
		"queue":        {f.with("queueId", "4"), remoting.ResponseInvalidParameter},
		"past the end": {f.with("queueId", "1").with("offset", "3"), remoting.ResponseSystemError},
	} {
		if got := h.call(remoting.RequestInvokeBrokerToResetOffset, c.header, nil); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if h.log.proposed() != before {
		t.Error("something was proposed")
	}
}

func TestConsumerPicksUpAResetWithItsNextPull(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for i := range 3 {
		h.send(1, "a", fmt.Sprint(i))
	}
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, resetFields(0).with("queueId", "1").with("offset", "1"), nil), remoting.ResponseSuccess)
	ignored := h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(1).with("commitOffset", "3"), nil), remoting.ResponseSuccess)
	if string(ignored.Remark) != "Offset has been previously reset" || h.queryOffset(1) != "1" {
		t.Errorf("remark %q, offset %s", ignored.Remark, h.queryOffset(1))
	}
	// The pull carries an old offset to commit, which must not undo the reset.
	pull := pullFields(1, 3).with("sysFlag", "5").with("commitOffset", "3")
	moved := h.want(h.pull(pull), remoting.ResponsePullOffsetMoved)
	if moved.Text("nextBeginOffset") != "1" || string(moved.Remark) != "OFFSET_RESET" || h.queryOffset(1) != "1" {
		t.Errorf("begin at %s, remark %q, offset %s", moved.Text("nextBeginOffset"), moved.Remark, h.queryOffset(1))
	}
	h.want(h.pull(pullFields(1, 1)), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(1).with("commitOffset", "2"), nil), remoting.ResponseSuccess)
	if got := h.queryOffset(1); got != "2" {
		t.Errorf("offset %s after the reset was picked up, want 2", got)
	}
}

func TestCommitThatCrossesAResetIsDropped(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	k := commitKey{"CG", event.Queue{Topic: h.topicID("T")}}
	done := make(chan error, 1)
	h.broker.commits.reset([]event.OffsetCommit{{Group: k.group, Queue: k.queue, Offset: 4}}, func(err error) { done <- err })
	if err := h.broker.commits.gather(k, 9, "c1"); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	if offset, _ := h.broker.commits.get(k); offset != 4 {
		t.Errorf("offset %d, want 4", offset)
	}
}

func TestResetThatIsNotStoredIsNoReset(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "a", "x")
	h.log.with(func(l *fakeLog) { l.refusal = engine.ErrNotLeader })
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, resetFields(0), nil), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = nil })
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	if h.broker.commits.resetCount.Load() != 0 {
		t.Error("a reset waits to be picked up")
	}
}

func TestDeletedTopicTakesItsResetsWithIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, resetFields(0), nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": "T"}, nil), remoting.ResponseSuccess)
	if n := h.broker.commits.resetCount.Load(); n != 0 {
		t.Errorf("%d resets wait for a topic that is gone", n)
	}
}

func TestAHeldPullPicksUpAResetAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(1, "a", "x")
	held := h.begin(h.client, remoting.RequestPullMessage, pullFields(1, 1).with("sysFlag", "6").with("suspendTimeoutMillis", "60000"), nil)
	h.held(1)
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, resetFields(0), nil), remoting.ResponseSuccess)
	moved := h.want(receive(t, held), remoting.ResponsePullOffsetMoved)
	if moved.Text("nextBeginOffset") != "0" {
		t.Errorf("the pull goes on at %s, want 0", moved.Text("nextBeginOffset"))
	}
}
