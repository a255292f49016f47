package broker

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// Properties of a reply.
const (
	propertyReplyTo  = "REPLY_TO_CLIENT" // client id of whoever asked
	propertyPushTime = "PUSH_REPLY_TIME" // when the broker passed it on
)

// handleReply answers SEND_REPLY_MESSAGE and its V2: a consumer's reply to a
// request goes to the client that asked, on its own connection. What that gave
// is the answer; the reply is stored, too, where that is switched on.
func (s *sender) handleReply(rt remoting.ReplyTo, cmd *remoting.Command) {
	s.attemptReply(rt, cmd.Clone(), creationsPerSend)
}

// attemptReply serves a reply that may still create so many topics.
func (s *sender) attemptReply(rt remoting.ReplyTo, cmd *remoting.Command, creations int) {
	var h sendHeader
	err := h.parse(cmd)
	if err == nil && h.batch {
		err = refuse(remoting.ResponseMessageIllegal, "a reply is one message, not a batch")
	}
	if err == nil {
		err = s.check(&h)
	}
	var t topic.Topic
	var create creation
	if err == nil {
		t, create, err = s.target(&h, cmd.Version)
	}
	switch {
	case err != nil:
		s.broker.answerError(rt, err)
	case create != nil && creations == 0:
		s.broker.answerError(rt, refuse(remoting.ResponseTopicNotExist, "topic[%s] was deleted while it was created", h.topic))
	case create != nil:
		create(func(err error) {
			if err != nil {
				s.broker.answerError(rt, err)
				return
			}
			s.attemptReply(rt, cmd, creations-1)
		})
	default:
		s.broker.relayAll(rt, func(ctx context.Context) { s.passOn(ctx, rt, cmd, &h, t) })
	}
}

// passOn gives a reply to whoever asked, stores it and answers.
func (s *sender) passOn(ctx context.Context, rt remoting.ReplyTo, cmd *remoting.Command, h *sendHeader, t topic.Topic) {
	pushed := &pushOutcome{s.push(ctx, rt.Conn.RemoteAddr(), cmd.Body, h)}
	s.broker.metrics.replied(pushed.err)
	if s.config.StoreReplies {
		h.pushed = pushed
		if err := s.propose(rt, cmd, h, t); err == nil {
			return
		}
	}
	var reply remoting.Reply
	s.fillPushed(&reply, pushed, uint32(h.queueID))
	rt.Send(&reply)
}

// pushOutcome says whether a reply has reached whoever asked: nil for yes.
type pushOutcome struct{ err error }

// judge puts the code and remark into the answer. Whether the reply is stored
// is not told, as RocketMQ doesn't.
func (o *pushOutcome) judge(reply *remoting.Reply) {
	reply.Code = remoting.ResponseSuccess
	if o.err != nil {
		respond(reply, o.err)
	}
}

// fillPushed writes the answer to a reply that is stored nowhere.
func (s *sender) fillPushed(reply *remoting.Reply, o *pushOutcome, queueID uint32) {
	o.judge(reply)
	reply.SetText("msgId", "0")
	reply.SetInt("queueId", int64(queueID))
	reply.SetInt("queueOffset", 0)
	reply.SetText("MSG_REGION", s.stored.Region)
	reply.SetText("TRACE_ON", s.stored.Trace)
}

// push sends a reply to the client that asked and waits until it has taken it.
func (s *sender) push(ctx context.Context, from netip.AddrPort, body []byte, h *sendHeader) error {
	asker, found := record.Properties(h.properties).Get(propertyReplyTo)
	if !found {
		return refuse(remoting.ResponseSystemError, "reply message properties[%s] is null", propertyReplyTo)
	}
	conn := s.broker.clients.producer(string(asker))
	if conn == nil {
		return refuse(remoting.ResponseSystemError, "push reply message fail, channel of <%s> not found.", asker)
	}
	now := strconv.FormatInt(s.config.Clock().UnixMilli(), 10)
	request := &remoting.Request{Code: remoting.RequestPushReplyMessageToClient, Body: body}
	for _, f := range []remoting.TextField{
		{Key: "producerGroup", Value: string(h.producerGroup)}, {Key: "topic", Value: string(h.topic)},
		{Key: "defaultTopic", Value: string(h.defaultTopic)}, {Key: "defaultTopicQueueNums", Value: fmt.Sprint(h.defaultQueues)},
		{Key: "queueId", Value: fmt.Sprint(h.queueID)}, {Key: "sysFlag", Value: fmt.Sprint(h.systemFlag)},
		{Key: "bornTimestamp", Value: fmt.Sprint(h.bornTimestamp)}, {Key: "flag", Value: fmt.Sprint(h.flag)},
		{Key: "properties", Value: string(record.Properties(h.properties).With(propertyPushTime, now))},
		{Key: "reconsumeTimes", Value: fmt.Sprint(h.reconsumeTimes)}, {Key: "unitMode", Value: "false"},
		{Key: "bornHost", Value: from.String()}, {Key: "storeHost", Value: s.config.Address.String()}, {Key: "storeTimestamp", Value: now},
	} {
		request.Set(f.Key, f.Value)
	}
	response, err := conn.Call(ctx, request)
	if err != nil || response.Code != remoting.ResponseSuccess {
		return refuse(remoting.ResponseSystemError, "push reply message to %s fail.", asker)
	}
	return nil
}
