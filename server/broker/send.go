package broker

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// versionMaxReconsume is the client version from which on a request says how
// often a message may be retried (V3_4_9).
const versionMaxReconsume = 121

// creationsPerSend: a send may create a group, its retry topic and then its
// dead letter topic.
const creationsPerSend = 3

// creation makes something exist that a request needs and then calls done.
type creation func(done func(error))

// sender serves the send requests.
type sender struct {
	broker   *Broker
	config   *Config
	topics   Topics
	proposer Proposer
	keys     *record.UniqueKeys
	stored   record.Additions // properties written into each message
	replier  *replier
	inFlight atomic.Int64
	pool     sync.Pool // of *sendRequest
}

func newSender(b *Broker, p Proposer, keys *record.UniqueKeys) *sender {
	s := &sender{broker: b, config: &b.config, topics: b.topics, proposer: p, keys: keys}
	s.stored = record.Additions{
		Region: s.config.Region, Trace: strconv.FormatBool(s.config.Trace), Cluster: s.config.ClusterName,
	}
	s.replier = newReplier(s)
	s.pool.New = func() any { return newSendRequest(s) }
	return s
}

// handle is step 1 of a write's path through the server: check the request and
// hand its messages to the proposer.
func (s *sender) handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	s.attempt(rt, cmd, creationsPerSend)
}

// attempt serves a request that may still create so many topics.
func (s *sender) attempt(rt remoting.ReplyTo, cmd *remoting.Command, creations int) {
	var h sendHeader
	err := h.parse(cmd)
	if err == nil {
		err = s.check(&h)
	}
	if err != nil {
		s.broker.answerError(rt, err)
		return
	}
	t, create, err := s.target(&h, cmd.Version)
	switch {
	case err != nil:
		s.broker.answerError(rt, err)
	case create != nil && creations == 0:
		s.broker.answerError(rt, refuse(remoting.ResponseTopicNotExist, "topic[%s] or its group was deleted while it was created", h.topic))
	case create != nil:
		s.attemptLater(rt, cmd.Clone(), create, creations-1)
	default:
		if err := s.propose(rt, cmd, &h, t); err != nil {
			s.broker.answerError(rt, err)
		}
	}
}

// attemptLater creates what is missing and then serves the request again.
func (s *sender) attemptLater(rt remoting.ReplyTo, cmd *remoting.Command, create creation, creations int) {
	create(func(err error) {
		if err != nil {
			s.broker.answerError(rt, err)
			return
		}
		s.attempt(rt, cmd, creations)
	})
}

// check does what needs no topic, in RocketMQ's order.
func (s *sender) check(h *sendHeader) error {
	if s.broker.live.get().permission&PermissionWrite == 0 {
		if t, found := s.topics.GetBytes(h.topic); found && orderedOf(t.Config.Attributes) {
			return refuse(remoting.ResponseNoPermission, "the broker[%s] sending message is forbidden", s.config.Address.Addr())
		}
	}
	if err := checkTopicName(h.topic); err != nil {
		return err
	}
	if isForbidden(h.topic) {
		return refuse(remoting.ResponseNoPermission, "Sending message to topic[%s] is forbidden.", h.topic)
	}
	return nil
}

// target finds the topic and settles the queue in h. When something has to
// exist first, create makes it.
func (s *sender) target(h *sendHeader, version int32) (t topic.Topic, create creation, err error) {
	var g group.Group
	retry := isRetryTopic(h.topic)
	if retry {
		if g, create, err = s.retryGroup(h.topic[len(retryPrefix):]); create != nil || err != nil {
			return t, create, err
		}
	}
	t, found := s.topics.GetBytes(h.topic)
	if !found {
		model, err := s.modelFor(h)
		return t, s.creationOf(model), err
	}
	queues := max(t.Config.WriteQueues, t.Config.ReadQueues)
	if int64(h.queueID) >= int64(queues) {
		return t, nil, refuse(remoting.ResponseInvalidParameter,
			"request queueId[%d] is illegal, topic[%s] has %d write queues and %d read queues, producer group[%s]",
			h.queueID, h.topic, t.Config.WriteQueues, t.Config.ReadQueues, h.producerGroup)
	}
	if retry && s.exhausted(h, version, g) {
		return s.deadLetters(h, g.Config.Name)
	}
	if h.queueID < 0 {
		if t.Config.WriteQueues == 0 {
			return t, nil, refuse(remoting.ResponseInvalidParameter, "topic[%s] has no write queues", h.topic)
		}
		h.queueID = rand.Int32N(int32(t.Config.WriteQueues))
	}
	return t, nil, nil
}

