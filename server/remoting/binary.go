package remoting

import (
	"encoding/binary"
	"fmt"
	"math"
)

// binaryHeaderBytes is the length of a binary header without remark and fields.
const binaryHeaderBytes = 2 + 1 + 2 + 4 + 4 + 4 + 4

// decodeBinary reads a header in RocketMQ's own form (RocketMQSerializable). A
// field with an empty value counts as absent, as on the Java side.
func (c *Command) decodeBinary(h []byte) error {
	if len(h) < binaryHeaderBytes {
		return fmt.Errorf("%w: binary header of %d bytes, at least %d are needed", ErrProtocol, len(h), binaryHeaderBytes)
	}
	be := binary.BigEndian
	c.Code = int32(int16(be.Uint16(h)))
	c.Language = h[2]
	c.Version = int32(int16(be.Uint16(h[3:])))
	c.Opaque = int32(be.Uint32(h[5:]))
	c.Flag = int32(be.Uint32(h[9:]))
	if !c.IsResponse() {
		c.Code = widenRequestCode(c.Code)
	}
	remark, rest, ok := splitLong(h[13:])
	if !ok {
		return fmt.Errorf("%w: binary header, the remark is longer than the header", ErrProtocol)
	}
	if len(remark) > 0 {
		c.Remark = remark
	}
	fields, _, ok := splitLong(rest)
	if !ok {
		return fmt.Errorf("%w: binary header, the fields are longer than the header", ErrProtocol)
	}
	return c.decodeBinaryFields(fields)
}

func (c *Command) decodeBinaryFields(b []byte) error {
	for len(b) > 0 {
		key, rest, ok := splitShort(b)
		if !ok {
			return fmt.Errorf("%w: binary header, a field's name is longer than the fields", ErrProtocol)
		}
		value, rest, ok := splitLong(rest)
		if !ok {
			return fmt.Errorf("%w: binary header, a field's value is longer than the fields", ErrProtocol)
		}
		b = rest
		if len(value) == 0 {
			continue
		}
		if err := c.addField(key, value); err != nil {
			return err
		}
	}
	return nil
}

// splitLong takes off a 32-bit length and as many bytes.
func splitLong(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n, b := uint64(binary.BigEndian.Uint32(b)), b[4:]
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// splitShort takes off a 16-bit length and as many bytes.
func splitShort(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n, b := int(binary.BigEndian.Uint16(b)), b[2:]
	if n > math.MaxInt16 || n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// widenRequestCode undoes the cut to 16 bits of the codes above 200000. No
// other request has the cut values, so this is safe.
func widenRequestCode(code int32) int32 {
	const cut = 200000 &^ 0xffff // 196608
	if wide := code + cut; wide >= RequestPopMessage && wide <= RequestPopRollback || wide == RequestBatchAckMessage {
		return wide
	}
	return code
}

// appendBinaryHead appends a binary header up to its fields. The length of
// the fields, the last four bytes, is filled in by endBinaryFields.
func appendBinaryHead(dst []byte, h head) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, uint16(h.code))
	dst = append(dst, LanguageJava)
	dst = be.AppendUint16(dst, Version)
	dst = be.AppendUint32(dst, uint32(h.opaque))
	dst = be.AppendUint32(dst, uint32(h.flag))
	dst = be.AppendUint32(dst, uint32(len(h.remark)))
	dst = append(dst, h.remark...)
	return append(dst, 0, 0, 0, 0)
}

func appendBinaryField[K, V string | []byte](dst []byte, key K, value V) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(key)))
	dst = append(dst, key...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// endBinaryFields fills in the length of the fields, which begin at dst[at:].
func endBinaryFields(dst []byte, at int) {
	binary.BigEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
}
