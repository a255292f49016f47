package broker

import (
	"encoding/json"

	"github.com/apogeemq/apogee/server/remoting"
)

// Modes of SET_MESSAGE_REQUEST_MODE.
const (
	modePull = "PULL"
	modePop  = "POP"
)

// setConsumeMode answers SET_MESSAGE_REQUEST_MODE. All groups pull; the broker
// says so rather than to keep a mode that it doesn't have.
func (b *Broker) setConsumeMode(rt remoting.ReplyTo, cmd *remoting.Command) {
	var body struct {
		Topic string `json:"topic"`
		Group string `json:"consumerGroup"`
		Mode  string `json:"mode"`
	}
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the body can't be read: %v", err))
		return
	}
	err := func() error {
		_, found := b.topics.Get(body.Topic)
		switch {
		case isRetryTopic([]byte(body.Topic)):
			return refuse(remoting.ResponseNoPermission, "retry topic is not allowed to set mode")
		case !found:
			return refuse(remoting.ResponseTopicNotExist, "topic[%.*s] not exist", topicBytesMax, body.Topic)
		case !b.groupExists(body.Group):
			return errNoGroup(body.Group)
		case body.Mode == modePop:
			return refuse(remoting.ResponseSystemError, "POP consumption is not supported by this version of the broker: all groups pull")
		case body.Mode != modePull:
			return refuse(remoting.ResponseInvalidParameter, "mode is [%.*s], %s is allowed", topicBytesMax, body.Mode, modePull)
		}
		return nil
	}()
	if err != nil {
		b.answerError(rt, err)
		return
	}
	answer(rt)
}

// checkClient answers CHECK_CLIENT_CONFIG: whether the broker can filter as a
// client is going to ask.
func (b *Broker) checkClient(rt remoting.ReplyTo, cmd *remoting.Command) {
	var body struct {
		Subscription *subscriptionData `json:"subscriptionData"`
	}
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "the body can't be read: %v", err))
		return
	}
	if s := body.Subscription; s != nil {
		if err := b.checkExpression(s.Kind, []byte(s.Expression)); err != nil {
			b.answerError(rt, err)
			return
		}
	}
	answer(rt)
}
