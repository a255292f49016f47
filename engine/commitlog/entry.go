package commitlog

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// near is the frame on disk that a reader found last.
type near struct {
	segment  event.Position // base
	offset   int64          // of the header
	from, to event.Position // of the frame's data
}

// FindEntry is Find for somebody who knows the event's length: it reads the
// event and not its whole frame, and finds neighbours in one frame without a
// search. The reader may hold a part of the tail until Release.
func (r *Reader) FindEntry(position event.Position, bytes int, visit func(Event) error) error {
	if _, _, end := r.log.End(); position >= end {
		return fmt.Errorf("%w: position %d, the log ends at %d", ErrNotFound, position, end)
	}
	at := Place{Segment: r.near.segment, Offset: r.near.offset, Position: position, Bytes: bytes}
	if position >= r.near.from && position < r.near.to || r.hold(position) {
		// The place is checked by Read; a log that was truncated may have another
		// frame there now.
		if err := r.Read(at, visit); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
			return err
		}
		r.near = near{}
	}
	if err := r.log.untrimmed(position); err != nil {
		return err
	}
	s, err := r.log.segmentHolding(func(s *segment) bool { return s.base() > position })
	if err != nil {
		return err
	}
	after := func(p place) bool { return p.position > position }
	return r.fromHint(s, after, func(from place) error {
		c := Cursor{log: r.log, reader: r, next: from.index, segment: s, at: from.offset}
		found, err := c.covering(position)
		if err != nil {
			return err
		}
		r.near = found
		at.Segment, at.Offset = found.segment, found.offset
		return r.Read(at, visit)
	})
}

// covering walks, by headers alone, to the frame whose data has a position.
func (c *Cursor) covering(position event.Position) (near, error) {
	for {
		h, err := c.headerHere()
		if c.mend(err) {
			h, err = c.headerHere()
		}
		if err != nil {
			return near{}, err
		}
		if h.Position > position {
			return near{}, fmt.Errorf("%w: no event at position %d", ErrNotFound, position)
		}
		if h.End() > position {
			return near{segment: c.segment.base(), offset: c.at, from: h.Position, to: h.End()}, nil
		}
		c.pass(&h)
	}
}
