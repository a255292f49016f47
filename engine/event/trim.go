package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// TrimCause says why retention dropped a part of the log. Values are part of
// the format.
type TrimCause uint8

// The causes of version 1.
const (
	TrimByAge   TrimCause = 1 // kept for as long as the configuration says
	TrimBySize  TrimCause = 2 // the log was larger than the configuration allows
	TrimBySpace TrimCause = 3 // the disk was too full
)

var trimCauseNames = [...]string{TrimByAge: "age", TrimBySize: "size", TrimBySpace: "space"}

func (c TrimCause) String() string {
	if c >= TrimByAge && c <= TrimBySpace {
		return trimCauseNames[c]
	}
	return "unknown"
}

// Trim is the payload of KindTrim: the log begins behind a frame from now on.
// The leader has decided it, so all replicas and every rebuild agree on the
// oldest offset of each queue, whenever each of them removes its files.
//
// Encoded: version byte 1, uvarint index of the last frame that goes, uvarint
// position after it, one byte cause: 1 age, 2 size, 3 space on the disk.
type Trim struct {
	// Through is the last frame that goes, at least 1 and before the frame of
	// the event itself.
	Through Index
	// Position after that frame, at least 1: where the log begins.
	Position Position
	Cause    TrimCause
}

// Validate reports what the caller did wrong. Whoever proposes a KindTrim
// event calls it first.
func (t Trim) Validate() error {
	switch {
	case t.Through == 0 || t.Position == 0:
		return fmt.Errorf("encode trim: through frame %d up to position %d: nothing would go", t.Through, t.Position)
	case t.Cause < TrimByAge || t.Cause > TrimBySpace:
		return fmt.Errorf("encode trim: cause %d is unknown", t.Cause)
	}
	return nil
}

// AppendTrim appends the encoded form of t, which Validate has passed, to dst.
func AppendTrim(dst []byte, t Trim) []byte {
	dst = append(dst, payloadVersion)
	dst = binary.AppendUvarint(dst, uint64(t.Through))
	dst = binary.AppendUvarint(dst, uint64(t.Position))
	return append(dst, byte(t.Cause))
}

// DecodeTrim decodes all of b. What it accepts also passes Validate. Errors
// match ErrCorrupt.
func DecodeTrim(b []byte) (Trim, error) {
	r := readPayload("trim", b)
	t := Trim{
		Through:  Index(r.number("last frame", math.MaxUint64)),
		Position: Position(r.number("position", math.MaxUint64)),
		Cause:    TrimCause(r.number("cause", uint64(TrimBySpace))),
	}
	if err := r.end(); err != nil {
		return Trim{}, err
	}
	if err := t.Validate(); err != nil {
		return Trim{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return t, nil
}
