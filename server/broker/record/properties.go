package record

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
)

const (
	nameEnd  = 0x01
	valueEnd = 0x02
)

// Names of properties that the broker reads or writes, as in RocketMQ's
// MessageConst.
const (
	propertyKeys          = "KEYS"
	propertyTags          = "TAGS"
	propertyDelayLevel    = "DELAY"
	propertyDelaySeconds  = "TIMER_DELAY_SEC"
	propertyDelayMillis   = "TIMER_DELAY_MS"
	propertyDeliverMillis = "TIMER_DELIVER_MS"
	propertyTransaction   = "TRAN_MSG"
	propertyUniqueKey     = "UNIQ_KEY"
	propertyRegion        = "MSG_REGION"
	propertyTrace         = "TRACE_ON"
	propertyCluster       = "CLUSTER"
	propertyPopCheckpoint = "POP_CK"
	propertyInnerNumber   = "INNER_NUM"
	propertyWaitStored    = "WAIT"
	propertyShardingKey   = "__SHARDINGKEY"
	propertyRealTopic     = "REAL_TOPIC"
	propertyRealQueue     = "REAL_QID"
	propertyProducerGroup = "PGROUP"
	propertyTransactionID = "__transactionId__"
	propertyImmunity      = "CHECK_IMMUNITY_TIME_IN_SECONDS"
	propertyCheckTimes    = "TRANSACTION_CHECK_TIMES"
	propertyRetryTopic    = "RETRY_TOPIC"
	propertyOriginID      = "ORIGIN_MESSAGE_ID"
	propertyTimerOut      = "TIMER_OUT_MS"
	propertyTimerDelete   = "TIMER_DEL_UNIQKEY"
)

// Properties is an encoded properties string. It is read in place.
type Properties []byte

// All walks the entries in order. Entries without a name or a value are left
// out, as RocketMQ's decoder leaves them out.
func (p Properties) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := []byte(p); len(rest) > 0; {
			var name, value []byte
			name, value, rest = nextProperty(rest)
			if len(name) > 0 && len(value) > 0 && !yield(name, value) {
				return
			}
		}
	}
}

// Get returns the value of a property and whether it is there. Of two with one
// name the later counts, as in RocketMQ's map.
func (p Properties) Get(name string) (value []byte, found bool) {
	for n, v := range p.All() {
		if string(n) == name {
			value, found = v, true
		}
	}
	return value, found
}

// nextProperty cuts the first entry off b. An entry without a separator has
// no value.
func nextProperty(b []byte) (name, value, rest []byte) {
	entry := b
	if end := bytes.IndexByte(b, valueEnd); end >= 0 {
		entry, rest = b[:end], b[end+1:]
	}
	at := bytes.IndexByte(entry, nameEnd)
	if at < 0 {
		return entry, nil, rest
	}
	return entry[:at], entry[at+1:], rest
}

// Known are the properties that decide how the broker treats a message. The
// slices alias the properties string and are nil where there is none.
type Known struct {
	Keys      []byte // index keys, separated by blanks
	Tags      []byte
	UniqueKey []byte

	DelayLevel    []byte
	DelaySeconds  []byte
	DelayMillis   []byte
	DeliverMillis []byte
	TimerOut      []byte // the broker has delayed it before
	TimerDelete   []byte // it is to end another one's delay
	Transaction   []byte
	InnerNumber   []byte
	WaitStored    []byte
	ShardingKey   []byte
	Immunity      []byte // seconds before a producer is asked for the outcome of its transaction
	RealTopic     []byte // where it goes when it has waited
	RealQueue     []byte
}

// Waits reports whether the producer waits until the message is as safe as the
// broker makes it: it does unless it says otherwise (waitStoreMsgOK).
func (k *Known) Waits() bool {
	return k.WaitStored == nil || strings.EqualFold(string(k.WaitStored), "true")
}

// Timed reports whether a message is to wait for a time.
func (k *Known) Timed() bool {
	return k.DelaySeconds != nil || k.DelayMillis != nil || k.DeliverMillis != nil
}

// Known finds the known properties in one walk. When a name is there twice,
// the last one holds.
func (p Properties) Known() Known {
	var k Known
	for name, value := range p.All() {
		switch string(name) {
		case propertyKeys:
			k.Keys = value
		case propertyTags:
			k.Tags = value
		case propertyUniqueKey:
			k.UniqueKey = value
		case propertyDelayLevel:
			k.DelayLevel = value
		case propertyDelaySeconds:
			k.DelaySeconds = value
		case propertyDelayMillis:
			k.DelayMillis = value
		case propertyDeliverMillis:
			k.DeliverMillis = value
		case propertyTimerOut:
			k.TimerOut = value
		case propertyTimerDelete:
			k.TimerDelete = value
		case propertyTransaction:
			k.Transaction = value
		case propertyInnerNumber:
			k.InnerNumber = value
		case propertyWaitStored:
			k.WaitStored = value
		case propertyShardingKey:
			k.ShardingKey = value
		case propertyImmunity:
			k.Immunity = value
		case propertyRealTopic:
			k.RealTopic = value
		case propertyRealQueue:
			k.RealQueue = value
		}
	}
	return k
}

// Additions are the properties that a broker writes into each message that is
// sent to it.
type Additions struct {
	Region  string
	Trace   string // "true" or "false"
	Cluster string
	// DelayLevel takes the place of the producer's, "" keeps that.
	DelayLevel string
	// Untimed leaves out the producer's times: it has given a delay level.
	Untimed bool
}

// AppendSent appends to dst the properties of a message as they are stored:
// those the producer sent, without the ones that only the broker may set and
// without the POP checkpoint of an earlier delivery, then the broker's own.
// uniqueKey is written when it is not empty: the caller makes one for a
// message that came without.
func AppendSent(dst []byte, sent Properties, add Additions, uniqueKey []byte) []byte {
	for name, value := range sent.All() {
		switch string(name) {
		case propertyRegion, propertyTrace, propertyCluster, propertyPopCheckpoint:
			continue
		case propertyDelayLevel:
			if add.DelayLevel != "" {
				continue
			}
		case propertyDelaySeconds, propertyDelayMillis, propertyDeliverMillis:
			if add.Untimed {
				continue
			}
		}
		dst = append(dst, name...)
		dst = append(dst, nameEnd)
		dst = append(dst, value...)
		dst = append(dst, valueEnd)
	}
	dst = AppendProperty(dst, propertyRegion, add.Region)
	dst = AppendProperty(dst, propertyTrace, add.Trace)
	dst = AppendProperty(dst, propertyCluster, add.Cluster)
	dst = AppendProperty(dst, propertyDelayLevel, add.DelayLevel)
	return AppendProperty(dst, propertyUniqueKey, uniqueKey)
}

// With is a copy of the properties with one more.
func (p Properties) With(name, value string) Properties {
	copied := make([]byte, 0, len(p)+len(name)+len(value)+3)
	copied = append(copied, p...)
	if len(copied) > 0 && copied[len(copied)-1] != valueEnd {
		copied = append(copied, valueEnd)
	}
	return AppendProperty(copied, name, value)
}

// AppendNumber appends one entry with a decimal number.
func AppendNumber(dst []byte, name string, value int64) []byte {
	dst = append(append(dst, name...), nameEnd)
	return append(strconv.AppendInt(dst, value, 10), valueEnd)
}

// AppendProperty appends one entry. An empty value is left out.
func AppendProperty[T string | []byte](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, nameEnd)
	dst = append(dst, value...)
	return append(dst, valueEnd)
}
