package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// heartbeatData is the body of a heartbeat.
type heartbeatData struct {
	ClientID             string         `json:"clientID"`
	Fingerprint          int32          `json:"heartbeatFingerprint"`
	WithoutSubscriptions bool           `json:"withoutSub"`
	Producers            []producerData `json:"producerDataSet"`
	Consumers            []consumerData `json:"consumerDataSet"`

	language uint8 // of the client's library
	version  int32
	bytes    int // of the body
}

type producerData struct {
	Group string `json:"groupName"`
}

type consumerData struct {
	Group         string             `json:"groupName"`
	Kind          string             `json:"consumeType"`
	Model         string             `json:"messageModel"`
	FromWhere     string             `json:"consumeFromWhere"`
	Subscriptions []subscriptionData `json:"subscriptionDataSet"`
}

// subscriptionData is RocketMQ's SubscriptionData. Its members are in the
// order in which fastjson writes them.
type subscriptionData struct {
	ClassFilter bool      `json:"classFilterMode"`
	Codes       []tagCode `json:"codeSet"`
	Kind        string    `json:"expressionType"`
	Expression  string    `json:"subString"`
	Version     int64     `json:"subVersion"`
	Tags        []string  `json:"tagsSet"`
	Topic       string    `json:"topic"`
}

// tagCode is a number that Java's clients send as a number and Go's as a text.
type tagCode int32

// UnmarshalJSON accepts both forms.
func (c *tagCode) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 32)
	*c = tagCode(n)
	return err
}

// subscription makes the filter. The codes are the client's and those of its
// tags: some clients hash bytes where Java hashes UTF-16 units.
func (d *subscriptionData) subscription() *subscription {
	s := &subscription{version: d.Version, kind: d.Kind, told: *d}
	if s.told.Codes == nil {
		s.told.Codes = []tagCode{}
	}
	if s.told.Tags == nil {
		s.told.Tags = []string{}
	}
	s.filter.all = d.ClassFilter || d.Expression == "" || d.Expression == expressionAll
	for _, code := range d.Codes {
		s.filter.codes = append(s.filter.codes, int32(code))
	}
	for _, tag := range d.Tags {
		s.filter.codes = append(s.filter.codes, record.TagCode([]byte(tag)))
	}
	slices.Sort(s.filter.codes)
	s.filter.codes = slices.Compact(s.filter.codes)
	return s
}

// heartbeat answers HEART_BEAT: it registers the client and has the retry
// topics of its groups created.
func (b *Broker) heartbeat(rt remoting.ReplyTo, cmd *remoting.Command) {
	var h heartbeatData
	if len(cmd.Body) > b.config.Limits.HeartbeatBytes {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the heartbeat has %d bytes, at most %d are allowed",
			len(cmd.Body), b.config.Limits.HeartbeatBytes))
		return
	}
	if err := json.Unmarshal(cmd.Body, &h); err != nil {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the heartbeat can't be read: %v", err))
		return
	}
	h.language, h.version, h.bytes = cmd.Language, cmd.Version, len(cmd.Body)
	if h.ClientID == "" || len(h.ClientID) > event.NameBytesMax {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "clientID has %d bytes, 1 to %d are allowed", len(h.ClientID), event.NameBytesMax))
		return
	}
	// Groups that can't exist are passed over, as RocketMQ passes over those
	// that it can't create.
	h.Producers = slices.DeleteFunc(h.Producers, func(p producerData) bool { return checkGroupName([]byte(p.Group)) != nil })
	h.Consumers = slices.DeleteFunc(h.Consumers, func(c consumerData) bool { return checkGroupName([]byte(c.Group)) != nil })
	h.Consumers = slices.DeleteFunc(h.Consumers, func(c consumerData) bool { return !b.live.get().autoCreateGroup && !b.groupExists(c.Group) })
	wantsAll, err := b.clients.register(rt.Conn, &h)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	for i := range h.Consumers {
		b.prepareGroup(h.Consumers[i].Group)
	}
	var reply remoting.Reply
	reply.SetText("IS_SUPPORT_HEART_BEAT_V2", "true")
	reply.SetText("IS_SUB_CHANGE", strconv.FormatBool(wantsAll))
	rt.Send(&reply)
}

func (b *Broker) groupExists(name string) bool {
	_, found := b.groups.Get(name)
	return found
}

