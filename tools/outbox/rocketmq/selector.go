package rocketmq

import (
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// choice is what one call of the client knows and learns about brokers.
type choice struct {
	tried  []string // brokers that have not accepted the message
	broker string   // the one chosen now
	others bool     // the topic has brokers that were not tried
}

// selector chooses queues: the message's own, else by its sharding key as the
// client's NewHashQueueSelector does, else in turn.
type selector struct {
	choices *sync.Map
	turn    atomic.Uint32
}

// Select is called by the client for each call; nil stands for no queue.
func (s *selector) Select(m *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	c := &choice{}
	if known, found := s.choices.Load(m); found {
		c = known.(*choice)
	}
	chosen := s.choose(m, queues, c.tried)
	if chosen == nil {
		return nil
	}
	c.broker = chosen.BrokerName
	c.others = slices.ContainsFunc(queues, func(q *primitive.MessageQueue) bool {
		return q.BrokerName != chosen.BrokerName && !slices.Contains(c.tried, q.BrokerName)
	})
	return chosen
}

func (s *selector) choose(m *primitive.Message, queues []*primitive.MessageQueue, tried []string) *primitive.MessageQueue {
	if m.Queue != nil {
		i := slices.IndexFunc(queues, func(q *primitive.MessageQueue) bool {
			return q.BrokerName == m.Queue.BrokerName && q.QueueId == m.Queue.QueueId
		})
		if i < 0 {
			return nil
		}
		return queues[i]
	}
	if key := m.GetShardingKey(); key != "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		return queues[int(h.Sum32())%len(queues)]
	}
	first := int(s.turn.Add(1))
	for i := range queues {
		if q := queues[(first+i)%len(queues)]; !slices.Contains(tried, q.BrokerName) {
			return q
		}
	}
	return nil
}
