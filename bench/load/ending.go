package load

import (
	"encoding/hex"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// Where numbers of up to 19 digits go. They are written with leading zeros.
	statePlaceholder    = "3333333333333333333"
	positionPlaceholder = "4444444444444444444"
	// transactionPlaceholder stands where the unique key goes a second time.
	transactionPlaceholder = "B9F0C0DEA9F0C0DE0000000000000000"

	// messageIDDigits are the hexadecimal digits of a message id of a broker
	// with an IPv4 address; the last positionDigits are the position.
	messageIDDigits = 32
	positionDigits  = 16

	commitTransaction = "8"
)

// ending is an encoded END_TRANSACTION that commits, with the places to patch.
type ending struct {
	frame.Head
	stateAt, positionAt, messageAt, transactionAt, signatureAt int
}

// endingBase is the smallest opaque of an end of a transaction. RocketMQ answers
// a one-way request, too, that waited for too long; that is no answer to a send.
const endingBase = 2 * frame.OpaqueBase

// newEnding encodes the request as RocketMQ's producers send it: one-way.
func newEnding(o *SendOptions) (*ending, error) {
	e := &ending{}
	var err error
	e.Head, e.signatureAt, err = o.encode(frame.Request{
		Code: remoting.RequestEndTransaction, Flag: frame.FlagOneway, Fields: []frame.Field{
			{Key: "topic", Value: o.Topic}, {Key: "producerGroup", Value: o.Producers},
			{Key: "tranStateTableOffset", Value: statePlaceholder}, {Key: "commitLogOffset", Value: positionPlaceholder},
			{Key: "commitOrRollback", Value: commitTransaction}, {Key: "fromTransactionCheck", Value: "false"},
			{Key: "msgId", Value: keyPlaceholder}, {Key: "transactionId", Value: transactionPlaceholder},
		}}, 0)
	if err != nil {
		return nil, err
	}
	for placeholder, at := range map[string]*int{
		statePlaceholder: &e.stateAt, positionPlaceholder: &e.positionAt,
		keyPlaceholder: &e.messageAt, transactionPlaceholder: &e.transactionAt,
	} {
		if *at, err = place(e.Bytes, placeholder); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// append adds the end of the transaction whose send, with opaque, was answered
// by f. It reports false for an answer without what the end needs.
func (e *ending) append(dst []byte, f *frame.Frame, opaque int32) ([]byte, bool) {
	id, found := f.Field("msgId")
	key, keyed := f.Field("transactionId")
	state, placed := f.Field("queueOffset")
	if !found || !keyed || !placed || len(id) != messageIDDigits || len(key) != uniqueKeyBytes || len(state) > len(statePlaceholder) {
		return dst, false
	}
	var raw [positionDigits / 2]byte
	if _, err := hex.Decode(raw[:], id[messageIDDigits-positionDigits:]); err != nil {
		return dst, false
	}
	position := int64(0)
	for _, b := range raw {
		position = position<<8 | int64(b)
	}
	at := len(dst)
	dst = append(dst, e.Bytes...)
	end := dst[at:]
	e.PutOpaque(end, opaque-frame.OpaqueBase+endingBase)
	frame.PutDecimal(end[e.positionAt:e.positionAt+len(positionPlaceholder)], position)
	pad := len(statePlaceholder) - len(state)
	frame.PutDecimal(end[e.stateAt:e.stateAt+pad], 0)
	copy(end[e.stateAt+pad:], state)
	copy(end[e.messageAt:], key)
	copy(end[e.transactionAt:], key)
	return dst, true
}
