package broker

import (
	"math"
	"strconv"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// sendHeader is the header of a send request. Its slices alias the command.
type sendHeader struct {
	producerGroup     []byte
	topic             []byte
	defaultTopic      []byte
	properties        []byte
	defaultQueues     int32
	queueID           int32
	systemFlag        int32
	flag              int32
	reconsumeTimes    int32
	maxReconsumeTimes int32 // -1 when absent
	bornTimestamp     int64
	batch             bool
	gathered          bool         // a batch of messages that were sent one by one
	redirected        bool         // to the dead letters
	pushed            *pushOutcome // of a reply, else nil
}

// sendField names the fields of both header styles: the letters are those of
// SendMessageRequestHeaderV2.
type sendField byte

const (
	fieldProducerGroup     sendField = 'a'
	fieldTopic             sendField = 'b'
	fieldDefaultTopic      sendField = 'c'
	fieldDefaultQueues     sendField = 'd'
	fieldQueueID           sendField = 'e'
	fieldSystemFlag        sendField = 'f'
	fieldBornTimestamp     sendField = 'g'
	fieldFlag              sendField = 'h'
	fieldProperties        sendField = 'i'
	fieldReconsumeTimes    sendField = 'j'
	fieldMaxReconsumeTimes sendField = 'l'
	fieldBatch             sendField = 'm'
)

// longSendField finds the field of a name of SendMessageRequestHeader, 0 for
// names that don't matter here.
func longSendField(name []byte) sendField {
	switch string(name) {
	case "producerGroup":
		return fieldProducerGroup
	case "topic":
		return fieldTopic
	case "defaultTopic":
		return fieldDefaultTopic
	case "defaultTopicQueueNums":
		return fieldDefaultQueues
	case "queueId":
		return fieldQueueID
	case "sysFlag":
		return fieldSystemFlag
	case "bornTimestamp":
		return fieldBornTimestamp
	case "flag":
		return fieldFlag
	case "properties":
		return fieldProperties
	case "reconsumeTimes":
		return fieldReconsumeTimes
	case "maxReconsumeTimes":
		return fieldMaxReconsumeTimes
	case "batch":
		return fieldBatch
	}
	return 0
}

// mandatorySendFields are those whose absence RocketMQ answers with an error.
var mandatorySendFields = [...]sendField{fieldTopic, fieldQueueID, fieldSystemFlag, fieldBornTimestamp, fieldFlag}

// parse reads the header in one walk over the fields. Of equal keys the last
// one counts.
func (h *sendHeader) parse(cmd *remoting.Command) error {
	*h = sendHeader{maxReconsumeTimes: -1}
	long := cmd.Code == remoting.RequestSendMessage || cmd.Code == remoting.RequestSendReplyMessage
	var seen uint32
	for i := range cmd.Fields {
		f := &cmd.Fields[i]
		var field sendField
		if long {
			field = longSendField(f.Key)
		} else if len(f.Key) == 1 {
			field = sendField(f.Key[0])
		} else if string(f.Key) == record.FieldGathered {
			h.gathered = true
		}
		if field < fieldProducerGroup || field > fieldBatch {
			continue
		}
		if !h.set(field, f.Value) {
			return refuse(remoting.ResponseInvalidParameter, "the header field %s is %q, which is not a number", f.Key, f.Value)
		}
		seen |= 1 << (field - fieldProducerGroup)
	}
	for _, field := range mandatorySendFields {
		if seen&(1<<(field-fieldProducerGroup)) == 0 {
			return refuse(remoting.ResponseInvalidParameter, "a header field of the send request is missing: %c in the short style", field)
		}
	}
	return nil
}

// set reports false when a number can't be read. An absent optional number may
// come as an empty text.
func (h *sendHeader) set(field sendField, value []byte) bool {
	switch field {
	case fieldProducerGroup:
		h.producerGroup = value
	case fieldTopic:
		h.topic = value
	case fieldDefaultTopic:
		h.defaultTopic = value
	case fieldProperties:
		h.properties = value
	case fieldDefaultQueues:
		return setInt32(&h.defaultQueues, value)
	case fieldQueueID:
		return setInt32(&h.queueID, value)
	case fieldSystemFlag:
		return setInt32(&h.systemFlag, value)
	case fieldFlag:
		return setInt32(&h.flag, value)
	case fieldReconsumeTimes:
		return len(value) == 0 || setInt32(&h.reconsumeTimes, value)
	case fieldMaxReconsumeTimes:
		return len(value) == 0 || setInt32(&h.maxReconsumeTimes, value)
	case fieldBornTimestamp:
		n, err := strconv.ParseInt(string(value), 10, 64)
		h.bornTimestamp = n
		return err == nil
	case fieldBatch:
		h.batch = string(value) == "true"
	}
	return true
}

func setInt32(n *int32, value []byte) bool {
	v, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || v < math.MinInt32 || v > math.MaxInt32 {
		return false
	}
	*n = int32(v)
	return true
}
