package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrCorrupt marks bytes that are not a record, or not a batch.
var ErrCorrupt = errors.New("corrupt record")

// Record is a decoded record. Its slices alias the bytes it was read from.
type Record struct {
	QueueID        uint32
	Flag           int32
	QueueOffset    int64
	Position       int64
	SystemFlag     int32
	BornTimestamp  int64
	BornHost       netip.AddrPort
	StoreTimestamp int64
	StoreHost      netip.AddrPort
	ReconsumeTimes int32
	PreparedOffset int64
	Body           []byte
	BodySum        uint32 // as written; compare it with BodySum(Body)
	Topic          []byte
	Properties     []byte
}

// Decode reads the first record of b and returns it and the rest. Every
// length is checked before it is used; the record must end exactly where its
// size says. An error wraps ErrCorrupt.
func Decode(b []byte) (Record, []byte, error) {
	var r Record
	record, version, err := frame(b)
	if err != nil {
		return r, nil, err
	}
	be := binary.BigEndian
	r.BodySum = be.Uint32(record[8:])
	r.QueueID = be.Uint32(record[12:])
	r.Flag = int32(be.Uint32(record[16:]))
	r.QueueOffset = int64(be.Uint64(record[queueOffsetAt:]))
	r.Position = int64(be.Uint64(record[positionAt:]))
	r.SystemFlag = int32(be.Uint32(record[systemFlagAt:]))
	r.BornTimestamp = int64(be.Uint64(record[40:]))
	at := bornHostAt
	r.BornHost, at = readHost(record, at, r.SystemFlag&FlagBornHostIPv6)
	r.StoreTimestamp = int64(be.Uint64(record[at:]))
	r.StoreHost, at = readHost(record, at+8, r.SystemFlag&FlagStoreHostIPv6)
	r.ReconsumeTimes = int32(be.Uint32(record[at:]))
	r.PreparedOffset = int64(be.Uint64(record[at+4:]))
	rest := record[at+12:]
	topicLengthBytes := 1
	if version == magicVersion2 {
		topicLengthBytes = 2
	}
	if r.Body, rest, err = cut(rest, 4, "body"); err != nil {
		return Record{}, nil, err
	}
	if r.Topic, rest, err = cut(rest, topicLengthBytes, "topic"); err != nil {
		return Record{}, nil, err
	}
	if r.Properties, rest, err = cut(rest, 2, "properties"); err != nil {
		return Record{}, nil, err
	}
	if len(rest) != 0 {
		return Record{}, nil, fmt.Errorf("%w: %d bytes after the properties", ErrCorrupt, len(rest))
	}
	return r, b[len(record):], nil
}

// frame checks size and magic and cuts one record off b. The record is long
// enough for all its fixed fields.
func frame(b []byte) (record []byte, version uint32, err error) {
	if len(b) < recordBytesMin {
		return nil, 0, fmt.Errorf("%w: %d bytes left, a record has at least %d", ErrCorrupt, len(b), recordBytesMin)
	}
	size := int64(binary.BigEndian.Uint32(b))
	version = binary.BigEndian.Uint32(b[4:])
	if version != magicVersion1 && version != magicVersion2 {
		return nil, 0, fmt.Errorf("%w: magic %08x", ErrCorrupt, version)
	}
	if size > int64(len(b)) {
		return nil, 0, fmt.Errorf("%w: size %d, with %d bytes left", ErrCorrupt, size, len(b))
	}
	need := int64(recordBytesMin)
	flag := int32(binary.BigEndian.Uint32(b[systemFlagAt:]))
	if flag&FlagBornHostIPv6 != 0 {
		need += hostBytesGrowth
	}
	if flag&FlagStoreHostIPv6 != 0 {
		need += hostBytesGrowth
	}
	if size < need {
		return nil, 0, fmt.Errorf("%w: size %d, at least %d is needed", ErrCorrupt, size, need)
	}
	return b[:size:size], version, nil
}

// readHost reads a host at b[at:], which frame has found to be there.
func readHost(b []byte, at int, ipv6 int32) (netip.AddrPort, int) {
	var a netip.Addr
	if ipv6 != 0 {
		a = netip.AddrFrom16([16]byte(b[at:]))
		at += 16
	} else {
		a = netip.AddrFrom4([4]byte(b[at:]))
		at += 4
	}
	return netip.AddrPortFrom(a, uint16(binary.BigEndian.Uint32(b[at:]))), at + 4
}

// cut takes a field with a length of lengthBytes bytes off b.
func cut(b []byte, lengthBytes int, field string) (value, rest []byte, err error) {
	if len(b) < lengthBytes {
		return nil, nil, fmt.Errorf("%w: %s: length is cut off", ErrCorrupt, field)
	}
	var n int64
	for _, c := range b[:lengthBytes] {
		n = n<<8 | int64(c)
	}
	b = b[lengthBytes:]
	if n > int64(len(b)) {
		return nil, nil, fmt.Errorf("%w: %s: length %d, with %d bytes left", ErrCorrupt, field, n, len(b))
	}
	return b[:n:n], b[n:], nil
}

// Fill writes the place of a message into a copy of its record: the offset in
// its queue, the position in the log, and the time in Unix milliseconds at
// which it was stored. The error wraps ErrCorrupt when dst is no record.
func Fill(dst []byte, queueOffset, position, timestamp int64) error {
	record, _, err := frame(dst)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(record[queueOffsetAt:], uint64(queueOffset))
	binary.BigEndian.PutUint64(record[positionAt:], uint64(position))
	binary.BigEndian.PutUint64(record[storeTimestampAt(record):], uint64(timestamp))
	return nil
}

// SetStoreHost names the broker in a copy of a record that has the message now.
// One whose address is of another kind than the record has room for is left out.
func SetStoreHost(dst []byte, host netip.AddrPort) error {
	record, _, err := frame(dst)
	if err != nil {
		return err
	}
	ipv6 := int32(binary.BigEndian.Uint32(record[systemFlagAt:]))&FlagStoreHostIPv6 != 0
	if ipv6 != isIPv4(host) {
		putHost(record, storeTimestampAt(record)+8, host)
	}
	return nil
}

// storeTimestampAt is where a record has the time at which it was stored; the
// host that stored it follows.
func storeTimestampAt(record []byte) int {
	at := bornHostAt + hostBytesIPv4
	if int32(binary.BigEndian.Uint32(record[systemFlagAt:]))&FlagBornHostIPv6 != 0 {
		at += hostBytesGrowth
	}
	return at
}
