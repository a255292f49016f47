package record

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

const upperDigits = "0123456789ABCDEF"

// messageIDBytesMax is the size of the longest message id before it is
// written in hexadecimal: an IPv6 host and a position.
const messageIDBytesMax = hostBytesIPv6 + 8

// AppendMessageID appends the id that names a message by its place: the host
// that stored it and its position, in upper-case hexadecimal. It has 32
// digits with an IPv4 host and 56 with an IPv6 host. RocketMQ calls it
// offsetMsgId.
func AppendMessageID(dst []byte, storeHost netip.AddrPort, position int64) []byte {
	var raw [messageIDBytesMax]byte
	at := putHost(raw[:], 0, storeHost)
	binary.BigEndian.PutUint64(raw[at:], uint64(position))
	return appendHex(dst, raw[:at+8])
}

// ParseMessageID reads the position out of an id that AppendMessageID made.
// An error is the caller's fault.
func ParseMessageID(id string) (position int64, err error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != hostBytesIPv4+8 && len(raw) != hostBytesIPv6+8 {
		return 0, fmt.Errorf("read message id [%.*s]: it needs %d or %d hexadecimal digits",
			2*messageIDBytesMax, id, 2*(hostBytesIPv4+8), 2*messageIDBytesMax)
	}
	position = int64(binary.BigEndian.Uint64(raw[len(raw)-8:]))
	if position < 0 {
		return 0, fmt.Errorf("read message id %s: position %d is negative", id, position)
	}
	return position, nil
}

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperDigits[c>>4], upperDigits[c&15])
	}
	return dst
}

// UniqueKeys makes unique keys (UNIQ_KEY) as RocketMQ's Java client does
// (MessageClientIDSetter): address, process id and a number of the process,
// then the milliseconds since the month began and a counter. Tools read the
// time back from such a key. It is safe for concurrent use.
type UniqueKeys struct {
	prefix  []byte // hexadecimal
	zone    *time.Location
	counter atomic.Uint32
	month   atomic.Pointer[month]
}

type month struct{ startMillis, nextMillis int64 }

// NewUniqueKeys makes keys for one process. process is its id, salt a random
// number that tells apart two runs with the same id, zone the time zone in
// which months begin.
func NewUniqueKeys(address netip.Addr, process uint16, salt uint32, zone *time.Location) *UniqueKeys {
	var raw [22]byte
	at := putAddress(raw[:], netip.AddrPortFrom(address, 0))
	binary.BigEndian.PutUint16(raw[at:], process)
	binary.BigEndian.PutUint32(raw[at+2:], salt)
	return &UniqueKeys{prefix: appendHex(nil, raw[:at+6]), zone: zone}
}

// Append appends a new key: 32 digits, or 56 when the address is IPv6.
func (u *UniqueKeys) Append(dst []byte, nowMillis int64) []byte {
	m := u.month.Load()
	if m == nil || nowMillis >= m.nextMillis || nowMillis < m.startMillis {
		m = monthOf(nowMillis, u.zone)
		u.month.Store(m)
	}
	var raw [6]byte
	binary.BigEndian.PutUint32(raw[:], uint32(nowMillis-m.startMillis))
	binary.BigEndian.PutUint16(raw[4:], uint16(u.counter.Add(1)-1))
	return appendHex(append(dst, u.prefix...), raw[:])
}

func monthOf(millis int64, zone *time.Location) *month {
	t := time.UnixMilli(millis).In(zone)
	return &month{
		startMillis: time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, zone).UnixMilli(),
		nextMillis:  time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, zone).UnixMilli(),
	}
}
