package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// find returns the bodies of messages that have a key, of those stored from
// begin to end. unique says what kind of key it is.
func (p *peer) find(topic, key, unique string, begin, end int64) []string {
	p.t.Helper()
	reply := p.ask(remoting.RequestQueryMessage, "topic", topic, "key", key, "maxNum", "32", "_UNIQUE_KEY_QUERY", unique,
		"beginTimestamp", strconv.FormatInt(begin, 10), "endTimestamp", strconv.FormatInt(end, 10))
	var bodies []string
	if reply.Code == remoting.ResponseQueryNotFound {
		return bodies
	}
	for rest := reply.Body; len(rest) > 0; {
		r, after, err := record.Decode(rest)
		if err != nil {
			p.t.Fatalf("code %d, %s: %v", reply.Code, reply.Remark, err)
		}
		bodies, rest = append(bodies, string(r.Body)), after
	}
	return bodies
}

// view returns the body of the message with an id.
func (p *peer) view(topic, id string) string {
	p.t.Helper()
	position, err := record.ParseMessageID(id)
	if err != nil {
		p.t.Fatal(err)
	}
	reply := p.must(remoting.RequestViewMessageByID, "topic", topic, "offset", strconv.FormatInt(position, 10))
	r, _, err := record.Decode(reply.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(r.Body)
}

func TestMessagesAreFoundByKeyIdAndTimeAfterAKill(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	sender := newProducer(t, s)
	const topic, forever = "e2e-find", 1 << 60
	results := map[string]*primitive.SendResult{}
	var times []int64
	for _, body := range []string{"early", "middle", "late"} {
		// Each is stored some milliseconds after its time, and that is some after
		// the one before was stored.
		await(t, "next millisecond", time.After(3*time.Millisecond))
		times = append(times, time.Now().UnixMilli())
		await(t, "next millisecond", time.After(3*time.Millisecond))
		m := primitive.NewMessage(topic, []byte(body)).WithKeys([]string{"all", "only-" + body})
		result, err := sender.SendSync(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		results[body] = result
	}
	s.kill()
	s.restart()
	p := dial(t, s.brokerAddress())
	for _, c := range []struct {
		key, unique string
		begin, end  int64
		want        []string
	}{
		{"all", "false", 0, forever, []string{"early", "middle", "late"}},
		{"all", "false", times[1], forever, []string{"middle", "late"}},
		{"all", "false", times[1], times[2], []string{"middle"}},
		{"all", "false", 0, times[0], nil},
		{"only-late", "false", 0, forever, []string{"late"}},
		{"only-late", "false", 0, times[2], nil},
		{results["middle"].MsgID, "true", 0, forever, []string{"middle"}},
		{"nobody's", "false", 0, forever, nil},
	} {
		eventually(t, "messages with the key "+c.key, func() error {
			if got := p.find(topic, c.key, c.unique, c.begin, c.end); !slices.Equal(got, c.want) {
				return fmt.Errorf("from %d to %d: got %q, want %q", c.begin, c.end, got, c.want)
			}
			return nil
		})
	}
	for body, result := range results {
		if got := p.view(topic, result.OffsetMsgID); got != body {
			t.Errorf("the message with the id %s is %q, want %q", result.OffsetMsgID, got, body)
		}
	}
}
