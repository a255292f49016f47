package e2e

import (
	"fmt"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func TestSQLExpressionsFilter(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	p := newProducer(t, s)
	const topic = "e2e-sql"
	var want []string
	for i := range 60 {
		body := fmt.Sprint("message ", i)
		m := primitive.NewMessage(topic, []byte(body)).WithTag("even")
		m.WithProperty("weight", fmt.Sprint(i))
		if i%2 == 1 {
			m.WithTag("odd")
			m.WithProperty("color", "it's red")
		}
		if i%2 == 1 && i > 40 {
			want = append(want, body)
		}
		sendAll(t, p, m)
	}
	in := newInboxOf(t, s, "e2e-sql-group", topic, consumer.MessageSelector{
		Type: consumer.SQL92, Expression: "weight > 40 AND TAGS = 'odd' AND color CONTAINS 'it''s'",
	})
	in.expect(want...)
}
