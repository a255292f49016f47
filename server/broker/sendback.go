package broker

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// firstRetryLevel is the delay level of the first retry, 10 s; each later one
// waits a level longer.
const firstRetryLevel = 3

// sentBack is a CONSUMER_SEND_MSG_BACK: a consumer could not handle a message
// and wants it again later.
type sentBack struct {
	position event.Position
	group    string
	topic    string // as the consumer knows it, "" where the client gives none
	level    int64  // of the delay; 0 lets the broker choose, less sends to the dead letters
	id       string // unique key or message id, "" where the client gives none
	triesMax int64  // less than 0 for the group's
}

func readSentBack(cmd *remoting.Command) (s sentBack, err error) {
	position, ok := cmd.Int("offset")
	level, leveled := cmd.Int("delayLevel")
	if !ok || !leveled || position < 0 {
		return s, refuse(remoting.ResponseInvalidParameter,
			"offset [%s] and delayLevel [%s] must be the message's position in the log and a number", cmd.Text("offset"), cmd.Text("delayLevel"))
	}
	s = sentBack{position: event.Position(position), group: cmd.Text("group"), topic: cmd.Text("originTopic"),
		level: level, id: cmd.Text("originMsgId"), triesMax: -1}
	if tries, given := cmd.Int("maxReconsumeTimes"); given && cmd.Version >= versionMaxReconsume {
		s.triesMax = tries
	}
	return s, nil
}

// sendBack answers CONSUMER_SEND_MSG_BACK when the message is stored for its
// next try, or among the dead letters.
func (b *Broker) sendBack(rt remoting.ReplyTo, cmd *remoting.Command) {
	s, err := readSentBack(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	if b.mustCreateGroup([]byte(s.group)) {
		b.handleAfterGroup(rt, cmd, s.group)
		return
	}
	g, found := b.groups.Get(s.group)
	switch {
	case !found:
		b.answerError(rt, errNoGroup(s.group))
		return
	case b.live.get().permission&PermissionWrite == 0:
		b.answerError(rt, refuse(remoting.ResponseNoPermission, "the broker[%s] sending message is forbidden", b.config.Address.Addr()))
		return
	}
	settings := groupSettingsOf(g)
	if settings.RetryQueues <= 0 {
		answer(rt)
		return
	}
	if s.triesMax < 0 {
		s.triesMax = int64(settings.RetryMax)
	}
	b.read(rt, func() { b.returnMessage(rt, &s, settings) })
}

// returnMessage reads the message and has it stored again. It may wait for the
// disk.
func (b *Broker) returnMessage(rt remoting.ReplyTo, s *sentBack, settings GroupSettings) {
	r, err := b.handledMessage(s)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	again := &returned{broker: b, replyTo: rt, record: r, topic: cmp.Or(s.topic, string(r.Topic)), group: s.group}
	model := retryTopic(deadPrefix + s.group)
	if s.level >= 0 && int64(r.ReconsumeTimes) < s.triesMax {
		model = retryTopic(retryPrefix + s.group)
		model.ReadQueues, model.WriteQueues = uint32(settings.RetryQueues), uint32(settings.RetryQueues)
		again.level = s.level
		if s.level == 0 {
			again.level = firstRetryLevel + int64(r.ReconsumeTimes)
		}
	}
	b.withTopic(model, func(t topic.Topic, err error) {
		if err == nil {
			err = again.propose(t, s.position)
		}
		if err != nil {
			b.answerError(rt, err)
		}
	})
}

// handledMessage is a copy of the message that a consumer has sent back.
func (b *Broker) handledMessage(s *sentBack) (r record.Record, err error) {
	missing := refuse(remoting.ResponseSystemError, "look message by offset failed, %d", s.position)
	err = b.queues.ReadAt(s.position, func(m engine.Message) error {
		if m.Event.Kind() != event.KindMessage {
			return missing
		}
		r, _, err = record.Decode(bytes.Clone(m.Event.Payload()))
		return err
	})
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return r, missing
	case err != nil:
		return r, err
	case !s.mayBeOf(r.Topic):
		return r, refuse(remoting.ResponseSystemError, "look message by offset failed, %d: it is no message of topic[%.*s]",
			s.position, event.NameBytesMax, s.topic)
	case s.id != "" && s.id != string(record.Properties(r.Properties).Known().UniqueKey) &&
		s.id != string(record.AppendMessageID(nil, r.StoreHost, int64(s.position))):
		return r, refuse(remoting.ResponseSystemError, "look message by offset failed, %d: it is another message than [%.*s]",
			s.position, event.NameBytesMax, s.id)
	}
	return r, nil
}

// mayBeOf reports whether a consumer may have got the message from a topic:
// the one that it names, for which access control asks, or its group's retry
// topic. A consumer names the original topic of what it got from there.
func (s *sentBack) mayBeOf(topic []byte) bool {
	return s.topic == "" || s.topic == string(topic) || retryPrefix+s.group == string(topic)
}

