package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/remoting"
)

// everything is the selector of consumers that want all messages.
var everything = consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}

func TestAnOrderlyConsumerGetsTheMessagesOfAKeyInOrder(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	const topic, count = "e2e-orderly", 40
	keys := []string{"alice", "bob", "carol"}
	var want []string
	send := func(from, to int) {
		for i := from; i < to; i++ {
			for _, key := range keys {
				body := fmt.Sprintf("%s-%03d", key, i)
				want = append(want, body)
				sendAll(t, p, primitive.NewMessage(topic, []byte(body)).WithShardingKey(key))
			}
		}
	}
	send(0, count/2)
	in := newInboxOf(t, s, "e2e-orderly-group", topic, everything, consumer.WithConsumerOrder(true))
	in.expect(want...)
	send(count/2, count)
	in.expect(want...)
	for _, key := range keys {
		ofKey := slices.DeleteFunc(in.arrived(), func(body string) bool { return !strings.HasPrefix(body, key) })
		if !slices.IsSorted(ofKey) {
			t.Errorf("the messages of %s arrived as %v", key, ofKey)
		}
	}
}

func TestEachBroadcastingConsumerGetsAllMessagesOnceOverAKill(t *testing.T) {
	t.Parallel()
	if ranWithLocalOffsets(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic, group, count = "e2e-broadcast", "e2e-broadcast-group", 40
	early, late := numbered("early", count), numbered("late", count)
	sendAll(t, p, messagesOf(topic, early)...)
	names := []string{instance(), instance()}
	start := func() (inboxes []*inbox) {
		for _, name := range names {
			inboxes = append(inboxes, newInboxOf(t, s, group, topic, everything,
				consumer.WithInstance(name), consumer.WithConsumerModel(consumer.BroadCasting)))
		}
		return inboxes
	}
	inboxes := start()
	for _, in := range inboxes {
		in.expect(early...)
	}
	sendAll(t, p, messagesOf(topic, late)...)
	for _, in := range inboxes {
		in.expect(slices.Concat(early, late)...)
	}
	s.kill()
	s.restart()
	for _, in := range inboxes {
		in.close() // which stores its offsets where it runs
	}
	after := numbered("after", count)
	sendAll(t, p, messagesOf(topic, after)...)
	for _, in := range start() {
		in.expect(after...)
	}
}

func TestAPullConsumerPollsAndPulls(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic, group, count = "e2e-pull", "e2e-pull-group", 40
	bodies := numbered("pull", count)
	sendAll(t, p, messagesOf(topic, bodies)...)
	awaitRoute(t, s, topic)
	c, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{s.nameserverAddress()}), consumer.WithGroupName(group),
		consumer.WithInstance(instance()), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(topic, everything); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown() })
	var polled []string
	eventually(t, "messages are polled", func() error {
		request, err := c.Poll(t.Context(), time.Second)
		if err != nil {
			return fmt.Errorf("%d of %d messages: %w", len(polled), count, err)
		}
		for _, m := range request.GetMsgList() {
			polled = append(polled, string(m.Body))
		}
		c.ACK(t.Context(), request, consumer.ConsumeSuccess)
		if len(polled) < count {
			return fmt.Errorf("%d of %d messages", len(polled), count)
		}
		return nil
	})
	if slices.Sort(polled); !slices.Equal(polled, bodies) {
		t.Errorf("polled %v", polled)
	}
	pulled := 0
	for queue := range 4 {
		result, err := c.PullFrom(t.Context(), &primitive.MessageQueue{Topic: topic, BrokerName: "broker-a", QueueId: queue}, 0, count)
		if err != nil {
			t.Fatal(err)
		}
		if result.Status == primitive.PullFound {
			pulled += len(result.GetMessageExts())
		}
	}
	if pulled != count {
		t.Errorf("pulled %d messages from the beginning, want %d", pulled, count)
	}
}

func TestTwoConsumersShareTheQueuesAndTakeOver(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic, group = "e2e-rebalance", "e2e-rebalance-group"
	sendAll(t, p, primitive.NewMessage(topic, []byte("first")))
	one := newInboxOf(t, s, group, topic, everything)
	one.expect("first")
	two := newInboxOf(t, s, group, topic, everything)
	broker := dial(t, s.brokerAddress())
	round := 0
	// Each round has a message for every queue.
	next := func() []string {
		round++
		bodies := numbered(fmt.Sprint("round-", round), 8)
		sendAll(t, p, messagesOf(topic, bodies)...)
		return bodies
	}
	got := func(in *inbox, bodies []string) (n int) {
		arrived := in.arrived()
		for _, body := range bodies {
			if slices.Contains(arrived, body) {
				n++
			}
		}
		return n
	}
	eventually(t, "both consumers get messages", func() error {
		if reply := broker.ask(remoting.RequestGetConsumerListByGroup, "consumerGroup", group); strings.Count(string(reply.Body), "e2e-") != 2 {
			return fmt.Errorf("members %s", reply.Body)
		}
		bodies := next()
		awaitAll(t, func() int { return got(one, bodies) + got(two, bodies) }, len(bodies))
		if a, b := got(one, bodies), got(two, bodies); a == 0 || b == 0 {
			return fmt.Errorf("%d and %d messages", a, b)
		}
		return nil
	})
	bodies := next()
	awaitAll(t, func() int { return got(one, bodies) + got(two, bodies) }, len(bodies))
	if a, b := got(one, bodies), got(two, bodies); a+b != len(bodies) || a != b {
		t.Errorf("%d and %d of %d messages: the queues are not shared out", a, b, len(bodies))
	}
	two.close()
	eventually(t, "the other consumer takes over", func() error {
		bodies := next()
		awaitAll(t, func() int { return got(one, bodies) }, len(bodies))
		return nil
	})
}

// awaitAll waits until a count has reached what is wanted.
func awaitAll(t *testing.T, count func() int, want int) {
	t.Helper()
	eventually(t, "all messages of a round arrive", func() error {
		if n := count(); n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
}

func TestTopicsAreCreatedAndDeletedByAdministrators(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t, "autoCreateTopicEnable=false")
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{s.nameserverAddress()})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	const topic, queues = "e2e-administered", 3
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = a.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(s.brokerAddress()),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
	if err != nil {
		t.Fatal(err)
	}
	awaitRoute(t, s, topic)
	list, err := a.FetchPublishMessageQueues(ctx, topic)
	if err != nil || len(list) != queues {
		t.Fatalf("queues %v, %v; want %d", list, err, queues)
	}
	bodies := numbered("administered", 2*queues)
	sendAll(t, newProducer(t, s), messagesOf(topic, bodies)...)
	newInbox(t, s, "e2e-administered-group", topic, "*").expect(bodies...)
	if err := a.DeleteTopic(ctx, admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(s.brokerAddress())); err != nil {
		t.Fatal(err)
	}
	nameserver := dial(t, s.nameserverAddress())
	eventually(t, "the topic leaves the route", func() error {
		if reply := nameserver.ask(remoting.RequestGetRouteInfoByTopic, "topic", topic); reply.Code != remoting.ResponseTopicNotExist {
			return fmt.Errorf("code %d", reply.Code)
		}
		return nil
	})
}
