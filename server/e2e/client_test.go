package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/remoting"
)

// instances numbers the official clients. They share what they know with those
// of the same instance name in the process; so each gets its own.
var instances atomic.Int64

func instance() string { return fmt.Sprint("e2e-", instances.Add(1)) }

// newProducer starts an official producer that does not send anything twice.
// New topics get their route from the topic that stands for them.
func newProducer(t *testing.T, s *server, options ...producer.Option) rocketmq.Producer {
	t.Helper()
	p, err := rocketmq.NewProducer(append([]producer.Option{
		producer.WithNameServer([]string{s.nameserverAddress()}), producer.WithRetry(0),
		producer.WithInstanceName(instance()), producer.WithGroupName("e2e-producer"),
		producer.WithSendMsgTimeout(patience), // the client's own 3 s are less than a busy disk may take
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

// inbox is an official push consumer and what it got.
type inbox struct {
	t        *testing.T
	consumer rocketmq.PushConsumer

	mu     sync.Mutex
	bodies []string
	all    []*primitive.MessageExt
}

// newInbox starts a consumer that begins at the first message. The topic must
// be in the route; the client gives up otherwise.
func newInbox(t *testing.T, s *server, group, topic, tags string) *inbox {
	t.Helper()
	return newInboxOf(t, s, group, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: tags})
}

// newInboxOf is newInbox with any selector and further options.
func newInboxOf(t *testing.T, s *server, group, topic string, selector consumer.MessageSelector, options ...consumer.Option) *inbox {
	t.Helper()
	awaitRoute(t, s, topic)
	c, err := rocketmq.NewPushConsumer(append([]consumer.Option{
		consumer.WithNameServer([]string{s.nameserverAddress()}), consumer.WithGroupName(group),
		consumer.WithInstance(instance()), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox{t: t, consumer: c}
	if err := c.Subscribe(topic, selector, in.take); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.close)
	return in
}

// nudge makes the official client with an instance name send its heartbeat
// now, which it does when it gets one more consumer. By itself it sends one
// every 30 s; until then a server that was started again doesn't know it.
func nudge(t *testing.T, s *server, instanceName, topic string) {
	t.Helper()
	newInboxOf(t, s, instanceName+"-nudge", topic, everything, consumer.WithInstance(instanceName))
}

func (in *inbox) take(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, m := range messages {
		in.bodies = append(in.bodies, string(m.Body))
		in.all = append(in.all, m)
	}
	return consumer.ConsumeSuccess, nil
}

// close ends the consumer, which stores its offsets before it goes.
func (in *inbox) close() { _ = in.consumer.Shutdown() }

// messages are those that arrived, sorted by their bodies.
func (in *inbox) messages() []*primitive.MessageExt {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.SortedFunc(slices.Values(in.all), func(a, b *primitive.MessageExt) int {
		return slices.Compare(a.Body, b.Body)
	})
}

// arrived are the bodies that arrived, in the order of their arrival.
func (in *inbox) arrived() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.bodies)
}

// expect waits until exactly these bodies have arrived, in any order.
func (in *inbox) expect(want ...string) {
	in.t.Helper()
	want = slices.Sorted(slices.Values(want))
	eventually(in.t, "messages arrive", func() error {
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.bodies) < len(want) {
			return fmt.Errorf("%d of %d messages", len(in.bodies), len(want))
		}
		if got := slices.Sorted(slices.Values(in.bodies)); !slices.Equal(got, want) {
			in.t.Fatalf("%d messages arrived: %.2000q\nwant %d: %.2000q", len(got), got, len(want), want)
		}
		return nil
	})
}

// awaitRoute waits until the nameserver knows a topic.
func awaitRoute(t *testing.T, s *server, topic string) {
	t.Helper()
	p := dial(t, s.nameserverAddress())
	eventually(t, "the nameserver knows topic "+topic, func() error {
		if reply := p.ask(remoting.RequestGetRouteInfoByTopic, "topic", topic); reply.Code != remoting.ResponseSuccess {
			return fmt.Errorf("code %d, %s", reply.Code, reply.Remark)
		}
		return nil
	})
}

// numbered makes the bodies prefix-000, prefix-001 …
func numbered(prefix string, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return list
}

func messagesOf(topic string, bodies []string) []*primitive.Message {
	list := make([]*primitive.Message, len(bodies))
	for i, body := range bodies {
		list[i] = primitive.NewMessage(topic, []byte(body))
	}
	return list
}

// sendAll sends one message after the other.
func sendAll(t *testing.T, p rocketmq.Producer, messages ...*primitive.Message) {
	t.Helper()
	for _, m := range messages {
		result, err := p.SendSync(t.Context(), m)
		if err != nil {
			t.Fatalf("send %q: %v", m.Body, err)
		}
		if result.Status != primitive.SendOK {
			t.Fatalf("send %q: %v", m.Body, result)
		}
	}
}
