package load

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Places in a RocketMQ commit-log record with IPv4 hosts; an IPv6 host makes
// what follows it 12 bytes longer.
const (
	recordMagicAt   = 4
	recordQueueAt   = 12
	recordOffsetAt  = 20
	recordSysFlagAt = 36
	recordBodyAt    = 84 // body length
	recordMin       = 91

	recordMagic1 = 0xDAA320A7
	recordMagic2 = 0xDAA320AB // topic length takes two bytes

	bornHost6    = 0x10
	storeHost6   = 0x20
	host6Surplus = 12
)

// ErrRecord marks a pulled body that is not a sequence of whole records.
var ErrRecord = errors.New("bad record")

// checked is what a pulled body holds.
type checked struct {
	count int
	bytes int   // message bodies
	next  int64 // queue offset after the last record
}

// checkRecords walks the records of a pulled body. They must have lengths
// that add up, belong to queue, and follow each other without a gap from
// offset from.
func checkRecords(body []byte, queue int, from int64) (checked, error) {
	c := checked{next: from}
	be := binary.BigEndian
	for len(body) > 0 {
		size, bodyBytes, err := measureRecord(body)
		if err != nil {
			return c, fmt.Errorf("record %d of queue %d from offset %d: %w", c.count, queue, from, err)
		}
		got := int64(be.Uint64(body[recordOffsetAt:]))
		if in := int(be.Uint32(body[recordQueueAt:])); in != queue || got != c.next {
			return c, fmt.Errorf("record %d of queue %d: queue %d offset %d instead of offset %d: %w", c.count, queue, in, got, c.next, ErrRecord)
		}
		c.count++
		c.next++
		c.bytes += bodyBytes
		body = body[size:]
	}
	return c, nil
}

// measureRecord checks the lengths in the first record of b.
func measureRecord(b []byte) (size, bodyBytes int, err error) {
	be := binary.BigEndian
	if len(b) < recordMin {
		return 0, 0, fmt.Errorf("%d bytes are left, a record has at least %d: %w", len(b), recordMin, ErrRecord)
	}
	size = int(be.Uint32(b))
	magic := be.Uint32(b[recordMagicAt:])
	if size < recordMin || size > len(b) || magic != recordMagic1 && magic != recordMagic2 {
		return 0, 0, fmt.Errorf("size %d of %d bytes, magic %#x: %w", size, len(b), magic, ErrRecord)
	}
	b = b[:size]
	at := recordBodyAt
	sysFlag := be.Uint32(b[recordSysFlagAt:])
	if sysFlag&bornHost6 != 0 {
		at += host6Surplus
	}
	if sysFlag&storeHost6 != 0 {
		at += host6Surplus
	}
	bodyBytes, at = lengthAt(b, at, 4)
	topicWidth := 1
	if magic == recordMagic2 {
		topicWidth = 2
	}
	_, at = lengthAt(b, at, topicWidth)
	_, at = lengthAt(b, at, 2)
	if at != size {
		return 0, 0, fmt.Errorf("size %d, but its parts end at %d: %w", size, at, ErrRecord)
	}
	return size, bodyBytes, nil
}

// lengthAt reads a length of width bytes and returns it and the place after
// what it counts; that place is -1 when it is outside of b.
func lengthAt(b []byte, at, width int) (length, end int) {
	if at < 0 || at+width > len(b) {
		return 0, -1
	}
	for _, c := range b[at : at+width] {
		length = length<<8 | int(c)
	}
	if end = at + width + length; end > len(b) {
		return 0, -1
	}
	return length, end
}
