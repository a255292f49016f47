package load

import (
	"bytes"
	"fmt"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

// plan has all requests of a send load, encoded once: a head per queue and
// one body for all. Connections share it and never change it.
type plan struct {
	heads     []head
	body      []byte
	bodyKeys  []int   // where unique keys stand in the body of a batch
	ending    *ending // of transactions, else nil
	messages  int     // in a request
	bodyBytes int     // message bodies in a request
}

// head is an encoded frame up to its body, with the places to patch.
type head struct {
	frame.Head
	bornAt      int
	keyAt       int // of a single message's unique key; 0 in a batch
	dueAt       int // of the time of a delayed message, else 0
	signatureAt int
}

// patch is what differs between the requests of a queue.
type patch struct {
	opaque   int32
	born     []byte
	firstKey uint64 // numbers the request's first message; the others follow
	due      int64  // Unix milliseconds
}

func newPlan(o *SendOptions) (*plan, error) {
	p := &plan{messages: o.Batch, bodyBytes: o.Batch * o.Size}
	if o.Batch > 1 {
		p.body, p.bodyKeys = batchBody(o.Batch, o.Size)
	} else {
		p.body = text(o.Size)
	}
	if o.Kind == Transactional {
		e, err := newEnding(o)
		if err != nil {
			return nil, err
		}
		p.ending = e
	}
	for topic := range o.Topics {
		for queue := range o.Queues {
			h, err := newHead(o, o.topicName(topic), queue, len(p.body))
			if err != nil {
				return nil, err
			}
			p.heads = append(p.heads, h)
		}
	}
	return p, nil
}

// newHead encodes the request for one queue: SEND_MESSAGE_V2 or
// SEND_BATCH_MESSAGE with the fields of the Java producer.
func newHead(o *SendOptions, topic string, queue, bodyBytes int) (head, error) {
	code, batch, text := remoting.RequestSendMessageV2, "false", o.properties()
	if o.Batch > 1 {
		code, batch, text = remoting.RequestSendBatchMessage, "true", ""
	}
	var h head
	var err error
	h.Head, h.signatureAt, err = o.encode(frame.Request{Code: code, Fields: []frame.Field{
		{Key: "a", Value: o.Producers}, {Key: "b", Value: topic}, {Key: "c", Value: "TBW102"},
		{Key: "d", Value: decimal(o.Queues)}, {Key: "e", Value: decimal(queue)}, {Key: "f", Value: o.systemFlag()},
		{Key: "g", Value: bornPlaceholder}, {Key: "h", Value: "0"}, {Key: "i", Value: text},
		{Key: "j", Value: "0"}, {Key: "k", Value: "false"}, {Key: "m", Value: batch},
	}}, bodyBytes)
	if err != nil {
		return h, err
	}
	if h.bornAt, err = place(h.Bytes, bornPlaceholder); err != nil {
		return h, err
	}
	if o.Batch == 1 {
		h.keyAt, err = place(h.Bytes, keyPlaceholder)
	}
	if err == nil && o.Kind == Delayed && o.Delay.Level == 0 {
		h.dueAt, err = place(h.Bytes, duePlaceholder)
	}
	return h, err
}

// place finds the only occurrence of a placeholder.
func place(b []byte, placeholder string) (int, error) {
	if bytes.Count(b, []byte(placeholder)) != 1 {
		return 0, fmt.Errorf("encode request: %q must occur once: choose another topic or producer group", placeholder)
	}
	return bytes.Index(b, []byte(placeholder)), nil
}

// append adds the request of one queue to dst, patched.
func (p *plan) append(dst []byte, queue int, with patch) []byte {
	h := &p.heads[queue]
	at := len(dst)
	dst = append(dst, h.Bytes...)
	dst = append(dst, p.body...)
	header := dst[at : at+len(h.Bytes)]
	h.PutOpaque(header, with.opaque)
	copy(header[h.bornAt:], with.born)
	if h.keyAt > 0 {
		frame.PutHex(header[h.keyAt+uniqueKeyBytes-keyDigits:h.keyAt+uniqueKeyBytes], with.firstKey)
	}
	if h.dueAt > 0 {
		frame.PutDecimal(header[h.dueAt:h.dueAt+len(duePlaceholder)], with.due)
	}
	body := dst[at+len(h.Bytes):]
	for i, keyAt := range p.bodyKeys {
		frame.PutHex(body[keyAt+uniqueKeyBytes-keyDigits:keyAt+uniqueKeyBytes], with.firstKey+uint64(i))
	}
	return dst
}
