package transport

import (
	"encoding/binary"
	"fmt"
	"math"
)

// kind tells what a frame is.
type kind byte

const (
	kindHello kind = iota + 1
	kindAppend
	kindHeartbeat
	kindVote
	kindPreVote
	kindSnapshot
	kindTimeoutNow
	kindTermAt
	kindFrames
	kindStanding
	kindState

	kindResponse kind = 0x80 // set in responses
)

// decoder takes fields off a body. After the first mistake it yields zeros and
// keeps the error.
type decoder struct {
	left []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
	d.left = nil
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.left) {
		d.fail("%d bytes expected, %d are left", n, len(d.left))
		return nil
	}
	b := d.left[:n:n]
	d.left = d.left[n:]
	return b
}

func (d *decoder) uint8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// bytes takes a field with its length before it, which must not be longer than
// limit. The result is part of the body.
func (d *decoder) bytes(limit int) []byte {
	n := d.uint32()
	if uint64(n) > uint64(limit) {
		d.fail("a field of %d bytes, at most %d are allowed", n, limit)
		return nil
	}
	return d.take(int(n))
}

// text is bytes as a string.
func (d *decoder) text(limit int) string { return string(d.bytes(limit)) }

// flag takes a byte that is 0 or 1.
func (d *decoder) flag() bool {
	v := d.uint8()
	if v > 1 {
		d.fail("%d where 0 or 1 is expected", v)
	}
	return v == 1
}

// end checks that nothing is left.
func (d *decoder) end() error {
	if d.err == nil && len(d.left) > 0 {
		d.fail("%d bytes too many", len(d.left))
	}
	return d.err
}

func appendUint64s(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func appendBytes[T ~string | ~[]byte](b []byte, field T) []byte {
	if len(field) > math.MaxUint32 {
		panic("BUG: transport: a field is longer than its length can say")
	}
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(field))), field...)
}

func appendFlag(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
