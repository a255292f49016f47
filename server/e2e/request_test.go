package e2e

import (
	"context"
	"fmt"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/remoting"
)

// startAnswerer starts a consumer that passes questions on.
func startAnswerer(t *testing.T, s *server, topic string) <-chan *primitive.MessageExt {
	t.Helper()
	questions := make(chan *primitive.MessageExt, 10)
	startConsumer(t, s, topic+"-group", topic, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range messages {
			if m.GetProperty(primitive.PropertyCorrelationID) != "" {
				questions <- m
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	return questions
}

type reply struct {
	message *primitive.Message
	err     error
}

// ask sends a request, the reply to which arrives on the channel.
func ask(t *testing.T, p rocketmq.Producer, question *primitive.Message) <-chan reply {
	t.Helper()
	replies := make(chan reply, 1)
	go func() {
		m, err := p.Request(t.Context(), 2*patience, question)
		replies <- reply{m, err}
	}()
	return replies
}

// awaitAsker waits until the server knows a producer group. The client asks
// before its first heartbeat; until then nobody knows it.
func awaitAsker(t *testing.T, s *server, group string) {
	t.Helper()
	p := dial(t, s.brokerAddress())
	eventually(t, "the asker has sent a heartbeat", func() error {
		if reply := p.ask(remoting.RequestGetProducerConnectionList, "producerGroup", group); reply.Code != remoting.ResponseSuccess {
			return fmt.Errorf("%s", reply.Remark)
		}
		return nil
	})
}

// answer replies to a question and checks that the reply arrives.
func answer(t *testing.T, p rocketmq.Producer, question *primitive.MessageExt, replies <-chan reply) {
	t.Helper()
	m, err := consumer.CreateReplyMessage(question, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Body = append([]byte("reply to "), question.Body...)
	sendAll(t, p, m)
	got := await(t, "reply", replies)
	if got.err != nil || string(got.message.Body) != "reply to "+string(question.Body) {
		t.Fatalf("reply %v, %v", got.message, got.err)
	}
}

func TestARequestGetsTheReplyOfAConsumerAlsoAfterAKill(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	requestOverACrash(t, alone(t))
}

func requestOverACrash(t *testing.T, s world) {
	const topic, group = "e2e-request", "e2e-asker"
	answerer := newProducer(t, s.server)
	sendAll(t, answerer, primitive.NewMessage(topic, []byte("first")))
	questions := startAnswerer(t, s.server, topic)
	name := instance()
	asker := newProducer(t, s.server, producer.WithInstanceName(name), producer.WithGroupName(group))

	replies := ask(t, asker, primitive.NewMessage(topic, []byte("question")))
	question := await(t, "question at the consumer", questions)
	awaitAsker(t, s.server, group)
	answer(t, answerer, question, replies)

	replies = ask(t, asker, primitive.NewMessage(topic, []byte("another question")))
	question = await(t, "another question at the consumer", questions)
	s.crash(t)
	nudge(t, s.server, name, topic)
	awaitAsker(t, s.server, group)
	answer(t, answerer, question, replies)
	p := dial(t, s.brokerAddress())
	eventually(t, "the replies are stored", func() error {
		if n := p.number(remoting.RequestGetMaxOffset, "topic", "DefaultCluster_REPLY_TOPIC", "queueId", "0"); n != 2 {
			return fmt.Errorf("%d replies", n)
		}
		return nil
	})
}
