package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/remoting"
)

// handler is what an application does with messages.
type handler = func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)

// startConsumer starts an official push consumer that begins at the first
// message of a topic, which must be in the route.
func startConsumer(t *testing.T, s *server, group, topic string, handle handler, options ...consumer.Option) rocketmq.PushConsumer {
	t.Helper()
	awaitRoute(t, s, topic)
	c, err := rocketmq.NewPushConsumer(append([]consumer.Option{
		consumer.WithNameServer([]string{s.nameserverAddress()}), consumer.WithGroupName(group),
		consumer.WithInstance(instance()), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}, handle); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown() })
	return c
}

func TestAMessageThatNobodyCanHandleEndsAmongTheDeadLetters(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	deadLettersOverACrash(t, alone(t))
}

func deadLettersOverACrash(t *testing.T, s world) {
	const topic, group, count = "e2e-poison", "e2e-poison-group", 20
	sendAll(t, newProducer(t, s.server), messagesOf(topic, numbered("poison", count))...)
	startConsumer(t, s.server, group, topic, func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		return consumer.ConsumeRetryLater, nil
	}, consumer.WithMaxReconsumeTimes(0))
	awaitRoute(t, s.server, "%DLQ%"+group)
	p := dial(t, s.brokerAddress())
	eventually(t, "all messages are sent back", func() error {
		if n := p.number(remoting.RequestGetMaxOffset, "topic", "%DLQ%"+group, "queueId", "0"); n != count {
			return fmt.Errorf("%d dead letters", n)
		}
		return nil
	})
	s.crash(t)
	dead := newInbox(t, s.server, "e2e-poison-doctor", "%DLQ%"+group, "*")
	eventually(t, "all messages are dead letters", func() error {
		bodies := map[string]bool{}
		for _, m := range dead.messages() {
			bodies[string(m.Body)] = true
			if m.GetProperty(primitive.PropertyRetryTopic) != topic || m.ReconsumeTimes < 1 {
				return fmt.Errorf("a dead letter of topic %q after %d tries", m.GetProperty(primitive.PropertyRetryTopic), m.ReconsumeTimes)
			}
		}
		if len(bodies) != count {
			return fmt.Errorf("%d of %d", len(bodies), count)
		}
		return nil
	})
}

func TestAMessageThatFailsIsTriedAgainAlsoAfterACrash(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	retriesOverACrash(t, alone(t, "messageDelayLevel=1s 1s 1s 1s 1s 1s"))
}

func retriesOverACrash(t *testing.T, s world) {
	const topic, group, count, failures = "e2e-retry", "e2e-retry-group", 10, 2
	sendAll(t, newProducer(t, s.server), messagesOf(topic, numbered("retry", count))...)
	var mu sync.Mutex
	tries := map[string][]int32{} // by body: the reconsume times of each try
	done := map[string]bool{}
	handle := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range messages {
			body := string(m.Body)
			tries[body] = append(tries[body], m.ReconsumeTimes)
			if m.Topic != topic {
				t.Errorf("%s came with topic %s", body, m.Topic)
			}
			if m.ReconsumeTimes < failures {
				return consumer.ConsumeRetryLater, nil
			}
			done[body] = true
		}
		return consumer.ConsumeSuccess, nil
	}
	before := startConsumer(t, s.server, group, topic, handle)
	await := func(what string, enough func() bool) {
		t.Helper()
		eventually(t, what, func() error {
			mu.Lock()
			defer mu.Unlock()
			if !enough() {
				return fmt.Errorf("tries: %v", tries)
			}
			return nil
		})
	}
	// The client forgets a message whose way back a crash has cut off, so all
	// have to wait at the broker: the first try comes after level 3.
	p := dial(t, s.brokerAddress())
	await("each message fails once and is sent back", func() bool {
		return p.number(remoting.RequestGetMaxOffset, "topic", "SCHEDULE_TOPIC_XXXX", "queueId", "2") == count
	})
	s.crash(t)
	// A pull that was under way hangs in this client for 30 s, so another one
	// takes over.
	if err := before.Shutdown(); err != nil {
		t.Fatal(err)
	}
	startConsumer(t, s.server, group, topic, handle)
	await("each message is handled in the end", func() bool { return len(done) == count })
}

// sequence is what a consumer saw of each queue, in order.
type sequence struct {
	mu    sync.Mutex
	seen  map[int][]string // by queue
	fails map[string]bool  // messages that failed once
}