// withTopic calls then with a topic that may be sent to, which is created
// after its model where it isn't there.
func (b *Broker) withTopic(model *TopicSettings, then func(topic.Topic, error)) {
	if t, found := b.topics.Get(model.Name); found {
		then(t, checkWritable(t))
		return
	}
	b.registry.createTopic(*model, func(err error) {
		t, found := b.topics.Get(model.Name)
		switch {
		case err != nil:
		case !found:
			err = refuse(remoting.ResponseSystemError, "topic[%s] not exist", model.Name)
		default:
			err = checkWritable(t)
		}
		then(t, err)
	})
}

func checkWritable(t topic.Topic) error {
	if permissionOf(t.Config.Attributes)&PermissionWrite == 0 || t.Config.WriteQueues == 0 {
		return refuse(remoting.ResponseNoPermission, "the topic[%s] sending message is forbidden", t.Config.Name)
	}
	return nil
}

// returned is a message on its way back: to a retry topic, or to the dead
// letters.
type returned struct {
	broker   *Broker
	replyTo  remoting.ReplyTo
	record   record.Record // as the consumer had it
	topic    string        // that the consumer had it from
	group    string
	level    int64 // of the delay, 0 for the dead letters
	message  record.Message
	proposal engine.Proposal
}

// propose stores the message in a queue of a topic. After nil the request
// belongs to its completion.
func (r *returned) propose(t topic.Topic, position event.Position) error {
	b, from := r.broker, &r.record
	origin := record.AppendMessageID(nil, from.StoreHost, int64(position))
	properties := record.AppendReturned(nil, from.Properties, record.Return{
		Topic: from.Topic, MessageID: origin, DelayLevel: strconv.FormatInt(r.level, 10),
	})
	if err := checkPropertiesOfReturn(len(properties)); err != nil {
		return err
	}
	r.message = record.Message{
		QueueID: uint32(rand.Int32N(int32(min(t.Config.WriteQueues, 1<<30)))), Flag: from.Flag, SystemFlag: from.SystemFlag,
		BornTimestamp: from.BornTimestamp, BornHost: from.BornHost, StoreHost: b.config.Address,
		ReconsumeTimes: from.ReconsumeTimes + 1, Topic: t.Config.Name, Properties: properties,
	}
	r.message.SetBody(from.Body)
	draft, err := r.draft(t)
	if err != nil {
		return err
	}
	if b.sender.inFlight.Add(1) > int64(b.config.Limits.SendsInFlight) {
		b.sender.inFlight.Add(-1)
		return refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d sends are in flight", b.config.Limits.SendsInFlight)
	}
	r.proposal = engine.Proposal{Drafts: []event.Draft{draft}, Completion: r}
	if err := b.sender.proposer.Propose(&r.proposal); err != nil {
		b.sender.inFlight.Add(-1)
		return err
	}
	return nil
}

// draft is the event: the message for the dead letters, or one that waits until
// its next try.
func (r *returned) draft(t topic.Topic) (event.Draft, error) {
	if r.level > 0 {
		return r.waiting(t)
	}
	known := record.Properties(r.message.Properties).Known()
	return event.Draft{
		Kind: event.KindMessage, Stream: event.StreamQueue, Topic: t.ID, Queue: r.message.QueueID,
		Tag: record.TagCode(known.Tags), Keys: record.AppendKeyHashes(nil, t.ID, known.UniqueKey, known.Keys), Payload: &r.message,
	}, nil
}

// waiting turns the message into one that waits as long as its level says. It is
// found by its unique key, and by its other keys when it is delivered.
func (r *returned) waiting(t topic.Topic) (event.Draft, error) {
	b, m := r.broker, &r.message
	plan := b.config.Delays.Level(int(min(r.level, delay.LevelsMax)), b.config.Clock().UnixMilli())
	waitsIn, found := b.topics.Get(plan.Topic)
	if !found {
		return event.Draft{}, refuse(remoting.ResponseServiceNotAvailable, "service not available now: the system topic %s does not exist yet", plan.Topic)
	}
	m.Properties = plan.AppendProperties(m.Properties, t.Config.Name, m.QueueID)
	if err := checkPropertiesOfReturn(len(m.Properties) + delay.ReservedBytes); err != nil {
		return event.Draft{}, err
	}
	m.Topic, m.QueueID = waitsIn.Config.Name, plan.Queue
	return event.Draft{
		Kind: event.KindDelayed, Stream: event.StreamQueue, Topic: waitsIn.ID, Queue: plan.Queue, Due: plan.Due, Payload: m,
		Keys: record.AppendKeyHashes(nil, waitsIn.ID, record.Properties(m.Properties).Known().UniqueKey, nil),
	}, nil
}

func checkPropertiesOfReturn(bytes int) error {
	if bytes > record.PropertiesBytesMax {
		return refuse(remoting.ResponseMessageIllegal, "the message has %d bytes of properties with those of a retry, at most %d are allowed",
			bytes, record.PropertiesBytesMax)
	}
	return nil
}

// Complete runs on the log's completion goroutine. All outcomes but the unknown
// one are successes: the message is stored, and a consumer that is told
// otherwise has it stored a second time.
func (r *returned) Complete(p *engine.Proposal) {
	r.broker.sender.inFlight.Add(-1)
	if p.Outcome == engine.OutcomeUnknown {
		r.broker.answerError(r.replyTo, errUnknownOutcome)
		return
	}
	r.broker.metrics.sentBack(r.topic, r.group, r.level == 0)
	answer(r.replyTo)
}
