package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// showConsumers answers GET_CONSUMER_CONNECTION_LIST.
func (b *Broker) showConsumers(rt remoting.ReplyTo, cmd *remoting.Command) {
	group := cmd.Text("consumerGroup")
	body, online := b.clients.consumers(group)
	if !online {
		b.answerError(rt, refuse(remoting.ResponseConsumerNotOnline, "the consumer group[%s] not online", group))
		return
	}
	b.answerJSON(rt, body)
}

// showProducers answers GET_PRODUCER_CONNECTION_LIST.
func (b *Broker) showProducers(rt remoting.ReplyTo, cmd *remoting.Command) {
	group := cmd.Text("producerGroup")
	list := b.clients.producers(group)
	if len(list) == 0 {
		b.answerError(rt, refuse(remoting.ResponseSystemError, "the producer group[%s] not exist", group))
		return
	}
	b.answerJSON(rt, struct {
		Connections []connectionBody `json:"connectionSet"`
	}{list})
}

// showAllProducers answers GET_ALL_PRODUCER_INFO.
func (b *Broker) showAllProducers(rt remoting.ReplyTo, _ *remoting.Command) {
	b.answerJSON(rt, struct {
		Groups map[string][]producerBody `json:"data"`
	}{b.clients.allProducers()})
}

// showSubscription answers QUERY_SUBSCRIPTION_BY_CONSUMER.
func (b *Broker) showSubscription(rt remoting.ReplyTo, cmd *remoting.Command) {
	body := struct {
		Group        string            `json:"group"`
		Subscription *subscriptionData `json:"subscriptionData,omitempty"`
		Topic        string            `json:"topic"`
	}{Group: cmd.Text("group"), Topic: cmd.Text("topic")}
	if s, err := b.clients.subscription([]byte(body.Group), []byte(body.Topic)); err == nil {
		body.Subscription = &s.told
	}
	b.answerJSON(rt, body)
}

// showGroupsOfTopic answers QUERY_TOPIC_CONSUME_BY_WHO: the groups that are
// online and those that have offsets.
func (b *Broker) showGroupsOfTopic(rt remoting.ReplyTo, cmd *remoting.Command) {
	name := cmd.Text("topic")
	groups := make(map[string]struct{})
	for _, g := range b.clients.consumersOf(name) {
		groups[g] = struct{}{}
	}
	if t, found := b.topics.Get(name); found {
		for _, g := range b.offsets.Groups() {
			for _, c := range b.offsets.Group(g) {
				if c.Queue.Topic == t.ID {
					groups[g] = struct{}{}
					break
				}
			}
		}
	}
	b.answerJSON(rt, struct {
		Groups []string `json:"groupList"`
	}{append([]string{}, slices.Sorted(maps.Keys(groups))...)})
}

// showTopicsOfGroup answers QUERY_TOPICS_BY_CONSUMER: those with offsets.
func (b *Broker) showTopicsOfGroup(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.answerJSON(rt, struct {
		Address string   `json:"brokerAddr"`
		Topics  []string `json:"topicList"`
	}{b.config.Address.String(), append([]string{}, b.topicsOf(cmd.Text("group"))...)})
}

