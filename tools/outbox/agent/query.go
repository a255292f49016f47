package agent

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"net/netip"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// queryMax bounds the messages of one answer.
const queryMax = 64

// keyHash is the hash of a key of messages of a topic.
func keyHash(topic, key []byte) uint64 {
	return spool.Hash(key) ^ uint64(crc32.ChecksumIEEE(topic))<<16
}

// letter is a kept message as its client sent it. Its bytes, the payload of an
// entry of the spool:
//
//	off  size  field
//	  0     1  length of the broker's name
//	  1     n  name of the broker that the client had chosen
//	  …     …  the request as a frame of RocketMQ's protocol, in the serialization
//	           of its client
//
// Its properties are as they are to be sent: a delay that counted from the
// arrival at a broker is one to a time (TIMER_DELIVER_MS).
type letter struct {
	broker  string
	command remoting.Command
	request request
}

// open reads the payload of an entry.
func (l *letter) open(payload []byte) error {
	if len(payload) == 0 || len(payload) < 1+int(payload[0]) {
		return spool.ErrMalformed
	}
	l.broker = string(payload[1 : 1+int(payload[0])])
	if err := l.command.Decode(bytes.Clone(payload[1+int(payload[0]):])); err != nil {
		return err
	}
	return l.request.read(&l.command)
}

// view answers VIEW_MESSAGE_BY_ID for a message that waits here, and reports
// whether it did.
func (a *Agent) view(rt remoting.ReplyTo, cmd *remoting.Command) bool {
	position, ok := cmd.Int("offset")
	if !ok || position < 0 {
		return false
	}
	var body []byte
	err := a.spool.At(event.Position(position), func(i spool.Item) {
		body = appendRecords(nil, i, rt.Conn.LocalAddr(), nil)
	})
	if err != nil || len(body) == 0 {
		return false
	}
	rt.Send(&remoting.Reply{Body: body})
	return true
}

// query answers QUERY_MESSAGE with what waits here, and reports whether there is
// something.
func (a *Agent) query(rt remoting.ReplyTo, cmd *remoting.Command) bool {
	topic, _ := cmd.Get("topic")
	key, _ := cmd.Get("key")
	if a.spool.Waiting() == 0 || len(topic) == 0 || len(key) == 0 {
		return false
	}
	most, ok := cmd.Int("maxNum")
	if !ok || most <= 0 || most > queryMax {
		most = queryMax
	}
	var body []byte
	err := a.spool.Find(keyHash(topic, key), func(i spool.Item) bool {
		if records := appendRecords(nil, i, rt.Conn.LocalAddr(), key); len(records) > 0 {
			body = append(body, records...)
			most--
		}
		return most > 0
	})
	if err != nil || len(body) == 0 {
		return false
	}
	reply := &remoting.Reply{Body: body}
	reply.SetInt("indexLastUpdateTimestamp", 0)
	reply.SetInt("indexLastUpdatePhyoffset", 0)
	rt.Send(reply)
	return true
}

// appendRecords appends the messages of an entry as consumers read them: those
// with a key, or for no key the first.
func appendRecords(dst []byte, i spool.Item, here netip.AddrPort, key []byte) []byte {
	var l letter
	if l.open(i.Payload) != nil {
		return dst
	}
	r := &l.request
	m := record.Message{QueueID: uint32(r.queue), SystemFlag: r.system, BornTimestamp: r.born, BornHost: here, StoreHost: here,
		Topic: string(r.topic), Properties: r.properties}
	if !r.batch {
		if key == nil || hasKey(r.known, key) {
			m.SetBody(l.command.Body)
			dst = appendRecord(dst, &m, i)
		}
		return dst
	}
	for rest := l.command.Body; len(rest) > 0; {
		item, after, err := record.SplitBatch(rest)
		if err != nil {
			return dst
		}
		rest = after
		if key == nil || hasKey(record.Properties(item.Properties).Known(), key) {
			m.Flag, m.Properties = item.Flag, item.Properties
			m.SetBody(item.Body)
			dst = appendRecord(dst, &m, i)
			if key == nil {
				return dst
			}
		}
	}
	return dst
}

func hasKey(k record.Known, key []byte) (found bool) {
	visitKeys(k, func(other []byte, _ bool) { found = found || bytes.Equal(other, key) })
	return found
}

func appendRecord(dst []byte, m *record.Message, i spool.Item) []byte {
	if len(m.Properties) > math.MaxInt16 || len(m.Topic) > math.MaxUint8 {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, m.PayloadBytes())...)
	m.PutPayload(dst[at:])
	if record.Fill(dst[at:], -1, int64(i.Position), i.Timestamp) != nil {
		return dst[:at]
	}
	return dst
}

// uniqueID is the unique id of a message, or of a batch's first.
func (l *letter) uniqueID() (id string) {
	l.request.eachKey(func(key []byte, unique bool) {
		if unique && id == "" {
			id = string(key)
		}
	})
	return id
}

// messages is how many messages a request has.
func (l *letter) messages() int {
	if !l.request.batch {
		return 1
	}
	n := 0
	for rest := l.command.Body; len(rest) >= 4; n++ {
		size := binary.BigEndian.Uint32(rest)
		if size < 4 || uint64(size) > uint64(len(rest)) {
			break
		}
		rest = rest[size:]
	}
	return n
}
