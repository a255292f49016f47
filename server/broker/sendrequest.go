package broker

import (
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// What a pooled request keeps; larger ones are left to the garbage collector.
const (
	keepMessages       = 64
	keepPropertiesByte = 4 << 10
)

// delayNone is the delay level of a message that is delivered at once.
const delayNone = "0"

// sendRequest is one send on its way: the messages of one request, from the
// reader goroutine to the replier. It is pooled.
type sendRequest struct {
	sender   *sender
	replyTo  remoting.ReplyTo
	topic    topic.Topic
	queueID  uint32
	started  time.Time
	bytes    int // of all records
	kind     messageKind
	proposal engine.Proposal

	messages   []record.Message
	drafts     []event.Draft
	plan       delay.Plan // of a message that is delayed
	keys       []uint64
	properties []byte       // rewritten
	uniqueKey  []byte       // of the request, for the reply
	pushed     *pushOutcome // of a reply to a request, else nil

	next *sendRequest // of the replier
}

func newSendRequest(s *sender) *sendRequest {
	r := &sendRequest{sender: s}
	r.proposal.Completion, r.proposal.Gathered = r, true
	return r
}

func (r *sendRequest) begin(rt remoting.ReplyTo, h *sendHeader, t topic.Topic) {
	r.replyTo, r.topic, r.queueID = rt, t, uint32(h.queueID)
	r.started, r.pushed = r.sender.config.Clock(), h.pushed
}

// Complete runs on the log's completion goroutine.
func (r *sendRequest) Complete(p *engine.Proposal) { r.sender.replier.add(r, p.Following) }

// addMessage takes in the message of an ordinary send.
func (r *sendRequest) addMessage(body []byte, h *sendHeader) error {
	sent := record.Properties(h.properties)
	known := sent.Known()
	half := h.takeHalf(&known)
	if err := r.admit(body, known, h); err != nil {
		return err
	}
	place, err := r.placeOf(&known, half, h)
	if err != nil {
		return err
	}
	r.uniqueKey = append(r.uniqueKey[:0], known.UniqueKey...)
	r.proposal.Wait, r.kind = waitOf(known), kindOf(known)
	var made []byte
	if len(known.UniqueKey) == 0 {
		r.uniqueKey = r.sender.keys.Append(r.uniqueKey, r.started.UnixMilli())
		made = r.uniqueKey
	}
	stored := r.sender.stored
	if h.redirected {
		stored.DelayLevel = delayNone
	}
	stored.Untimed = r.plan.Waits() && !r.plan.Timed()
	r.properties = record.AppendSent(r.properties[:0], sent, stored, made)
	size := 0
	if half {
		size = r.reserveHalf(&known)
	} else {
		size = r.reserve()
	}
	if size > record.PropertiesBytesMax {
		return r.illegalSize(size)
	}
	r.grow(1)
	r.add(body, r.properties, h.flag, known.Tags, record.AppendKeyHashes(r.keys, place.ID, r.uniqueKey, known.Keys), h)
	switch {
	case half:
		r.makeHalf(place, known)
	case r.plan.Waits():
		r.delay(place)
	}
	return nil
}

// addBatch takes in the messages of a batch: they are stored as they came, all
// or none.
func (r *sendRequest) addBatch(body []byte, h *sendHeader) error {
	if isRetryTopic(h.topic) {
		return refuse(remoting.ResponseMessageIllegal, "batch request does not support retry group %s", h.topic)
	}
	count, err := r.countBatch(body)
	if err != nil {
		return err
	}
	known := record.Properties(h.properties).Known()
	r.uniqueKey = append(r.uniqueKey[:0], known.UniqueKey...)
	r.proposal.Wait, r.kind = waitOf(known), kindOf(known)
	r.grow(count)
	r.properties = r.properties[:0]
	for len(body) > 0 {
		item, rest, err := record.SplitBatch(body)
		if err != nil {
			return err
		}
		body = rest
		known := record.Properties(item.Properties).Known()
		if err := r.admitToBatch(item.Body, known, h); err != nil {
			return err
		}
		properties := item.Properties
		if h.gathered {
			if properties, err = r.addGathered(item, h); err != nil {
				return err
			}
		}
		r.add(item.Body, properties, item.Flag, known.Tags, record.AppendKeyHashes(r.keys, r.topic.ID, known.UniqueKey, known.Keys), h)
	}
	return nil
}

// addGathered gives a message of a gathered batch its time of birth and the
// properties that it would have if it had come alone. When r.properties has moved
// to a larger array, the messages before still see theirs in the old one.
func (r *sendRequest) addGathered(item record.BatchItem, h *sendHeader) ([]byte, error) {
	h.bornTimestamp = item.Born
	from := len(r.properties)
	r.properties = record.AppendSent(r.properties, item.Properties, r.sender.stored, nil)
	if size := len(r.properties) - from; size > record.PropertiesBytesMax {
		return nil, r.illegalSize(size)
	}
	return r.properties[from:len(r.properties):len(r.properties)], nil
}

// countBatch checks the layout of a batch before anything is sized by it.
func (r *sendRequest) countBatch(body []byte) (int, error) {
	if len(body) > r.sender.broker.live.get().messageBytesMax {
		return 0, r.illegalSize(0)
	}
	count := 0
	for rest := body; len(rest) > 0; count++ {
		var err error
		if _, rest, err = record.SplitBatch(rest); err != nil {
			return 0, refuse(remoting.ResponseMessageIllegal, "the batch can't be read: %v", err)
		}
	}
	if count == 0 || count > r.sender.config.Limits.BatchMessages {
		return 0, refuse(remoting.ResponseMessageIllegal, "the batch has %d messages, 1 to %d are allowed",
			count, r.sender.config.Limits.BatchMessages)
	}
	return count, nil
}

// waitOf is the mark that a producer waits for.
func waitOf(known record.Known) engine.Wait {
	if known.Waits() {
		return engine.WaitCommitted
	}
	return engine.WaitWritten
}

// kindOf is what metrics call a message, by the rules of RocketMQ.
func kindOf(known record.Known) messageKind {
	switch {
	case known.ShardingKey != nil:
		return kindFIFO
	case known.DelayLevel != nil || known.Timed():
		return kindDelay
	}
	return kindNormal
}

// admit refuses what can't be stored as an ordinary message.
func (r *sendRequest) admit(body []byte, known record.Known, h *sendHeader) error {
	switch {
	case known.Transaction != nil && string(known.Transaction) == "true" || h.systemFlag&record.FlagTransaction != 0:
		return refuse(remoting.ResponseMessageIllegal, "a transactional message must be sent by itself, and its system flag must say prepared")
	case len(body) == 0:
		return refuse(remoting.ResponseMessageIllegal, "the message has no body")
	case len(body) > r.sender.broker.live.get().messageBytesMax:
		return r.illegalSize(0)
	case known.InnerNumber != nil:
		return refuse(remoting.ResponseMessageIllegal, "the property INNER_NUM is reserved for batches that the broker makes")
	}
	return nil
}

func (r *sendRequest) illegalSize(propertiesBytes int) error {
	return refuse(remoting.ResponseMessageIllegal,
		"the message is illegal: its body may have %d bytes and its properties %d (they have %d with those that the broker adds)",
		r.sender.broker.live.get().messageBytesMax, record.PropertiesBytesMax, propertiesBytes)
}

// grow makes room for count messages, so that pointers to them stay valid.
func (r *sendRequest) grow(count int) {
	r.messages = slices.Grow(r.messages[:0], count)
	r.drafts = slices.Grow(r.drafts[:0], count)
}

// add appends one message. keys is r.keys with the hashes of this message
// appended; when that has moved to a larger array, the drafts before still
// see their hashes in the old one.
func (r *sendRequest) add(body, properties []byte, flag int32, tags []byte, keys []uint64, h *sendHeader) {
	from := len(r.keys)
	r.keys = keys
	r.messages = append(r.messages, record.Message{
		QueueID: r.queueID, Flag: flag, SystemFlag: h.systemFlag,
		BornTimestamp: h.bornTimestamp, BornHost: r.replyTo.Conn.RemoteAddr(), StoreHost: r.sender.config.Address,
		ReconsumeTimes: h.reconsumeTimes, Topic: r.topic.Config.Name, Properties: properties,
	})
	m := &r.messages[len(r.messages)-1]
	m.SetBody(body)
	r.bytes += m.PayloadBytes()
	r.drafts = append(r.drafts, event.Draft{
		Kind: event.KindMessage, Stream: event.StreamQueue, Topic: r.topic.ID, Queue: r.queueID,
		Tag: record.TagCode(tags), Keys: keys[from:len(keys):len(keys)], Payload: m,
	})
}

// reset lets go of everything borrowed and reports whether the request is
// small enough to be kept.
func (r *sendRequest) reset() bool {
	clear(r.messages)
	clear(r.drafts)
	r.messages, r.drafts, r.keys = r.messages[:0], r.drafts[:0], r.keys[:0]
	r.replyTo, r.topic, r.plan, r.next, r.bytes, r.pushed = remoting.ReplyTo{}, topic.Topic{}, delay.Plan{}, nil, 0, nil
	r.proposal = engine.Proposal{Completion: r, Gathered: true}
	return cap(r.messages) <= keepMessages && cap(r.properties) <= keepPropertiesByte && cap(r.uniqueKey) <= keepPropertiesByte
}

// fill writes the reply: step 9 of a write's path.
func (r *sendRequest) fill(reply *remoting.Reply, scratch []byte) []byte {
	p := &r.proposal
	if p.Outcome == engine.OutcomeUnknown {
		if r.pushed != nil {
			r.sender.fillPushed(reply, r.pushed, r.queueID)
			return scratch
		}
		respond(reply, errUnknownOutcome)
		return scratch
	}
	s := r.sender
	reply.Code = sendCodes[p.Outcome]
	if r.pushed != nil {
		r.pushed.judge(reply)
	}
	scratch = scratch[:0]
	at := p.Position
	for i := range p.Drafts {
		if i > 0 {
			scratch = append(scratch, ',')
		}
		scratch = record.AppendMessageID(scratch, s.config.Address, int64(at))
		at += event.Position(p.Drafts[i].EncodedBytes()) // they stand side by side
	}
	reply.SetBytes("msgId", scratch)
	reply.SetInt("queueId", int64(r.queueID))
	reply.SetInt("queueOffset", int64(p.Offset))
	if len(r.uniqueKey) > 0 {
		reply.SetBytes("transactionId", r.uniqueKey)
	}
	if r.plan.Timed() && !isRetryTopic([]byte(r.topic.Config.Name)) {
		scratch = r.appendRecallHandle(scratch[:0])
		reply.SetBytes("recallHandle", scratch)
	}
	reply.SetText("MSG_REGION", s.stored.Region)
	reply.SetText("TRACE_ON", s.stored.Trace)
	return scratch
}
