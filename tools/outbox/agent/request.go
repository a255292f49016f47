package agent

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// Names of properties that the agent reads or writes.
const (
	propertyDoubt         = "APOGEE_POSSIBLE_DUPLICATE"
	propertyGoShardingKey = "SHARDING_KEY" // the official Go client's name for it
	propertyDelayLevel    = "DELAY"
	propertyDelaySeconds  = "TIMER_DELAY_SEC"
	propertyDelayMillis   = "TIMER_DELAY_MS"
	propertyDeliverMillis = "TIMER_DELIVER_MS"
	propertyTransaction   = "TRAN_MSG"
)

// keyLanes is into how many streams the sharding keys of a topic are divided.
const keyLanes = 64

// isSend reports whether a request is one that may be kept.
func isSend(code int32) bool {
	return code == remoting.RequestSendMessage || code == remoting.RequestSendMessageV2 || code == remoting.RequestSendBatchMessage
}

// fieldNames are those of one style of header.
type fieldNames struct{ topic, queue, system, born, properties string }

var (
	shortNames = fieldNames{"b", "e", "f", "g", "i"}
	longNames  = fieldNames{"topic", "queueId", "sysFlag", "bornTimestamp", "properties"}
)

// request is what the agent needs to know of a send. Its slices alias the
// command's.
type request struct {
	command      *remoting.Command
	names        fieldNames
	topic        []byte
	properties   record.Properties
	known        record.Known
	shardingKey  []byte
	queue        int32
	system       int32
	born         int64
	batch        bool
	signed       bool
	queueAt      int // in the command's fields
	propertiesAt int // -1 without
}

// read reads a send. An error is the sender's fault.
func (r *request) read(cmd *remoting.Command) error {
	*r = request{command: cmd, names: shortNames, queueAt: -1, propertiesAt: -1, batch: cmd.Code == remoting.RequestSendBatchMessage}
	if cmd.Code == remoting.RequestSendMessage {
		r.names = longNames
	}
	failed := error(nil)
	number := func(name string, value []byte, bits int) int64 {
		n, err := strconv.ParseInt(string(value), 10, bits)
		if err != nil {
			failed = fmt.Errorf("the header field %s is %.100q, which is not a number", name, value)
		}
		return n
	}
	for i := range cmd.Fields {
		f := &cmd.Fields[i]
		switch string(f.Key) {
		case r.names.topic:
			r.topic = f.Value
		case r.names.queue:
			r.queue, r.queueAt = int32(number("queueId", f.Value, 32)), i
		case r.names.system:
			r.system = int32(number("sysFlag", f.Value, 32))
		case r.names.born:
			r.born = number("bornTimestamp", f.Value, 64)
		case r.names.properties:
			r.properties, r.propertiesAt = f.Value, i
		case "Signature":
			r.signed = true
		}
	}
	r.known = r.properties.Known()
	if r.shardingKey = r.known.ShardingKey; r.shardingKey == nil {
		r.shardingKey, _ = r.properties.Get(propertyGoShardingKey)
	}
	if failed == nil && (len(r.topic) == 0 || r.queueAt < 0) {
		failed = errors.New("the send has no topic or no queueId")
	}
	return failed
}

// half reports whether the message waits for the outcome of a transaction.
func (r *request) half() bool {
	return r.system&record.FlagTransaction == record.FlagPrepared || strings.EqualFold(string(r.known.Transaction), "true")
}

// stream names what the message keeps its order with: the messages whose
// sharding keys are in the same lane, else those for the same queue.
func (r *request) stream(dst []byte, broker string) (name []byte, lane uint32) {
	dst = append(dst, r.topic...)
	if len(r.shardingKey) > 0 {
		return append(dst, '#'), crc32.ChecksumIEEE(r.shardingKey) % keyLanes
	}
	return append(append(dst, '@'), broker...), uint32(r.queue)
}

// setQueue chooses another queue. The command must be the agent's own.
func (r *request) setQueue(queue int32) {
	r.queue = queue
	r.command.Fields[r.queueAt].Value = strconv.AppendInt(nil, int64(queue), 10)
}

// setProperties replaces the properties. The command must be the agent's own.
func (r *request) setProperties(p []byte) {
	r.properties = p
	if r.propertiesAt >= 0 {
		r.command.Fields[r.propertiesAt].Value = p
		return
	}
	r.propertiesAt = len(r.command.Fields)
	r.command.Fields = append(r.command.Fields, remoting.Field{Key: []byte(r.names.properties), Value: p})
}

