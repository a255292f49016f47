package commitlog

import (
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// past is what a Reader keeps of the history from one Read to the next: a
// block, pinned, and the header of a frame. Neighbours in a queue mostly stand
// in the same block and often in the same frame, so most events of a backlog
// are checked and shown where they lie.
type past struct {
	segment *segment // nil for nothing
	cuts    uint64   // of the segment, when this was read
	block   *historyBlock
	number  int64 // of the block
	header  Header
	at      int64 // of the header in the segment, 0 for none
}

// covers reports whether the event at a place is in the block. Then the tail
// need not be asked.
func (k *past) covers(p Place) bool {
	if k.block == nil || k.segment.base() != p.Segment || k.at != p.Offset || k.segment.cuts.Load() != k.cuts {
		return false
	}
	at := k.at + headerBytes + int64(p.Position-k.header.Position)
	return at/historyBlockBytes == k.number
}

// leave lets go of everything.
func (k *past) leave(h *history) {
	if k.block != nil {
		h.release(k.block)
	}
	*k = past{}
}

// enter makes s the segment that is read.
func (k *past) enter(s *segment, h *history) {
	if cuts := s.cuts.Load(); k.segment != s || k.cuts != cuts {
		k.leave(h)
		k.segment, k.cuts = s, cuts
	}
}

// readPast is Read for what has left the tail.
func (r *Reader) readPast(p Place, visit func(Event) error) error {
	s, err := r.log.segmentAt(p.Segment)
	if err != nil {
		return err
	}
	k := &r.past
	k.enter(s, r.log.history)
	if k.at != p.Offset {
		if err := r.findHeader(p.Offset); err != nil {
			return err
		}
	}
	if p.Position < k.header.Position || p.Position+event.Position(p.Bytes) > k.header.End() {
		return fmt.Errorf("%w: segment %s at %d: the frame there doesn't hold position %d", ErrCorrupt, s.name(), p.Offset, p.Position)
	}
	at := p.Offset + headerBytes + int64(p.Position-k.header.Position)
	b, err := r.bytesPast(at, p.Bytes)
	if err != nil {
		return err
	}
	e, rest, err := event.Split(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: event of %d bytes, expected %d", ErrCorrupt, len(e), p.Bytes)
	}
	if err == nil {
		err = e.Verify(r.log.seed)
	}
	if err != nil {
		return fmt.Errorf("%w: segment %s at %d: %w", ErrCorrupt, s.name(), at, err)
	}
	r.shown = true
	return visit(Event{Bytes: e, Position: p.Position, Timestamp: k.header.Timestamp})
}

// findHeader reads the header of the frame at a file offset.
func (r *Reader) findHeader(at int64) error {
	k := &r.past
	k.at = 0
	if err := r.log.mayBeFrame(k.segment, at); err != nil {
		return err
	}
	b, err := r.bytesPast(at, headerBytes)
	if err != nil {
		return err
	}
	h, err := decodeHeader(b, r.log.seed)
	if err != nil {
		return fmt.Errorf("segment %s at %d: %w", k.segment.name(), at, err)
	}
	k.header, k.at = h, at
	return nil
}

// bytesPast returns n bytes from file offset at on, valid until the next call
// or Release: in the pinned block, or copied where they are not in one block
// or it can't be shared.
func (r *Reader) bytesPast(at int64, n int) ([]byte, error) {
	k, h := &r.past, r.log.history
	number, from := at/historyBlockBytes, int(at%historyBlockBytes)
	if from+n > historyBlockBytes {
		b := r.room(n)
		return b, h.read(k.segment, b, at)
	}
	if k.block == nil || k.number != number {
		if k.block != nil {
			h.release(k.block)
			k.block = nil
		}
		block, err := h.pin(k.segment, number)
		if err != nil {
			return nil, fmt.Errorf("read segment %s at %d: %w", k.segment.name(), at, err)
		}
		if block == nil {
			b := r.room(n)
			return b, h.read(k.segment, b, at)
		}
		k.block, k.number = block, number
	}
	return k.block.buf[from : from+n : from+n], nil
}