// retryGroup finds the group of a retry topic.
func (s *sender) retryGroup(name []byte) (g group.Group, create creation, err error) {
	if g, found := s.broker.groups.GetBytes(name); found {
		return g, nil, nil
	}
	if !s.broker.mustCreateGroup(name) {
		return g, nil, errNoGroup(string(name))
	}
	settings := defaultGroup(string(name))
	return g, func(done func(error)) { s.broker.registry.createGroup(settings, done) }, nil
}

// creationOf creates a topic after a model, nil for none.
func (s *sender) creationOf(model *TopicSettings) creation {
	if model == nil {
		return nil
	}
	return func(done func(error)) { s.broker.registry.createTopic(*model, done) }
}

// exhausted reports whether a message sent for another try goes to the dead
// letters: it had its tries, or its group consumes in order, where a message
// must not overtake by way of the retry topic.
func (s *sender) exhausted(h *sendHeader, version int32, g group.Group) bool {
	triesMax := h.maxReconsumeTimes
	if version < versionMaxReconsume || triesMax < 0 {
		settings := groupSettingsOf(g)
		triesMax = settings.RetryMax
	}
	return h.reconsumeTimes > triesMax || s.broker.locks.held(g.Config.Name)
}

// deadLetters redirects to the dead letter topic of a group. The message is
// not to be delayed any more.
func (s *sender) deadLetters(h *sendHeader, group string) (topic.Topic, creation, error) {
	name := deadPrefix + group
	t, found := s.topics.Get(name)
	if !found {
		return t, s.creationOf(retryTopic(name)), nil
	}
	h.queueID, h.redirected = 0, true
	return t, nil, nil
}

// modelFor says how a topic that is not there is to be created, if it may be.
func (s *sender) modelFor(h *sendHeader) (*TopicSettings, error) {
	if model, found := s.topics.GetBytes(h.defaultTopic); found {
		like := settingsOf(model)
		queues := min(int64(h.defaultQueues), int64(like.WriteQueues))
		inherited := like.Permission&PermissionInherit != 0 && (s.broker.live.get().autoCreateTopic || like.Name != topicAutoCreate)
		if inherited && queues > 0 {
			return &TopicSettings{
				Name: string(h.topic), ReadQueues: uint32(queues), WriteQueues: uint32(queues),
				Permission: like.Permission &^ PermissionInherit, FilterType: like.FilterType,
			}, nil
		}
	}
	if isRetryTopic(h.topic) {
		return retryTopic(string(h.topic)), nil
	}
	return nil, refuse(remoting.ResponseTopicNotExist, "topic[%s] not exist, apply first please!", h.topic)
}

// retryTopic is the model of retry and dead letter topics.
func retryTopic(name string) *TopicSettings {
	return &TopicSettings{Name: name, ReadQueues: 1, WriteQueues: 1, Permission: PermissionRead | PermissionWrite}
}

// propose is step 2: put the messages together and hand them over. After nil
// the request belongs to its completion.
func (s *sender) propose(rt remoting.ReplyTo, cmd *remoting.Command, h *sendHeader, t topic.Topic) error {
	if s.inFlight.Add(1) > int64(s.config.Limits.SendsInFlight) {
		s.inFlight.Add(-1)
		return refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy, start flow control for a while: %d sends are in flight",
			s.config.Limits.SendsInFlight)
	}
	r := s.pool.Get().(*sendRequest)
	r.begin(rt, h, t)
	var err error
	if h.batch {
		err = r.addBatch(cmd.Body, h)
	} else {
		err = r.addMessage(cmd.Body, h)
	}
	if err == nil {
		r.proposal.Drafts = r.drafts
		err = s.proposer.Propose(&r.proposal)
	}
	if err != nil {
		s.finish(r)
	}
	return err
}

// finish takes back a request that nobody refers to any more.
func (s *sender) finish(r *sendRequest) {
	s.inFlight.Add(-1)
	if r.reset() {
		s.pool.Put(r)
	}
}