var errSignedDelay = errors.New("a delayed message that its client has signed can't be kept: its delay would have to be rewritten; nothing was stored, try again")

// fixDelay makes a delay that counts from the arrival at a broker one that
// counts from the birth of the message. The command must be the agent's own.
func (r *request) fixDelay(levels delay.Levels) error {
	k := &r.known
	due := int64(0)
	switch {
	case k.DelayLevel != nil:
		level, err := strconv.Atoi(string(k.DelayLevel))
		if err != nil || level <= 0 {
			return nil
		}
		_, wait := levels.Of(level)
		due = r.born + wait.Milliseconds()
	case k.DelaySeconds != nil:
		n, err := strconv.ParseInt(string(k.DelaySeconds), 10, 32)
		if err != nil {
			return fmt.Errorf("the property %s is %.100q, which is not a number", propertyDelaySeconds, k.DelaySeconds)
		}
		due = r.born + 1000*n
	case k.DelayMillis != nil:
		n, err := strconv.ParseInt(string(k.DelayMillis), 10, 64)
		if err != nil || n > math.MaxInt64/2 {
			return fmt.Errorf("the property %s is %.100q, which is not a number", propertyDelayMillis, k.DelayMillis)
		}
		due = r.born + n
	default:
		return nil
	}
	if r.signed {
		return errSignedDelay
	}
	kept := without(r.properties, propertyDelayLevel, propertyDelaySeconds, propertyDelayMillis, propertyDeliverMillis)
	r.setProperties(record.AppendNumber(kept, propertyDeliverMillis, due))
	return nil
}

// without is a copy of properties that lacks some.
func without(p record.Properties, names ...string) []byte {
	kept := make([]byte, 0, len(p)+64)
next:
	for name, value := range p.All() {
		for _, n := range names {
			if string(name) == n {
				continue next
			}
		}
		kept = record.AppendProperty(kept, string(name), value)
	}
	return kept
}

// markDoubt says in the message that it may be there already. A message that its
// client has signed stays as it is. The command must be the agent's own.
func (r *request) markDoubt() {
	switch {
	case r.signed:
	case r.batch:
		if body, err := markBatch(r.command.Body); err == nil {
			r.command.Body = body
		}
	default:
		if _, marked := r.properties.Get(propertyDoubt); !marked && len(r.properties) < record.PropertiesBytesMax-len(propertyDoubt)-8 {
			r.setProperties(r.properties.With(propertyDoubt, "true"))
		}
	}
}

// markBatch is a copy of a batch with every message marked.
func markBatch(body []byte) ([]byte, error) {
	marked := make([]byte, 0, len(body)+len(body)/4)
	for rest := body; len(rest) > 0; {
		item, after, err := record.SplitBatch(rest)
		if err != nil {
			return nil, err
		}
		whole := rest[:len(rest)-len(after)]
		rest = after
		p := record.Properties(item.Properties)
		if _, done := p.Get(propertyDoubt); done || len(p) > record.PropertiesBytesMax-64 {
			marked = append(marked, whole...)
			continue
		}
		more := p.With(propertyDoubt, "true")
		at := len(marked)
		marked = append(marked, whole[:len(whole)-len(p)-2]...)
		marked = append(marked, byte(len(more)>>8), byte(len(more)))
		marked = append(marked, more...)
		putSize(marked[at:])
	}
	return marked, nil
}

// putSize writes the size of a batch's message into its beginning.
func putSize(item []byte) {
	n := uint32(len(item))
	item[0], item[1], item[2], item[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// eachKey visits the unique keys and keys of all messages of the request.
func (r *request) eachKey(visit func(key []byte, unique bool)) {
	if !r.batch {
		visitKeys(r.known, visit)
		return
	}
	for rest := r.command.Body; len(rest) > 0; {
		item, after, err := record.SplitBatch(rest)
		if err != nil {
			return
		}
		rest = after
		visitKeys(record.Properties(item.Properties).Known(), visit)
	}
}

func visitKeys(k record.Known, visit func(key []byte, unique bool)) {
	if len(k.UniqueKey) > 0 {
		visit(k.UniqueKey, true)
	}
	for _, word := range bytes.Fields(k.Keys) {
		visit(word, false)
	}
}
