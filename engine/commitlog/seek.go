package commitlog

import (
	"encoding/binary"
	"errors"
)

// seek returns a frame at or before the last one for which after is false, near
// enough to walk from there; after must be monotonic over the segment. After a
// start the sparse table of a sealed segment is empty: instead of a walk from
// its beginning, seek halves the way by looking for frames. A search reads some
// blocks of the cache, whatever the segment's size. What it returns is a hint:
// somebody may have stored a copy of this log's bytes in a message.
func (r *Reader) seek(s *segment, after func(place) bool) place {
	lo := s.before(after, r.log.block)
	if s == r.log.lastSegment() { // its table is complete
		return lo
	}
	hi := s.behind(lo)
	for hi-lo.offset > seekBytes {
		mid := (lo.offset + hi) / 2 / frameAlignBytes * frameAlignBytes
		p, found := r.frameFrom(s, mid, hi)
		switch {
		case !found || after(p):
			hi = mid
		default:
			lo = p
		}
	}
	return lo
}

// seekBytes is a distance that is walked rather than halved.
const seekBytes = 2 * tableBytes

// behind is the offset of the table's entry after p, else the segment's end.
func (s *segment) behind(p place) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range s.table {
		if entry.offset > p.offset {
			return entry.offset
		}
	}
	return s.bytes
}

// fromHint runs walk from where seek says, and where that turns out to be no
// place of the log, from a place that is sure.
func (r *Reader) fromHint(s *segment, after func(place) bool, walk func(from place) error) error {
	from, sure := r.seek(s, after), s.before(after, r.log.block)
	err := walk(from)
	if from != sure && errors.Is(err, ErrCorrupt) {
		return walk(sure)
	}
	return err
}

// frameFrom finds the first frame that begins at offset from or behind it,
// below to. The checksums of headers are seeded with the log's id, so no bytes
// of a client pass for one; frames of a recycled file's former life have lower
// indexes.
func (r *Reader) frameFrom(s *segment, from, to int64) (p place, found bool) {
	const window = tableBytes
	for at := from; at < to; at += window {
		b := r.room(int(min(window+headerBytes, s.bytes-at)))
		if r.log.history.read(s, b, at) != nil {
			return p, false
		}
		for i := 0; i+headerBytes <= len(b) && i < window; i += frameAlignBytes {
			if binary.LittleEndian.Uint32(b[i:]) != frameMagic {
				continue
			}
			h, err := decodeHeader(b[i:], r.log.seed)
			if err != nil || h.Index < s.first() || h.Position < s.base() {
				continue
			}
			return place{index: h.Index, position: h.Position, timestamp: h.Timestamp, offset: at + int64(i)}, at+int64(i) < to
		}
	}
	return p, false
}
