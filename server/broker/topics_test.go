package broker

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/remoting"
)

// creations waits until so many requests wait for topics.
func (h *harness) creations(count int) {
	h.Helper()
	c := h.broker.registry
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		c.mu.Lock()
		n := c.requests
		c.mu.Unlock()
		if n == count {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%d requests wait for topics, want %d", n, count)
		}
	}
}

func TestConcurrentCreationsOfATopicAreOne(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	responses := []<-chan *remoting.Command{h.begin(h.client, remoting.RequestSendMessageV2, sendFields(0).with("b", "First"), []byte("x"))}
	h.log.waitKept(1) // the registry is busy with it
	const waiting = 20
	for i := range waiting {
		topic := fmt.Sprint("Next", i%2)
		responses = append(responses, h.begin(h.client, remoting.RequestSendMessageV2, sendFields(0).with("b", topic), []byte("x")))
	}
	h.creations(waiting + 1)
	before := h.log.topics.NextID()
	h.log.release()
	for _, r := range responses {
		h.want(receive(t, r), remoting.ResponseSuccess)
	}
	if n := h.log.topics.NextID() - before; n != 3 {
		t.Errorf("%d topics were numbered, want 3", n)
	}
}

func TestRequestsOverTheLimitDoNotWaitForATopic(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.WaitingCreations = 20 })
	h.creations(0)
	h.log.with(func(l *fakeLog) { l.keep = true })
	var responses []<-chan *remoting.Command
	for range 20 {
		responses = append(responses, h.begin(h.client, remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")))
	}
	h.log.waitKept(1)
	h.creations(20)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")), remoting.ResponseSystemBusy)
	h.log.release()
	for _, r := range responses {
		h.want(receive(t, r), remoting.ResponseSuccess)
	}
}

func TestCreationInDoubtIsAnsweredAsUnknown(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.CreationPatience = time.Millisecond * 500 })
	h.log.with(func(l *fakeLog) { l.keep = true })
	late := h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "Late"), []byte("x")), remoting.ResponseServiceNotAvailable)
	if string(late.Remark) != "outcome unknown, retry" {
		t.Errorf("remark %q", late.Remark)
	}
	h.log.with(func(l *fakeLog) { l.keep, l.outcome = false, engine.OutcomeUnknown })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "Lost"), []byte("x")), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.outcome = engine.OutcomeCommitted })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "Other"), []byte("x")), remoting.ResponseSuccess)
	other := h.topicID("Other")
	h.log.release() // the late one comes after all
	if late := h.topicID("Late"); late == other || h.topicID("Other") != other {
		t.Errorf("topics got the numbers %d and %d, then %d", late, other, h.topicID("Other"))
	}
}

func TestSystemTopicsAreCreatedOnce(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	before := h.log.proposed()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.broker.CreateSystemTopics(ctx); err != nil {
		t.Fatal(err)
	}
	if n := h.log.proposed() - before; n != 0 {
		t.Errorf("%d proposals for topics that are there", n)
	}
	table, version := h.broker.TopicTable()
	if version != h.log.topics.Version() {
		t.Errorf("version %d of the table, want %d", version, h.log.topics.Version())
	}
	for _, topic := range table {
		if topic.Name == "TBW102" && (topic.Permission != 7 || topic.ReadQueues != 8 || topic.WriteQueues != 8) {
			t.Errorf("the model of new topics is %+v", topic)
		}
	}
}

func TestMetricsCountMessagesAndBytesBothWays(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestSendBatchMessage, sendFields(0).with("m", "true"), batchBody("one", "two")), remoting.ResponseSuccess)
	got := h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	h.call(9999, nil, nil)
	var out bytes.Buffer
	h.broker.WriteMetrics(&out)
	for pattern, want := range map[string]int{
		`rocketmq_messages_in_total\{.*topic="T",message_type="normal",is_system="false"\} (\d+)`:                   2,
		`rocketmq_messages_out_total\{.*topic="T",consumer_group="CG",is_retry="false",is_system="false"\} (\d+)`:   2,
		`rocketmq_throughput_in_total\{.*topic="T",message_type="normal",is_system="false"\} (\d+)`:                 len(got.Body),
		`rocketmq_throughput_out_total\{.*topic="T",consumer_group="CG",is_retry="false",is_system="false"\} (\d+)`: len(got.Body),
		`apogee_broker_sends_total\{code="0"\} (\d+)`:                                                               1,
		`apogee_broker_pulls_total\{code="0"\} (\d+)`:                                                               1,
		`apogee_broker_refusals_total\{code="3"\} (\d+)`:                                                            1,
		`apogee_broker_sends_in_flight (\d+)`:                                                                       0,
	} {
		found := regexp.MustCompile(pattern).FindSubmatch(out.Bytes())
		if found == nil || string(found[1]) != fmt.Sprint(want) {
			t.Errorf("%s is %s, want %d", pattern, found, want)
		}
	}
}