// take lets some messages fail once, so that their queue waits.
func (q *sequence) take(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		id, body := m.Queue.QueueId, string(m.Body)
		if len(q.seen[id])%7 == 3 && !q.fails[body] {
			q.fails[body] = true
			return consumer.SuspendCurrentQueueAMoment, nil
		}
		q.seen[id] = append(q.seen[id], body)
	}
	return consumer.ConsumeSuccess, nil
}

// check reports whether each queue's messages were all handled in the order in
// which they were sent. After a crash some may come again, from one on.
func (q *sequence) check(sent map[int][]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, want := range sent {
		next := 0
		for _, body := range q.seen[id] {
			at := slices.Index(want, body)
			if at > next {
				return fmt.Errorf("queue %d: %s came before %s", id, body, want[next])
			}
			next = max(next, at+1)
		}
		if next < len(want) {
			return fmt.Errorf("queue %d: %d of %d messages", id, next, len(want))
		}
	}
	return nil
}

func TestOrderIsKeptOverACrashOfTheBroker(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	orderOverACrash(t, alone(t))
}

func orderOverACrash(t *testing.T, s world) {
	const topic, group, queues, each = "e2e-order", "e2e-order-group", 4, 40
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{s.nameserverAddress()}), producer.WithRetry(0),
		producer.WithInstanceName(instance()), producer.WithGroupName("e2e-producer"), producer.WithQueueSelector(producer.NewManualQueueSelector()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Shutdown() }()
	dial(t, s.brokerAddress()).must(remoting.RequestUpdateAndCreateTopic, "topic", topic, "defaultTopic", "TBW102",
		"readQueueNums", fmt.Sprint(queues), "writeQueueNums", fmt.Sprint(queues), "perm", "6", "topicFilterType", "SINGLE_TAG",
		"topicSysFlag", "0", "order", "false")
	awaitRoute(t, s.server, topic)
	sent := map[int][]string{}
	send := func(part string) {
		t.Helper()
		for i := range each {
			for id := range queues {
				m := primitive.NewMessage(topic, fmt.Appendf(nil, "%s-%d-%03d", part, id, i))
				m.Queue = &primitive.MessageQueue{Topic: topic, BrokerName: "broker-a", QueueId: id}
				sendAll(t, p, m)
				sent[id] = append(sent[id], string(m.Body))
			}
		}
	}
	send("before")
	seen := &sequence{seen: map[int][]string{}, fails: map[string]bool{}}
	inOrder := []consumer.Option{consumer.WithConsumerOrder(true), consumer.WithSuspendCurrentQueueTimeMillis(10 * time.Millisecond),
		consumer.WithRebalanceLockInterval(time.Second)}
	owner := startConsumer(t, s.server, group, topic, seen.take, inOrder...)
	eventually(t, "what was sent before is handled in order", func() error { return seen.check(sent) })
	s.crash(t)
	if got := lockAs(t, s.server, "an intruder", group, topic, queues); got != 0 {
		t.Errorf("another consumer got %d queues from under their owner", got)
	}
	awaitRoute(t, s.server, topic)
	send("after")
	// Left alone the owner goes on, after up to 20 s. One that ends gives its
	// queues back, also those that it has from before the crash.
	if err := owner.Shutdown(); err != nil {
		t.Fatal(err)
	}
	startConsumer(t, s.server, group, topic, seen.take, inOrder...)
	eventually(t, "what was sent after the crash is handled in order", func() error { return seen.check(sent) })
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.fails) == 0 {
		t.Error("no queue had to wait")
	}
}

// lockAs asks for all queues of a topic and returns how many the client got.
func lockAs(t *testing.T, s *server, client, group, topic string, queues int) int {
	t.Helper()
	type queue struct {
		BrokerName string `json:"brokerName"`
		QueueID    int    `json:"queueId"`
		Topic      string `json:"topic"`
	}
	var request struct {
		Client string  `json:"clientId"`
		Group  string  `json:"consumerGroup"`
		Queues []queue `json:"mqSet"`
	}
	request.Client, request.Group = client, group
	for id := range queues {
		request.Queues = append(request.Queues, queue{"broker-a", id, topic})
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := dial(t, s.brokerAddress()).client.Call(ctx, &remoting.Request{Code: remoting.RequestLockBatchMQ, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Locked []queue `json:"lockOKMQSet"`
	}
	if err := json.Unmarshal(reply.Body, &got); err != nil {
		t.Fatalf("code %d, body %q: %v", reply.Code, reply.Body, err)
	}
	return len(got.Locked)
}
