package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

const (
	// templateTopic is the topic whose route stands for those of topics that
	// are going to be created.
	templateTopic = "TBW102"
	// newTopicQueues is what clients ask for then.
	newTopicQueues = 4
)

// sender sends one message after the other.
type sender struct {
	*options
	cluster *client.Cluster
	queues  []client.Queue
	next    int
	keys    *record.UniqueKeys
	out     io.Writer
	sent    int
}

func newSender(ctx context.Context, cluster *client.Cluster, o *options, out io.Writer) (*sender, error) {
	queues, err := cluster.WriteQueues(ctx, o.topic)
	if errors.Is(err, client.ErrNoTopic) {
		queues, err = newTopic(ctx, cluster, o.topic)
	}
	if err != nil {
		return nil, err
	}
	if o.queue >= 0 {
		if queues = only(queues, o.queue); len(queues) == 0 {
			return nil, fmt.Errorf("--queue %d: topic %q has no such queue", o.queue, o.topic)
		}
	}
	return &sender{options: o, cluster: cluster, queues: queues, out: out, next: rand.IntN(len(queues)),
		keys: record.NewUniqueKeys(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(os.Getpid()), rand.Uint32(), time.Local)}, nil
}

// newTopic are the queues that a topic will have which the broker creates.
func newTopic(ctx context.Context, cluster *client.Cluster, topic string) ([]client.Queue, error) {
	template, err := cluster.WriteQueues(ctx, templateTopic)
	if err != nil {
		return nil, fmt.Errorf("topic %q does not exist, and the brokers create none by themselves (%w): "+
			"create it with `apogee admin topics create %s`", topic, err, topic)
	}
	var queues []client.Queue
	for _, q := range template {
		if q.Queue < newTopicQueues {
			q.Topic = topic
			queues = append(queues, q)
		}
	}
	return queues, nil
}

func only(queues []client.Queue, id int) []client.Queue {
	var kept []client.Queue
	for _, q := range queues {
		if q.Queue == id {
			kept = append(kept, q)
		}
	}
	return kept
}

// body sends one message as often as is asked for.
func (s *sender) body(ctx context.Context, body []byte) error {
	for range s.count {
		if ctx.Err() != nil {
			return nil // interrupted: what was sent is told
		}
		q := s.queues[s.next%len(s.queues)]
		s.next++
		if err := s.send(ctx, q, body); err != nil {
			return fmt.Errorf("send message %d to queue %d of %s: %w", s.sent+1, q.Queue, q.Broker, err)
		}
		s.sent++
	}
	return nil
}

func (s *sender) send(ctx context.Context, q client.Queue, body []byte) error {
	now := time.Now().UnixMilli()
	key := string(s.keys.Append(nil, now))
	properties, err := s.encodedProperties(key)
	if err != nil {
		return err
	}
	r := client.NewRequest(remoting.RequestSendMessageV2,
		"a", s.group, "b", q.Topic, "c", templateTopic, "d", strconv.Itoa(newTopicQueues), "e", strconv.Itoa(q.Queue),
		"f", "0", "g", strconv.FormatInt(now, 10), "h", "0", "i", properties, "j", "0", "k", "false", "m", "false")
	r.Body = body
	answer, err := s.cluster.Ask(ctx, q.Address, r)
	if err != nil {
		return err
	}
	status, stored := statusName(answer.Code)
	if !stored {
		return &client.Refusal{Address: q.Address, Code: answer.Code, Remark: string(answer.Remark)}
	}
	if s.quiet && answer.Code == remoting.ResponseSuccess {
		return nil
	}
	_, err = fmt.Fprintf(s.out, "%s %s queue %s offset %s key %s id %s\n", status, q.Broker, answer.Text("queueId"),
		answer.Text("queueOffset"), key, answer.Text("msgId"))
	return err
}

// statusName is RocketMQ's SendStatus for a response code, and whether the
// message is stored.
func statusName(code int32) (name string, stored bool) {
	switch code {
	case remoting.ResponseSuccess:
		return "SEND_OK", true
	case remoting.ResponseFlushDiskTimeout, remoting.ResponseSlaveNotAvailable, remoting.ResponseFlushSlaveTimeout:
		return client.CodeName(code), true
	}
	return "", false
}
