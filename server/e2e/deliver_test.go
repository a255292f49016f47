package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestMessagesSentInEveryWayArriveOnce(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic, count = "e2e-every-way", 40
	synchronous, asynchronous := numbered("sync", count), numbered("async", count)
	oneway, batch := numbered("oneway", count), numbered("batch", count)

	sendAll(t, p, messagesOf(topic, synchronous)...)
	answers := make(chan error, count)
	for _, m := range messagesOf(topic, asynchronous) {
		err := p.SendAsync(t.Context(), func(_ context.Context, result *primitive.SendResult, err error) {
			if err == nil && result.Status != primitive.SendOK {
				err = fmt.Errorf("%v", result)
			}
			answers <- err
		}, m)
		if err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		if err := await(t, "answer to an asynchronous send", answers); err != nil {
			t.Errorf("asynchronous send: %v", err)
		}
	}
	for _, m := range messagesOf(topic, oneway) {
		if err := p.SendOneWay(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	result, err := p.SendSync(t.Context(), messagesOf(topic, batch)...)
	if err != nil || result.Status != primitive.SendOK {
		t.Fatalf("send a batch: %v, %v", result, err)
	}
	if ids := strings.Split(result.OffsetMsgID, ","); len(ids) != count {
		t.Errorf("the answer to a batch of %d names %d message ids", count, len(ids))
	}

	in := newInbox(t, s, "e2e-every-way-group", topic, "*")
	in.expect(slices.Concat(synchronous, asynchronous, oneway, batch)...)

	// The consumer waits now; a new message must not wait for its next turn.
	sendAll(t, p, primitive.NewMessage(topic, []byte("late")))
	in.expect(slices.Concat(synchronous, asynchronous, oneway, batch, []string{"late"})...)
}

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic = "e2e-as-sent"
	large := strings.Repeat("a body that the client compresses; ", 1000)
	m := primitive.NewMessage(topic, []byte(large)).WithTag("red").WithKeys([]string{"order-7", "customer-9"})
	m.WithProperty("colour", "grün")
	result, err := p.SendSync(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	in := newInbox(t, s, "e2e-as-sent-group", topic, "*")
	in.expect(large)
	got := in.messages()[0]
	if got.GetTags() != "red" || strings.TrimSpace(got.GetKeys()) != "order-7 customer-9" || got.GetProperty("colour") != "grün" {
		t.Errorf("tags %q, keys %q, property %q", got.GetTags(), got.GetKeys(), got.GetProperty("colour"))
	}
	if got.MsgId != result.MsgID || got.OffsetMsgId != result.OffsetMsgID || got.QueueOffset != result.QueueOffset ||
		got.Queue.QueueId != result.MessageQueue.QueueId {
		t.Errorf("sent as %v, arrived as message %s, %s, offset %d of queue %d",
			result, got.MsgId, got.OffsetMsgId, got.QueueOffset, got.Queue.QueueId)
	}
}

func TestTagsFilter(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic, count = "e2e-tags", 30
	for _, tag := range []string{"red", "green", "blue", ""} {
		messages := messagesOf(topic, numbered("tag"+tag, count))
		for _, m := range messages {
			if tag != "" {
				m.WithTag(tag)
			}
		}
		sendAll(t, p, messages...)
	}
	some := newInbox(t, s, "e2e-tags-some", topic, "red || blue")
	all := newInbox(t, s, "e2e-tags-all", topic, "*")
	some.expect(slices.Concat(numbered("tagred", count), numbered("tagblue", count))...)
	all.expect(slices.Concat(numbered("tagred", count), numbered("taggreen", count), numbered("tagblue", count), numbered("tag", count))...)

	// What is sent later is filtered for consumers that already wait.
	for _, tag := range []string{"green", "red"} {
		sendAll(t, p, primitive.NewMessage(topic, []byte("late "+tag)).WithTag(tag))
	}
	some.expect(slices.Concat(numbered("tagred", count), numbered("tagblue", count), []string{"late red"})...)
}

func TestTheFirstSendCreatesATopicForGood(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	const topic = "e2e-created"
	if reply := dial(t, s.nameserverAddress()).ask(remoting.RequestGetRouteInfoByTopic, "topic", topic); reply.Code != remoting.ResponseTopicNotExist {
		t.Fatalf("before the first send: code %d, %s", reply.Code, reply.Remark)
	}
	sendAll(t, newProducer(t, s), primitive.NewMessage(topic, []byte("first")))
	newInbox(t, s, "e2e-created-group", topic, "*").expect("first")
	s.kill()
	s.restart()
	awaitRoute(t, s, topic)
	newInbox(t, s, "e2e-created-other-group", topic, "*").expect("first")
}

func TestWithoutAutoCreationOnlyKnownTopicsAreServed(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	const known = "e2e-known"
	sendAll(t, newProducer(t, s), primitive.NewMessage(known, []byte("first")))
	if _, err := s.terminate(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	s.settings = append(s.settings, "autoCreateTopicEnable=false")
	s.restart()
	awaitRoute(t, s, known)
	p := newProducer(t, s)
	if result, err := p.SendSync(t.Context(), primitive.NewMessage("e2e-unknown", []byte("x"))); err == nil {
		t.Errorf("a send to an unknown topic gave %v", result)
	}
	sendAll(t, p, primitive.NewMessage(known, []byte("second")))
	newInbox(t, s, "e2e-known-group", known, "*").expect("first", "second")
}
