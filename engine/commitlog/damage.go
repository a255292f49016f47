package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// damage is a run of frames that can't be read as they were written. What stands
// before and behind it says which frames they were.
type damage struct {
	segment *segment
	cuts    uint64 // of the segment, when it was looked at
	before  chain  // the frame before the first one
	from    int64  // file offset behind that frame
	last    event.Index
	lastCRC uint32 // header checksum that the frame behind continues
	to      int64  // file offset of the frame behind, or where the frames end at the latest
	exact   bool   // a frame stands at to
}

func (d *damage) first() event.Index { return d.before.index + 1 }

func (d *damage) String() string {
	return fmt.Sprintf("segment %s at %d, frames %d to %d", d.segment.name(), d.from, d.first(), d.last)
}

// damageAt looks at the frames of a segment from a good one before file offset
// at up to there, on the disk. nil: they are all good. The segment is not
// trimmed or truncated meanwhile.
func (l *Log) damageAt(s *segment, at int64) (*damage, error) {
	cuts := s.cuts.Load()
	w, err := l.scanFrom(s, at)
	if err != nil {
		return nil, err
	}
	limit := l.endOf(s)
	for w.at <= at && w.at < limit {
		h, from, reason, err := w.frame()
		if err != nil {
			return nil, err
		}
		if reason == nil {
			s.noteRead(&h, from, cuts)
			w.pass(&h, from)
			continue
		}
		if end := l.chainBehind(s); w.end.index >= end.index {
			return nil, nil // the segment's frames end here
		}
		d := &damage{segment: s, cuts: cuts, before: w.end, from: w.at}
		return d, l.measure(d, w, limit)
	}
	return nil, nil
}

// scanFrom is a scan behind a good frame that begins before file offset at, or
// at the beginning of the segment.
func (l *Log) scanFrom(s *segment, at int64) (*scan, error) {
	w := &scan{log: l, segment: s, at: int64(l.block), end: s.start}
	for at > int64(l.block) {
		near := s.before(func(p place) bool { return p.offset >= at }, l.block)
		if near.offset <= int64(l.block) {
			return w, nil
		}
		h, good, err := w.alone(near.offset)
		if err != nil {
			return nil, err
		}
		if good {
			w.pass(&h, near.offset)
			return w, nil
		}
		at = near.offset
	}
	return w, nil
}

// pass moves the scan behind a frame.
func (s *scan) pass(h *Header, at int64) {
	s.end = s.end.next(h)
	s.at = at + int64(frameBytes(int(h.DataBytes)))
}

// alone reads a frame without asking what it continues.
func (s *scan) alone(at int64) (h Header, good bool, err error) {
	b, err := s.bytes(at, headerBytes)
	if err != nil || b == nil {
		return h, false, err
	}
	if h, err = decodeHeader(b, s.log.seed); err != nil {
		if errors.Is(err, ErrNewerFormat) {
			return h, false, err
		}
		return h, false, nil
	}
	data, err := s.bytes(at+headerBytes, int64(h.DataBytes))
	if err != nil || data == nil {
		return h, false, err
	}
	return h, h.verifyData(data, s.log.seed) == nil, nil
}

// measure finds where a damage ends: before the next good frame, or with the
// last frame of the segment.
func (l *Log) measure(d *damage, w *scan, limit int64) error {
	end := l.chainBehind(d.segment)
	h, at, found, err := w.nextGood(limit, end.index)
	if err != nil {
		return err
	}
	if found {
		d.last, d.lastCRC, d.to, d.exact = h.Index-1, h.Chain, at, true
		return nil
	}
	d.last, d.lastCRC, d.to = end.index, end.crc, limit
	return nil
}

// nextGood finds the first good frame behind w.at, below file offset limit, that
// is no copy of one before it and has an index of at most through. The seed of
// the checksums keeps what clients stored from passing for a frame.
func (s *scan) nextGood(limit int64, through event.Index) (h Header, at int64, found bool, err error) {
	for at = s.at + frameAlignBytes; at+headerBytes <= limit; at += frameAlignBytes {
		b, err := s.bytes(at, headerBytes)
		if err != nil || b == nil {
			return h, 0, false, err
		}
		if binary.LittleEndian.Uint32(b) != frameMagic {
			continue
		}
		h, good, err := s.alone(at)
		if err != nil {
			return h, 0, false, err
		}
		if good && h.Index > s.end.index+1 && h.Index <= through && h.Position > s.end.position {
			return h, at, true, nil
		}
	}
	return h, 0, false, nil
}

// chainBehind is the end of a segment's frames as those behind it have it.
func (l *Log) chainBehind(s *segment) chain {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	all := *l.segments.Load()
	for i, other := range all[:len(all)-1] {
		if other == s {
			return all[i+1].start
		}
	}
	return l.end
}
