package e2e

import (
	"fmt"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/remoting"
)

// weighed are messages of which some have tags and colors, and the bodies of
// those that selected chooses.
func weighed(topic, prefix string) (messages []*primitive.Message, chosen []string) {
	for i := range 60 {
		body := fmt.Sprint(prefix, " ", i)
		m := primitive.NewMessage(topic, []byte(body)).WithTag("even")
		m.WithProperty("weight", fmt.Sprint(i))
		if i%2 == 1 {
			m.WithTag("odd")
			m.WithProperty("color", "it's red")
		}
		if i%2 == 1 && i > 40 {
			chosen = append(chosen, body)
		}
		messages = append(messages, m)
	}
	return messages, chosen
}

var selected = consumer.MessageSelector{Type: consumer.SQL92, Expression: "weight > 40 AND TAGS = 'odd' AND color CONTAINS 'it''s'"}

func TestSQLExpressionsFilterBeforeAndAfterAKill(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic = "e2e-sql"
	early, want := weighed(topic, "early")
	sendAll(t, p, early...)
	in := newInboxOf(t, s, "e2e-sql-group", topic, selected)
	in.expect(want...)
	s.kill()
	s.restart()
	in.close() // which stores its offsets
	late, want := weighed(topic, "late")
	sendAll(t, p, late...)
	newInboxOf(t, s, "e2e-sql-group", topic, selected).expect(want...)
}

// The official client doesn't ask whether its expression is right; it goes on
// to pull with it.
func TestAConsumerWithAWrongExpressionGetsNothingAndDisturbsNobody(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	const topic = "e2e-sql-wrong"
	messages, want := weighed(topic, "message")
	sendAll(t, newProducer(t, s), messages...)
	wrong := newInboxOf(t, s, "e2e-sql-wrong-group", topic, consumer.MessageSelector{Type: consumer.SQL92, Expression: "weight >"})
	newInboxOf(t, s, "e2e-sql-right-group", topic, selected).expect(want...)
	reply := dial(t, s.brokerAddress()).ask(remoting.RequestPullMessage, "consumerGroup", "e2e-sql-wrong-group", "topic", topic, "queueId", "0",
		"queueOffset", "0", "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0",
		"subscription", "weight >", "subVersion", "1", "expressionType", "SQL92")
	if reply.Code != remoting.ResponseSubscriptionParseFailed {
		t.Errorf("a pull with the wrong expression: code %d, %s", reply.Code, reply.Remark)
	}
	if got := wrong.arrived(); len(got) != 0 {
		t.Errorf("the wrong expression chose %q", got)
	}
}
