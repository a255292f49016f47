package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/remoting"
)

// TopicsChanged gets an element after topics have changed, so that they are
// registered at the nameservers anew. Several changes may share one.
func (b *Broker) TopicsChanged() <-chan struct{} { return b.registry.changed }

// CreateSystemTopics creates those system topics and groups that are not in
// the log yet and returns when they are visible. Only a node that may propose calls it.
func (b *Broker) CreateSystemTopics(ctx context.Context) error {
	topics, groups := b.config.systemTopics(), systemGroups()
	results := make(chan error, len(topics)+len(groups))
	for _, settings := range topics {
		b.registry.createTopic(settings, func(err error) { results <- err })
	}
	for _, settings := range groups {
		b.registry.createGroup(settings, func(err error) { results <- err })
	}
	for range cap(results) {
		select {
		case err := <-results:
			if err != nil {
				return fmt.Errorf("create system topics: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("create system topics: %w", ctx.Err())
		}
	}
	return nil
}

// CreateTopic makes a topic of users exist, as another broker has it, and calls
// done on a goroutine on which it may take its time. A topic that is there stays
// as it is. Topics that each broker makes by itself, its own and those of
// consumer groups, are none of users. Only a node that may propose calls it.
func (b *Broker) CreateTopic(settings TopicSettings, done func(error)) {
	if !b.ofUsers(settings.Name) || b.live.get().permission&PermissionWrite == 0 {
		done(nil)
		return
	}
	b.registry.createTopic(settings, done)
}

// HasTopics reports whether users have any topic here.
func (b *Broker) HasTopics() bool {
	return slices.ContainsFunc(b.topics.All(), func(t topic.Topic) bool { return b.ofUsers(t.Config.Name) })
}

// ofUsers reports whether a topic is neither a broker's nor a consumer group's.
func (b *Broker) ofUsers(name string) bool {
	return !strings.HasPrefix(name, retryPrefix) && !strings.HasPrefix(name, deadPrefix) && b.config.checkAdministeredTopic(name) == nil
}

// createTopic makes a topic exist and then calls done, on a goroutine on which
// it may take its time. A topic that is there already stays as it is.
func (r *registry) createTopic(settings TopicSettings, done func(error)) {
	if err := checkTopicConfig(settings.Config()); err != nil {
		done(err)
		return
	}
	r.share(&change{subject: subject{event.KindTopic, settings.Name}, decide: func(ids *topicIDs) (*event.Draft, error) {
		if _, found := r.topics.Get(settings.Name); found {
			return nil, nil
		}
		id, err := ids.take()
		return topicDraft(id, settings.Config()), err
	}}, done)
}

// updateTopic creates a topic or replaces the settings of one, but for the
// attributes, which are edited. It calls done as createTopic does.
func (r *registry) updateTopic(settings TopicSettings, edits []attributeEdit, done func(error)) {
	r.make(&change{subject: subject{event.KindTopic, settings.Name}, decide: func(ids *topicIDs) (*event.Draft, error) {
		current, found := r.topics.Get(settings.Name)
		before := TopicSettings{}
		if found {
			before = settingsOf(current)
		}
		attributes, err := topicAttributes.edit(before.Attributes, found, edits)
		if err != nil {
			return nil, err
		}
		after := settings
		after.Attributes = attributes
		config := after.Config()
		if err := checkTopicConfig(config); err != nil {
			return nil, err
		}
		if !found {
			id, err := ids.take()
			return topicDraft(id, config), err
		}
		if sameTopicConfig(current.Config, config) {
			return nil, nil
		}
		return topicDraft(current.ID, config), nil
	}}, done)
}

// deleteTopic removes a topic with its queues and the offsets of its
// consumers. It calls done as createTopic does; a topic that isn't there is no
// error.
func (r *registry) deleteTopic(name string, done func(error)) {
	r.make(&change{subject: subject{event.KindTopic, name}, decide: func(*topicIDs) (*event.Draft, error) {
		current, found := r.topics.Get(name)
		if !found {
			return nil, nil
		}
		r.forget(func(_ string, topic event.TopicID) bool { return topic == current.ID })
		return &event.Draft{Kind: event.KindTopicDeleted, Topic: current.ID, Payload: event.Bytes(nil)}, nil
	}}, done)
}

func topicDraft(id event.TopicID, c event.TopicConfig) *event.Draft {
	return &event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(event.AppendTopicConfig(nil, c))}
}

func checkTopicConfig(c event.TopicConfig) error {
	if err := c.Validate(); err != nil {
		return refuse(remoting.ResponseInvalidParameter, "%v", err)
	}
	return nil
}

func sameTopicConfig(a, b event.TopicConfig) bool {
	return string(event.AppendTopicConfig(nil, a)) == string(event.AppendTopicConfig(nil, b))
}
