package broker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// Bounds of one QUERY_MESSAGE: defaultQueryMaxNum and maxMsgsNumBatch as in
// RocketMQ, and those of the work that one key can cause.
const (
	queryUniqueMessages = 32
	queryMessagesMax    = 64
	queryBytesMax       = 8 << 20
	queryCandidatesMax  = 4096 // messages that are looked at
	queryKeyBytesMax    = 64 << 10
)

// flagUniqueKey is the header field that tells a search for a unique key from
// one for an index key.
const flagUniqueKey = "_UNIQUE_KEY_QUERY"

// keyQuery is a QUERY_MESSAGE.
type keyQuery struct {
	topic    event.TopicID
	key      []byte
	unique   bool // the key is the message's UNIQ_KEY
	messages int
	from, to int64 // store times, Unix milliseconds
}

// queryMessage answers QUERY_MESSAGE: the newest messages that have the key
// itself, oldest first. As in RocketMQ a search for an index key also finds
// the message whose unique key it is.
func (b *Broker) queryMessage(rt remoting.ReplyTo, cmd *remoting.Command) {
	q, err := readKeyQuery(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	t, found := b.topics.Get(cmd.Text("topic"))
	if !found {
		b.answerFound(rt, nil)
		return
	}
	q.topic = t.ID
	b.read(rt, func() {
		body, err := b.recordsWithKey(&q)
		if err != nil {
			b.answerError(rt, fmt.Errorf("search topic %s for a key: %w", t.Config.Name, err))
			return
		}
		b.answerFound(rt, body)
	})
}

func readKeyQuery(cmd *remoting.Command) (q keyQuery, err error) {
	key, _ := cmd.Get("key")
	messages, counted := cmd.Int("maxNum")
	from, begins := cmd.Int("beginTimestamp")
	to, ends := cmd.Int("endTimestamp")
	if len(key) == 0 || len(key) > queryKeyBytesMax || !counted || !begins || !ends {
		return q, refuse(remoting.ResponseInvalidParameter,
			"the request needs a key of 1 to %d bytes and the numbers maxNum, beginTimestamp and endTimestamp", queryKeyBytesMax)
	}
	q = keyQuery{key: bytes.Clone(key), from: from, to: to, messages: int(min(max(messages, 0), queryMessagesMax))}
	if flag, _ := cmd.Get(flagUniqueKey); string(flag) == "true" {
		q.unique, q.messages = true, queryUniqueMessages
	}
	return q, nil
}

// recordsWithKey reads the records. After the last one that it takes it
// accepts whatever comes, so that the search ends.
func (b *Broker) recordsWithKey(q *keyQuery) ([]byte, error) {
	var records [][]byte
	var failure error
	size, candidates := 0, 0
	err := b.queues.FindKey(q.topic, q.key, q.from, q.to, q.messages, func(m engine.Message) bool {
		candidates++
		if failure != nil || candidates > queryCandidatesMax || size > queryBytesMax {
			return true
		}
		payload := m.Event.Payload()
		if m.Event.Kind() != event.KindMessage && !m.Event.Kind().Waits() || !q.matches(payload) {
			return false
		}
		if size += len(payload); size > queryBytesMax && len(records) > 0 {
			return true
		}
		r := bytes.Clone(payload)
		failure = errors.Join(record.Fill(r, int64(max(m.Offset, 0)), int64(m.Position), m.Timestamp), record.SetStoreHost(r, b.config.Address))
		records = append(records, r)
		return true
	})
	if err == nil {
		err = failure
	}
	slices.Reverse(records)
	return bytes.Join(records, nil), err
}

// matches reports whether a record has the key. One that can't be read has
// none: a search is not stopped by it.
func (q *keyQuery) matches(payload []byte) bool {
	r, _, err := record.Decode(payload)
	if err != nil {
		return false
	}
	known := record.Properties(r.Properties).Known()
	if bytes.Equal(known.UniqueKey, q.key) {
		return true
	}
	return !q.unique && slices.ContainsFunc(bytes.Split(known.Keys, []byte(" ")), func(word []byte) bool { return bytes.Equal(word, q.key) })
}

// answerFound sends the records. The index follows the log without delay, so
// it is always as recent as what is applied.
func (b *Broker) answerFound(rt remoting.ReplyTo, body []byte) {
	reply := remoting.Reply{Body: body}
	if len(body) == 0 {
		reply.Code, reply.Remark = remoting.ResponseQueryNotFound, "can not find message, maybe time range not correct"
	}
	reply.SetInt("indexLastUpdateTimestamp", b.config.Clock().UnixMilli())
	reply.SetInt("indexLastUpdatePhyoffset", int64(b.progress.Marks().AppliedPosition))
	rt.Send(&reply)
}
