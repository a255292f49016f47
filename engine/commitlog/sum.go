package commitlog

import (
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// Sum is the data checksum of a frame of events in the making. Every event has
// a checksum of its own, which covers all of it but its first bytes; so the
// frame's covers these alone, and the bytes of a message are summed up once.
// The zero value is the sum of no events.
type Sum struct {
	crc   uint32
	bytes int // of the events that it covers
}

// Add covers one more event. Each is added whole, in order.
func (s *Sum) Add(seed event.Seed, e event.Event) {
	if s.bytes == 0 {
		s.crc = uint32(seed)
	}
	s.crc = event.Checksum(event.Seed(s.crc), e[:event.HeadBytes])
	s.bytes += len(e)
}

// sumOf is the data checksum of a frame. What comes after the last event of an
// events frame is covered as it is.
func sumOf(kind FrameKind, data []byte, seed event.Seed) uint32 {
	sum, rest, _ := walkSum(kind, data, seed, func(event.Event) bool { return true })
	return event.Checksum(event.Seed(sum), rest)
}

// walkSum covers the events that data begins with, as long as each passes. It
// returns the checksum up to there, what follows, and whether all passed.
func walkSum(kind FrameKind, data []byte, seed event.Seed, passes func(event.Event) bool) (sum uint32, rest []byte, ok bool) {
	s := Sum{crc: uint32(seed)}
	for kind == FrameEvents && len(data) > 0 {
		e, after, err := event.Split(data)
		if err != nil {
			break
		}
		if !passes(e) {
			return s.crc, data, false
		}
		s.Add(seed, e)
		data = after
	}
	return s.crc, data, true
}

// verifyData compares the data's checksums with the header's and its own.
func (h *Header) verifyData(data []byte, seed event.Seed) error {
	sum, rest, ok := walkSum(h.Kind, data, seed, func(e event.Event) bool { return e.Intact(seed) })
	if !ok {
		return fmt.Errorf("%w: the event %d bytes into the data fails its checksum", ErrCorrupt, len(data)-len(rest))
	}
	if sum = event.Checksum(event.Seed(sum), rest); sum != h.DataCRC {
		return fmt.Errorf("%w: data checksum %08x, expected %08x", ErrCorrupt, sum, h.DataCRC)
	}
	return nil
}
