package node

import (
	"context"
	"errors"

	"github.com/apogeemq/apogee/engine"
)

// followTopics reports changed topics to the nameservers, and new ones to the
// other brokers of the process. known are those that are no news.
func (s *shard) followTopics(ctx context.Context, known map[string]struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.broker.TopicsChanged():
			s.registrar.TopicsChanged()
			known = s.spreadTopics(known)
		}
	}
}

// topicNames are the topics that the broker has.
func (s *shard) topicNames() map[string]struct{} {
	table, _ := s.broker.TopicTable()
	names := make(map[string]struct{}, len(table))
	for _, t := range table {
		names[t.Name] = struct{}{}
	}
	return names
}

// spreadTopics has the other groups of a cluster create the topics that this one
// has got: a client whose topic is on one of them alone has nowhere to go when
// that one can't take its messages. Each node sees the topics of all groups, and
// creates those that are missing in the groups that it leads. It acts on what
// appears, so that a topic that is deleted from one group after the other
// doesn't come back. It returns what is known now.
func (s *shard) spreadTopics(known map[string]struct{}) map[string]struct{} {
	if s.group == nil || !s.config.severalShards() {
		return known
	}
	table, _ := s.broker.TopicTable()
	now := make(map[string]struct{}, len(table))
	for _, t := range table {
		now[t.Name] = struct{}{}
		if _, old := known[t.Name]; old {
			continue
		}
		for _, other := range s.node.servingShards() {
			if other == s || !other.replica.Role().Leads {
				continue
			}
			other.broker.CreateTopic(t, other.missed(t.Name))
		}
	}
	return now
}

// takeOverTopics gives a group that is new the topics of the others.
func (s *shard) takeOverTopics() {
	if s.group == nil || !s.config.severalShards() || s.broker.HasTopics() {
		return
	}
	for _, other := range s.node.servingShards() {
		table, _ := other.broker.TopicTable()
		for _, t := range table {
			if other != s {
				s.broker.CreateTopic(t, s.missed(t.Name))
			}
		}
	}
}

// missed tells of a topic that could not be created.
func (s *shard) missed(topic string) func(error) {
	return func(err error) {
		if err != nil && !errors.Is(err, engine.ErrNotLeader) {
			s.log.Warn("a topic of another group was not created here", "topic", topic, "cause", err)
		}
	}
}

// servingShards are those that take requests.
func (n *Node) servingShards() []*shard {
	var all []*shard
	for _, s := range n.hostedShards() {
		if s.serving() {
			all = append(all, s)
		}
	}
	return all
}
