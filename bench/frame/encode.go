package frame

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
)

// Serialization tells how a header is encoded; it is the byte in the frame.
type Serialization uint8

// The two header encodings of RocketMQ.
const (
	JSON   Serialization = 0
	Binary Serialization = 1
)

// ParseSerialization reads the name used on the command line: json or rocketmq.
func ParseSerialization(name string) (Serialization, error) {
	switch name {
	case "json":
		return JSON, nil
	case "rocketmq":
		return Binary, nil
	}
	return 0, fmt.Errorf("parse header %q: allowed are json and rocketmq", name)
}

// String is the name that ParseSerialization reads.
func (s Serialization) String() string {
	if s == Binary {
		return "rocketmq"
	}
	return "json"
}

const (
	// OpaqueBase is the smallest opaque of a Request: the first number of ten
	// digits, so that any opaque up to OpaqueMax takes the same space.
	OpaqueBase = 1_000_000_000
	// OpaqueMax is the largest opaque: they are 32-bit signed.
	OpaqueMax = 1<<31 - 1

	opaqueDigits = 10
	prefixBytes  = 8
	// protocolVersion is RocketMQ's ordinal of V5_3_3; servers enable every
	// feature for it.
	protocolVersion = 479
	languageGo      = 9
)

// Field is one entry of a header's map.
type Field struct{ Key, Value string }

// FlagOneway says that a request gets no reply.
const FlagOneway = 2

// Request is a command before it is encoded.
type Request struct {
	Code   int32
	Flag   uint8 // 0, or FlagOneway
	Fields []Field
}

// Head is an encoded frame without its body, with OpaqueBase as opaque.
type Head struct {
	// Bytes are the length words and the header. The length counts the body
	// whose size was given to Encode.
	Bytes         []byte
	Serialization Serialization
	opaqueAt      int
}

// Encode builds the head of a request whose body will have bodyBytes bytes.
func Encode(s Serialization, r Request, bodyBytes int) Head {
	h := Head{Bytes: make([]byte, prefixBytes, 512), Serialization: s}
	if s == Binary {
		h.appendBinary(r)
	} else {
		h.appendJSON(r)
	}
	h.SetLength(bodyBytes)
	return h
}

// SetLength writes both length words for a body of bodyBytes bytes.
func (h *Head) SetLength(bodyBytes int) {
	PutLength(h.Bytes, h.Serialization, len(h.Bytes)-prefixBytes, bodyBytes)
}

// PutLength writes the two length words of a frame into dst[0:8].
func PutLength(dst []byte, s Serialization, headerBytes, bodyBytes int) {
	binary.BigEndian.PutUint32(dst, uint32(4+headerBytes+bodyBytes))
	binary.BigEndian.PutUint32(dst[4:], uint32(s)<<24|uint32(headerBytes))
}

// PutOpaque writes opaque, OpaqueBase to OpaqueMax, into a copy of the head.
func (h *Head) PutOpaque(copied []byte, opaque int32) {
	if h.Serialization == Binary {
		binary.BigEndian.PutUint32(copied[h.opaqueAt:], uint32(opaque))
		return
	}
	PutDecimal(copied[h.opaqueAt:h.opaqueAt+opaqueDigits], int64(opaque))
}

// PutDecimal fills dst with the decimal digits of v, with leading zeros.
func PutDecimal(dst []byte, v int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

const hexDigits = "0123456789ABCDEF"

// PutHex fills dst with the low hexadecimal digits of v, upper case.
func PutHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = hexDigits[v&15]
		v >>= 4
	}
}

// appendJSON writes the members in the order in which the Java client does.
func (h *Head) appendJSON(r Request) {
	b := append(h.Bytes, `{"code":`...)
	b = strconv.AppendInt(b, int64(r.Code), 10)
	b = append(b, `,"extFields":{`...)
	for i, f := range r.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, f.Key)
		b = append(b, ':')
		b = appendQuoted(b, f.Value)
	}
	b = append(b, `},"flag":`...)
	b = strconv.AppendUint(b, uint64(r.Flag), 10)
	b = append(b, `,"language":"GO","opaque":`...)
	h.opaqueAt = len(b)
	b = strconv.AppendInt(b, OpaqueBase, 10)
	b = append(b, `,"serializeTypeCurrentRPC":"JSON","version":`...)
	b = strconv.AppendInt(b, protocolVersion, 10)
	h.Bytes = append(b, '}')
}

func appendQuoted(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("BUG: a string has no JSON form: " + err.Error())
	}
	return append(b, quoted...)
}

func (h *Head) appendBinary(r Request) {
	be := binary.BigEndian
	b := be.AppendUint16(h.Bytes, uint16(r.Code))
	b = append(b, languageGo)
	b = be.AppendUint16(b, protocolVersion)
	h.opaqueAt = len(b)
	b = be.AppendUint32(b, OpaqueBase)
	b = be.AppendUint32(b, uint32(r.Flag))
	b = be.AppendUint32(b, 0) // no remark
	at := len(b)
	b = be.AppendUint32(b, 0)
	for _, f := range r.Fields {
		b = be.AppendUint16(b, uint16(len(f.Key)))
		b = append(b, f.Key...)
		b = be.AppendUint32(b, uint32(len(f.Value)))
		b = append(b, f.Value...)
	}
	be.PutUint32(b[at:], uint32(len(b)-at-4))
	h.Bytes = b
}
