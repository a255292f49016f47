package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// LossCause says why acknowledged events may be missing. Values are part of the
// format.
type LossCause uint8

// The causes of version 1.
const (
	LostByPower  LossCause = 1 // the machine went down before a sync
	LostByDamage LossCause = 2 // frames that were durable can't be read
	LostByForce  LossCause = 3 // an operator has let a node go on without what others have
)

var lossCauseNames = [...]string{LostByPower: "power", LostByDamage: "damage", LostByForce: "force"}

func (c LossCause) String() string {
	if c >= LostByPower && c <= LostByForce {
		return lossCauseNames[c]
	}
	return "unknown"
}

// Lost is the payload of KindLost: events behind a frame may be missing that had
// been acknowledged. The offsets of their queues are given out again, so a
// consumer that was past them may miss events.
//
// Encoded: version byte 1, uvarint index of the last frame that was kept, uvarint
// position after it, uvarint index of the last frame of which it is known that
// it was there (0: not known), one byte cause: 1 power, 2 damage, 3 force.
type Lost struct {
	Kept     Index
	Position Position
	Had      Index // 0, or Kept at least
	Cause    LossCause
}

// Validate reports what the caller did wrong. Whoever proposes a KindLost
// event calls it first.
func (l Lost) Validate() error {
	switch {
	case l.Had != 0 && l.Had < l.Kept:
		return fmt.Errorf("encode lost: frame %d was kept, later than %d, which was there", l.Kept, l.Had)
	case l.Cause < LostByPower || l.Cause > LostByForce:
		return fmt.Errorf("encode lost: cause %d is unknown", l.Cause)
	}
	return nil
}

// AppendLost appends the encoded form of l, which Validate has passed, to dst.
func AppendLost(dst []byte, l Lost) []byte {
	dst = append(dst, payloadVersion)
	dst = binary.AppendUvarint(dst, uint64(l.Kept))
	dst = binary.AppendUvarint(dst, uint64(l.Position))
	dst = binary.AppendUvarint(dst, uint64(l.Had))
	return append(dst, byte(l.Cause))
}

// DecodeLost decodes all of b. What it accepts also passes Validate. Errors
// match ErrCorrupt.
func DecodeLost(b []byte) (Lost, error) {
	r := readPayload("lost", b)
	l := Lost{
		Kept:     Index(r.number("kept frame", math.MaxUint64)),
		Position: Position(r.number("position", math.MaxUint64)),
		Had:      Index(r.number("last frame", math.MaxUint64)),
		Cause:    LossCause(r.number("cause", uint64(LostByForce))),
	}
	if err := r.end(); err != nil {
		return Lost{}, err
	}
	if err := l.Validate(); err != nil {
		return Lost{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return l, nil
}