// prepareGroup makes a group and its retry topic exist. It doesn't wait: the
// client finds the topic by its route. If it can't be created now, the next
// heartbeat tries again.
func (b *Broker) prepareGroup(name string) {
	settings := defaultGroup(name)
	if g, found := b.groups.Get(name); found {
		settings = groupSettingsOf(g)
	} else {
		b.registry.createGroup(settings, func(error) {})
	}
	model := retryTopic(retryPrefix + name)
	if settings.RetryQueues <= 0 {
		return
	}
	model.ReadQueues, model.WriteQueues = uint32(settings.RetryQueues), uint32(settings.RetryQueues)
	if _, found := b.topics.Get(model.Name); !found {
		b.registry.createTopic(*model, func(error) {})
	}
}

// unregister answers UNREGISTER_CLIENT.
func (b *Broker) unregister(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.clients.leave(rt.Conn, cmd.Text("producerGroup"), cmd.Text("consumerGroup"))
	answer(rt)
}

// listConsumers answers GET_CONSUMER_LIST_BY_GROUP.
func (b *Broker) listConsumers(rt remoting.ReplyTo, cmd *remoting.Command) {
	group := cmd.Text("consumerGroup")
	members := b.clients.members(group)
	if len(members) == 0 {
		b.answerError(rt, refuse(remoting.ResponseSystemError, "no consumer for this group, %s", group))
		return
	}
	b.answerJSON(rt, struct {
		Members []string `json:"consumerIdList"`
	}{members})
}

// messageQueue is RocketMQ's name for a queue of a broker.
type messageQueue struct {
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
	Topic      string `json:"topic"`
}

// lockRequest is the body of LOCK_BATCH_MQ and UNLOCK_BATCH_MQ.
type lockRequest struct {
	ClientID string         `json:"clientId"`
	Group    string         `json:"consumerGroup"`
	Queues   []messageQueue `json:"mqSet"`
}

// readLockRequest reads a request and finds its queues. Those that aren't there
// are left out, and so is what is named twice.
func (b *Broker) readLockRequest(cmd *remoting.Command) (r lockRequest, queues []lockedQueue, err error) {
	if err := json.Unmarshal(cmd.Body, &r); err != nil {
		return r, nil, refuse(remoting.ResponseInvalidParameter, "the body can't be read: %v", err)
	}
	if r.ClientID == "" || len(r.ClientID) > event.NameBytesMax {
		return r, nil, refuse(remoting.ResponseInvalidParameter, "clientId has %d bytes, 1 to %d are allowed", len(r.ClientID), event.NameBytesMax)
	}
	if err := checkGroupName([]byte(r.Group)); err != nil {
		return r, nil, err
	}
	named := make(map[event.Queue]struct{}, len(r.Queues))
	for _, told := range r.Queues {
		t, found := b.topics.Get(told.Topic)
		if !found || told.QueueID < 0 || uint32(told.QueueID) >= max(t.Config.ReadQueues, t.Config.WriteQueues) {
			continue
		}
		q := event.Queue{Topic: t.ID, ID: uint32(told.QueueID)}
		if _, again := named[q]; !again {
			named[q] = struct{}{}
			queues = append(queues, lockedQueue{q, told})
		}
	}
	return r, queues, nil
}

// lockQueues answers LOCK_BATCH_MQ with the queues that the client now has.
func (b *Broker) lockQueues(rt remoting.ReplyTo, cmd *remoting.Command) {
	r, queues, err := b.readLockRequest(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.locks.lock(r.Group, r.ClientID, queues, func(locked []messageQueue, err error) {
		if err != nil {
			b.answerError(rt, err)
			return
		}
		b.answerJSON(rt, struct {
			Locked []messageQueue `json:"lockOKMQSet"`
		}{locked})
	})
}

// unlockQueues answers UNLOCK_BATCH_MQ.
func (b *Broker) unlockQueues(rt remoting.ReplyTo, cmd *remoting.Command) {
	r, queues, err := b.readLockRequest(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.locks.unlock(r.Group, r.ClientID, queues, func(err error) {
		if err != nil {
			b.answerError(rt, err)
			return
		}
		answer(rt)
	})
}

// clientName is how commits name a connection: by its client id, or by its
// address before its first heartbeat.
func (b *Broker) clientName(c *remoting.Conn) string {
	if name := b.clients.name(c); name != "" {
		return name
	}
	return c.RemoteAddr().String()
}

// sweep removes what has expired. Clients without heartbeats are cut off, as
// RocketMQ does.
func (b *Broker) sweep(ctx context.Context) {
	ticker := time.NewTicker(b.config.Limits.ClientSweep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		b.locks.sweep()
		b.forgetGone()
		for _, c := range b.clients.expire() {
			b.config.Logger.Info("client sent no heartbeat in time, its connection is closed", "remote", c.RemoteAddr())
			c.Close()
		}
	}
}
