package record

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const (
	magicVersion1 = 0xDAA320A7
	magicVersion2 = 0xDAA320AB

	topicBytesVersion1 = 127

	queueOffsetAt   = 20
	positionAt      = 28
	systemFlagAt    = 36
	bornHostAt      = 48
	hostBytesIPv4   = 8
	hostBytesIPv6   = 20
	hostBytesGrowth = hostBytesIPv6 - hostBytesIPv4
	recordBytesMin  = 91
)

// PropertiesBytesMax bounds the properties of one message: their length is
// written as a signed 16-bit number.
const PropertiesBytesMax = 1<<15 - 1

// Bits of the system flag, as in RocketMQ's MessageSysFlag.
const (
	FlagCompressed    int32 = 0x1
	FlagMultiTags     int32 = 0x2
	FlagPrepared      int32 = 0x4
	FlagCommitted     int32 = 0x8
	FlagTransaction   int32 = 0xC
	FlagBornHostIPv6  int32 = 0x10
	FlagStoreHostIPv6 int32 = 0x20
)

// Message is a record to be written. It is an event.Payload: it writes itself
// into the batch, so that the body is copied once. The slices are borrowed:
// they must stay valid until PutPayload has run.
type Message struct {
	QueueID        uint32
	Flag           int32
	SystemFlag     int32 // the two bits about hosts are set by PutPayload
	BornTimestamp  int64 // Unix milliseconds
	BornHost       netip.AddrPort
	StoreHost      netip.AddrPort
	ReconsumeTimes int32
	PreparedOffset int64
	Topic          string
	Properties     []byte

	body    []byte
	bodySum uint32
}

// SetBody takes the body as it is stored and computes its checksum. It is a
// step of its own, so that the sum is not computed while others wait for the
// batch.
func (m *Message) SetBody(body []byte) {
	m.body, m.bodySum = body, BodySum(body)
}

// SetRecordBody takes the body of a record that was read, with its checksum.
func (m *Message) SetRecordBody(r *Record) { m.body, m.bodySum = r.Body, r.BodySum }

// BodyBytes is the length of the body.
func (m *Message) BodyBytes() int { return len(m.body) }

// BodySum is the checksum of a body: CRC-32 (IEEE) without its top bit.
func BodySum(body []byte) uint32 { return crc32.ChecksumIEEE(body) & 0x7FFFFFFF }

// PayloadBytes is the exact size of the record.
func (m *Message) PayloadBytes() int {
	n := recordBytesMin + len(m.body) + len(m.Topic) + len(m.Properties)
	if len(m.Topic) > topicBytesVersion1 {
		n++
	}
	if !isIPv4(m.BornHost) {
		n += hostBytesGrowth
	}
	if !isIPv4(m.StoreHost) {
		n += hostBytesGrowth
	}
	return n
}

// PutPayload writes the record into dst, which has PayloadBytes bytes.
func (m *Message) PutPayload(dst []byte) {
	be := binary.BigEndian
	be.PutUint32(dst[0:], uint32(len(dst)))
	magic := uint32(magicVersion1)
	if len(m.Topic) > topicBytesVersion1 {
		magic = magicVersion2
	}
	be.PutUint32(dst[4:], magic)
	be.PutUint32(dst[8:], m.bodySum)
	be.PutUint32(dst[12:], m.QueueID)
	be.PutUint32(dst[16:], uint32(m.Flag))
	be.PutUint64(dst[queueOffsetAt:], 0)
	be.PutUint64(dst[positionAt:], 0)
	be.PutUint32(dst[systemFlagAt:], uint32(m.wireFlag()))
	be.PutUint64(dst[40:], uint64(m.BornTimestamp))
	at := putHost(dst, bornHostAt, m.BornHost)
	be.PutUint64(dst[at:], 0)
	at = putHost(dst, at+8, m.StoreHost)
	be.PutUint32(dst[at:], uint32(m.ReconsumeTimes))
	be.PutUint64(dst[at+4:], uint64(m.PreparedOffset))
	be.PutUint32(dst[at+12:], uint32(len(m.body)))
	at += 16
	at += copy(dst[at:], m.body)
	if magic == magicVersion2 {
		be.PutUint16(dst[at:], uint16(len(m.Topic)))
		at += 2
	} else {
		dst[at] = byte(len(m.Topic))
		at++
	}
	at += copy(dst[at:], m.Topic)
	be.PutUint16(dst[at:], uint16(len(m.Properties)))
	copy(dst[at+2:], m.Properties)
}

// wireFlag is the system flag with the bits that describe the hosts.
func (m *Message) wireFlag() int32 {
	f := m.SystemFlag &^ (FlagBornHostIPv6 | FlagStoreHostIPv6)
	if !isIPv4(m.BornHost) {
		f |= FlagBornHostIPv6
	}
	if !isIPv4(m.StoreHost) {
		f |= FlagStoreHostIPv6
	}
	return f
}

// isIPv4 also holds for the zero address, which is written as 0.0.0.0.
func isIPv4(host netip.AddrPort) bool {
	a := host.Addr()
	return !a.IsValid() || a.Is4() || a.Is4In6()
}

// putHost writes a host at dst[at:] and returns where it ends.
func putHost(dst []byte, at int, host netip.AddrPort) int {
	at += putAddress(dst[at:], host)
	binary.BigEndian.PutUint32(dst[at:], uint32(host.Port()))
	return at + 4
}

// putAddress writes 4 or 16 address bytes and returns how many.
func putAddress(dst []byte, host netip.AddrPort) int {
	a := host.Addr()
	switch {
	case !a.IsValid():
		return copy(dst, []byte{0, 0, 0, 0})
	case isIPv4(host):
		b := a.As4()
		return copy(dst, b[:])
	default:
		b := a.As16()
		return copy(dst, b[:])
	}
}
