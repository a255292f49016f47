package remoting

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// FrameBytesMax is the largest value of a frame's length field, as in
	// RocketMQ's NettyDecoder (16 MiB). A longer frame closes the connection.
	FrameBytesMax = 16 << 20

	lengthBytes    = 4 // the length field
	prefixBytes    = 8 // length and header info
	headerBytesMax = 1<<24 - 1
	tlsRecordByte  = 0x16 // first byte of a TLS handshake
)

// ErrProtocol marks bytes that are not a RocketMQ frame. The connection they
// came from is closed without an answer, as RocketMQ does.
var ErrProtocol = errors.New("not a RocketMQ frame")

// ErrTooLarge says that a request does not fit in one frame.
var ErrTooLarge = errors.New("frame too large")

// Serialization says how a frame's header is encoded: the top byte of the
// header info.
type Serialization uint8

// The serializations of RocketMQ's SerializeType.
const (
	JSON   Serialization = 0
	Binary Serialization = 1 // RocketMQ calls it ROCKETMQ
)

// String is RocketMQ's name of the serialization.
func (s Serialization) String() string {
	switch s {
	case JSON:
		return "JSON"
	case Binary:
		return "ROCKETMQ"
	}
	return fmt.Sprintf("serialization %d", uint8(s))
}

// prefix is what a frame's first eight bytes say.
type prefix struct {
	frameBytes    int // whole frame, length field included
	headerBytes   int
	serialization Serialization
}

// frameLength reads the length field and checks it against the limit, so that
// a lying peer is found out at its fourth byte. The result includes the field.
func frameLength(b []byte, frameBytesMax int) (int, error) {
	n := binary.BigEndian.Uint32(b)
	switch {
	case uint64(n) > uint64(frameBytesMax):
		return 0, fmt.Errorf("%w: length %d, at most %d are allowed", ErrProtocol, n, frameBytesMax)
	case n < prefixBytes-lengthBytes:
		return 0, fmt.Errorf("%w: length %d, at least %d are needed", ErrProtocol, n, prefixBytes-lengthBytes)
	}
	return lengthBytes + int(n), nil
}

// parsePrefix reads the eight bytes that every frame begins with.
func parsePrefix(b []byte, frameBytesMax int) (prefix, error) {
	total, err := frameLength(b, frameBytesMax)
	if err != nil {
		return prefix{}, err
	}
	info := binary.BigEndian.Uint32(b[lengthBytes:])
	p := prefix{frameBytes: total, headerBytes: int(info & headerBytesMax), serialization: Serialization(info >> 24)}
	switch {
	case p.headerBytes > total-prefixBytes:
		return prefix{}, fmt.Errorf("%w: header of %d bytes in a frame of %d", ErrProtocol, p.headerBytes, total)
	case p.serialization > Binary:
		return prefix{}, fmt.Errorf("%w: unknown %v", ErrProtocol, p.serialization)
	}
	return p, nil
}

// findFrame looks at the frame that b begins with, and reports whether all of
// it is there. A length is checked as soon as its four bytes are.
func findFrame(b []byte, frameBytesMax int) (p prefix, whole bool, err error) {
	if len(b) >= prefixBytes {
		p, err = parsePrefix(b, frameBytesMax)
		return p, err == nil && len(b) >= p.frameBytes, err
	}
	if len(b) >= lengthBytes {
		_, err = frameLength(b, frameBytesMax)
	}
	return prefix{}, false, err
}

// openFrame reserves the prefix of a frame at the end of dst.
func openFrame(dst []byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
}

// closeFrame fills in the prefix at dst[at:] once the header stands behind it.
// The body, bodyBytes long, follows the header. It reports whether the frame
// is within FrameBytesMax.
func closeFrame(dst []byte, at, bodyBytes int, s Serialization) bool {
	header := len(dst) - at - prefixBytes
	length := prefixBytes - lengthBytes + header + bodyBytes
	if length > FrameBytesMax {
		return false
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(length))
	binary.BigEndian.PutUint32(dst[at+lengthBytes:], uint32(s)<<24|uint32(header))
	return true
}
