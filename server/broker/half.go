package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// takeHalf reports whether a message waits for the outcome of a transaction,
// and takes the mark of that off the request: a half message is stored without
// it. A message that a consumer sends for another try isn't in a transaction,
// whatever it still says; RocketMQ tells it by the same signs.
func (h *sendHeader) takeHalf(known *record.Known) bool {
	prepared := strings.EqualFold(string(known.Transaction), "true") || h.systemFlag&record.FlagTransaction == record.FlagPrepared
	if !prepared {
		return false
	}
	h.systemFlag &^= record.FlagTransaction
	known.Transaction = nil
	level, _ := strconv.Atoi(string(known.DelayLevel))
	return h.reconsumeTimes == 0 || level <= 0
}

// halfTopic is where half messages wait.
func (s *sender) halfTopic() (topic.Topic, error) {
	if s.config.RejectTransactions {
		return topic.Topic{}, refuse(remoting.ResponseNoPermission, "the broker[%s] sending transaction message is forbidden", s.config.Address.Addr())
	}
	t, found := s.topics.Get(topicHalf)
	if !found {
		return t, refuse(remoting.ResponseSystemError, "the topic %s is gone; restart the broker, which creates it again", topicHalf)
	}
	return t, nil
}

// makeHalf turns the one message of a request into a half message.
func (r *sendRequest) makeHalf(half topic.Topic, known record.Known) {
	r.kind = kindTransaction
	m, d := &r.messages[0], &r.drafts[0]
	m.Topic, m.QueueID = half.Config.Name, 0
	r.bytes = m.PayloadBytes()
	d.Kind, d.Topic, d.Queue = event.KindHalf, half.ID, 0
	d.Due = r.started.Add(record.ImmunityTime(known.Immunity, r.sender.config.TransactionTimeout)).UnixMilli()
}

// rejectsLate reports whether a producer ends its transaction by itself after
// the time in which it would not be asked, if it set one. It has to wait until
// it is asked then, as in RocketMQ.
func (h *halfMessage) rejectsLate(now time.Time, usual time.Duration) bool {
	return len(h.properties.Immunity) > 0 && now.Sub(time.UnixMilli(h.storedMillis)) > record.ImmunityTime(h.properties.Immunity, usual)
}
