package commitlog

import (
	"bytes"
	"errors"
	"io"

	"github.com/apogeemq/apogee/engine/disk"
)

// holdsFrames reports whether a segment without a meta file beside it is more
// than what a creation that was cut short leaves. Such a file has a header that
// proves its own log id, then the first frame whole, in part or not at all, and
// zeros to its end. Everything else is a log, or not ours: it is never removed.
func (l *Log) holdsFrames(name string) bool {
	f, err := l.disk.Open(name, disk.Read)
	if err != nil {
		return true
	}
	defer f.Close()
	b := l.scratch(l.block)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return true
	}
	id, proven := provenID(b)
	s, block, err := decodeSegment(b, id)
	if !proven || err != nil || block != int64(l.block) {
		return true
	}
	s.file = f
	w := &scan{log: &Log{opts: l.opts, disk: l.disk, block: l.block, seed: id.Seed()}, segment: s, at: block, end: s.start}
	return !w.isLeftover(int64(roundUp(frameBytes(len(id)+len(l.opts.Create.Configuration)), l.block)))
}

// isLeftover walks the file. tornBytes is how far a first frame that isn't
// whole can have reached.
func (s *scan) isLeftover(tornBytes int64) bool {
	reason, err := s.walk()
	if err != nil || reason == nil || s.frames > 1 || s.frames == 1 && s.end.index != 1 {
		return false
	}
	zerosFrom := s.at
	if s.frames == 0 && s.segment.start.index == 0 {
		zerosFrom += tornBytes
	}
	for at := s.at; at < zerosFrom; at += frameAlignBytes {
		b, err := s.bytes(at, headerBytes)
		if err != nil {
			return false
		}
		if h, bad := decodeHeader(b, s.log.seed); bad == nil && h.Index > 1 || errors.Is(bad, ErrNewerFormat) {
			return false
		}
	}
	return s.zerosFrom(zerosFrom)
}

// zerosFrom reports whether the file has nothing but zeros from an offset on.
func (s *scan) zerosFrom(from int64) bool {
	zeros := make([]byte, scanBytes)
	for at := from; at < s.segment.bytes; {
		n := min(scanBytes, s.segment.bytes-at)
		b, err := s.bytes(at, n)
		if err != nil || !bytes.Equal(b, zeros[:n]) {
			return false
		}
		at += n
	}
	return true
}