// topicsOf are the names of the topics for which a group has offsets, in order.
func (b *Broker) topicsOf(group string) []string {
	names := make(map[string]struct{})
	for _, c := range b.offsets.Group(group) {
		if t, found := b.topics.ByID(c.Queue.Topic); found {
			names[t.Config.Name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// relay passes a request on to one member of a group and its response back.
func (b *Broker) relay(rt remoting.ReplyTo, request *remoting.Request, group, client string) {
	members := b.clients.online(group, client)
	if client == "" || len(members) == 0 {
		b.answerError(rt, refuse(remoting.ResponseSystemError, "The Consumer <%s> <%s> not online", group, client))
		return
	}
	b.relayAll(rt, func(ctx context.Context) {
		response, err := members[0].conn.Call(ctx, request)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			b.answerError(rt, refuse(remoting.ResponseConsumeMessageTimeout, "consumer <%s> <%s> Timeout: %v", group, client, err))
		case err != nil:
			b.answerError(rt, refuse(remoting.ResponseSystemError, "invoke consumer <%s> <%s> Exception: %v", group, client, err))
		default:
			reply := remoting.Reply{Code: response.Code, Remark: string(response.Remark), Body: response.Body}
			for _, f := range response.Fields {
				reply.SetBytes(string(f.Key), f.Value)
			}
			rt.Send(&reply)
		}
	})
}

// relayAll runs ask, which asks clients and answers, on a goroutine of its own.
func (b *Broker) relayAll(rt remoting.ReplyTo, ask func(ctx context.Context)) {
	select {
	case b.relays <- struct{}{}:
	default:
		b.answerError(rt, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d requests to clients wait for answers", cap(b.relays)))
		return
	}
	b.work.Go(func() {
		defer func() { <-b.relays }()
		ctx, cancel := context.WithTimeout(b.running, b.config.Limits.RelayPatience)
		defer cancel()
		ask(ctx)
	})
}

// relayRunningInfo answers GET_CONSUMER_RUNNING_INFO with what the client says.
func (b *Broker) relayRunningInfo(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.relay(rt, remoting.RequestFrom(cmd.Clone()), cmd.Text("consumerGroup"), cmd.Text("clientId"))
}

// relayConsumption answers CONSUME_MESSAGE_DIRECTLY: the client consumes one
// message and says how that went.
func (b *Broker) relayConsumption(rt remoting.ReplyTo, cmd *remoting.Command) {
	request := remoting.RequestFrom(cmd.Clone())
	group, client := cmd.Text("consumerGroup"), cmd.Text("clientId")
	request.Set("brokerName", b.config.BrokerName)
	if t, found := b.topics.Get(cmd.Text("topic")); found {
		request.Set("topicSysFlag", strconv.Itoa(int(settingsOf(t).SystemFlag)))
	}
	if g, found := b.groups.Get(group); found {
		request.Set("groupSysFlag", strconv.Itoa(int(groupSettingsOf(g).SystemFlag)))
	}
	position, err := record.ParseMessageID(cmd.Text("msgId"))
	if err != nil {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "%v", err))
		return
	}
	b.read(rt, func() {
		body, err := b.recordAt(event.Position(position))
		if err != nil {
			b.answerError(rt, err)
			return
		}
		request.Body = body
		b.relay(rt, request, group, client)
	})
}

// viewMessage answers VIEW_MESSAGE_BY_ID.
func (b *Broker) viewMessage(rt remoting.ReplyTo, cmd *remoting.Command) {
	position, ok := cmd.Int("offset")
	if !ok || position < 0 {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "offset is [%s], a position in the log is needed", cmd.Text("offset")))
		return
	}
	b.read(rt, func() {
		body, err := b.recordAt(event.Position(position))
		if err != nil {
			b.answerError(rt, err)
			return
		}
		rt.Send(&remoting.Reply{Body: body})
	})
}

// recordAt is the record of the message at a position, as a consumer gets it,
// but for the store host: it is this broker, whoever led when the message was
// stored. mqadmin finds a message's broker, and so its consumers, by that.
func (b *Broker) recordAt(position event.Position) ([]byte, error) {
	var body []byte
	var found engine.Message
	var q event.Queue
	err := b.queues.ReadAt(position, func(m engine.Message) error {
		if m.Event.Kind() != event.KindMessage && !m.Event.Kind().Waits() {
			return refuse(remoting.ResponseSystemError, "can not find message by the offset, %d", position)
		}
		body = append(body, m.Event.Payload()...)
		found, q = m, m.Event.Queue()
		return nil
	})
	if errors.Is(err, engine.ErrNotFound) {
		return nil, refuse(remoting.ResponseSystemError, "can not find message by the offset, %d", position)
	}
	if err != nil {
		return nil, err
	}
	offset, err := b.offsetOf(q, found)
	if err != nil {
		return nil, err
	}
	if err := record.Fill(body, int64(max(offset, 0)), int64(position), found.Timestamp); err != nil {
		return nil, err
	}
	return body, record.SetStoreHost(body, b.config.Address)
}

// offsetOf finds the offset of a message in its queue, -1 when it is in none:
// it is one of those of the same time.
func (b *Broker) offsetOf(q event.Queue, m engine.Message) (event.Offset, error) {
	from, err := b.queues.OffsetAt(q, m.Timestamp, engine.Lower)
	if err != nil {
		return -1, err
	}
	for {
		offset, past := event.Offset(-1), true
		limits := engine.ReadLimits{Count: pullScanMax, Bytes: pullBytesMax, Scan: pullScanMax}
		next, err := b.queues.ReadQueue(q, from, limits, nil, func(other engine.Message) error {
			past = other.Position > m.Position
			if other.Position == m.Position {
				offset = other.Offset
			}
			return nil
		})
		if err != nil || offset >= 0 || past || next == from {
			return offset, err
		}
		from = next
	}
}
