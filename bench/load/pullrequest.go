package load

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

// request is an encoded PULL_MESSAGE of one queue, cut where the queue offset
// goes: its digits are as many as the number has.
type request struct {
	head        frame.Head // with the placeholder
	offsetAt    int
	signatureAt int
}

// offsetPlaceholder stands where the queue offset goes.
const offsetPlaceholder = "2222222222222222222"

const subscriptionIncluded = 4 // of a pull's sysFlag: no heartbeat is needed

func newPullRequest(o *PullOptions, queue int) (r request, err error) {
	r.head, r.signatureAt, err = o.encode(frame.Request{Code: remoting.RequestPullMessage, Fields: []frame.Field{
		// First, so that no other value can be taken for the placeholder.
		{Key: "queueOffset", Value: offsetPlaceholder},
		{Key: "consumerGroup", Value: o.Group}, {Key: "topic", Value: o.Topic},
		{Key: "queueId", Value: decimal(queue)}, {Key: "maxMsgNums", Value: decimal(o.Count)},
		{Key: "sysFlag", Value: decimal(subscriptionIncluded)}, {Key: "commitOffset", Value: "0"},
		{Key: "suspendTimeoutMillis", Value: "0"}, {Key: "subscription", Value: "*"},
		{Key: "subVersion", Value: "1"}, {Key: "expressionType", Value: "TAG"},
	}}, 0)
	r.offsetAt = bytes.Index(r.head.Bytes, []byte(offsetPlaceholder))
	return r, err
}

// append adds the request to dst, with its opaque and offset. The digits of
// the offset replace the placeholder, and what stands behind it moves up, the
// opaque included; so that is patched before the move.
func (r *request) append(dst []byte, opaque int32, offset int64) []byte {
	var number [20]byte
	digits := strconv.AppendInt(number[:0], offset, 10)
	at := len(dst)
	dst = append(dst, r.head.Bytes...)
	whole := dst[at:]
	r.head.PutOpaque(whole, opaque)
	copy(whole[r.offsetAt:], digits)
	tail := copy(whole[r.offsetAt+len(digits):], whole[r.offsetAt+len(offsetPlaceholder):])
	dst = dst[:at+r.offsetAt+len(digits)+tail]
	headerBytes := len(dst) - at - 8
	frame.PutLength(dst[at:], r.head.Serialization, headerBytes, 0)
	if r.head.Serialization == frame.Binary {
		r.shorten(dst[at:], len(offsetPlaceholder)-len(digits), len(digits))
	}
	return dst
}

// shorten corrects the two lengths of a binary header that count the digits:
// the value's own and the map's.
func (r *request) shorten(whole []byte, by, digits int) {
	be := binary.BigEndian
	be.PutUint32(whole[r.offsetAt-4:], uint32(digits))
	const mapAt = 8 + 17 // behind the length words: fixed part without remark
	be.PutUint32(whole[mapAt:], be.Uint32(whole[mapAt:])-uint32(by))
}
