package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DropReason says why a waiting event ends unseen. Values are part of the
// format.
type DropReason uint8

// The reasons of version 1.
const (
	DropRolledBack DropReason = 1 // the producer rolled the half message back
	DropRecalled   DropReason = 2 // the producer recalled the delayed message
	DropNoTopic    DropReason = 3 // its topic is gone
)

var dropReasonNames = [...]string{DropRolledBack: "rolled back", DropRecalled: "recalled", DropNoTopic: "no topic"}

func (r DropReason) String() string {
	if r >= DropRolledBack && r <= DropNoTopic {
		return dropReasonNames[r]
	}
	return "unknown"
}

// Drop is the payload of KindDropped.
//
// Encoded: version byte 1, one byte reason: 1 rolled back, 2 recalled, 3 its
// topic is gone.
type Drop struct{ Reason DropReason }

// AppendDrop appends the encoded form of d to dst.
func AppendDrop(dst []byte, d Drop) []byte { return append(dst, payloadVersion, byte(d.Reason)) }

// DecodeDrop decodes all of b. Errors match ErrCorrupt.
func DecodeDrop(b []byte) (Drop, error) {
	r := readPayload("drop", b)
	d := Drop{Reason: DropReason(r.number("reason", uint64(DropNoTopic)))}
	if err := r.end(); err != nil {
		return Drop{}, err
	}
	if d.Reason == 0 {
		return Drop{}, fmt.Errorf("%w: decode drop: reason 0", ErrCorrupt)
	}
	return d, nil
}

// Move is the payload of KindMoved.
//
// Encoded: version byte 1, one byte kind, uvarint times asked, then the payload
// of the event that waits.
type Move struct {
	Kind    Kind   // of the event that waits: KindDelayed or KindHalf
	Asked   uint32 // how often its producers were asked
	Payload []byte // of the event that waits
}

// AppendMove appends the encoded form of m to dst.
func AppendMove(dst []byte, m Move) []byte {
	dst = append(dst, payloadVersion, byte(m.Kind))
	dst = binary.AppendUvarint(dst, uint64(m.Asked))
	return append(dst, m.Payload...)
}

// DecodeMove decodes b; the payload aliases it. Errors match ErrCorrupt.
func DecodeMove(b []byte) (Move, error) {
	r := readPayload("move", b)
	m := Move{Kind: Kind(r.number("kind", uint64(KindHalf))), Asked: uint32(r.number("times asked", math.MaxUint32))}
	if r.err == nil && !m.Kind.Waits() {
		r.fail("an event of kind %v doesn't wait", m.Kind)
	}
	if r.err != nil {
		return Move{}, r.err
	}
	m.Payload = b[r.at:]
	return m, nil
}
