package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Recovery tells what Open found.
type Recovery struct {
	Created   bool
	Frames    uint64         // in the last segment
	End       event.Index    // last frame
	Position  event.Position // after it
	Durable   event.Index    // the latest Durable mark found as evidence
	TornBytes int64          // cut from the end and put aside
	TornFile  string         // where
	Reason    string         // why the log ends there
	Damaged   []Damaged      // within the log: durable frames to be fetched from other copies
}

// finding is what may stand at the place where valid frames end.
type finding struct {
	evidence event.Index // highest Durable mark in the mark file or in a later valid frame
	later    bool        // a later valid frame exists
	newest   event.Index // of those
	bytes    bool        // bytes other than zero follow
}

// verdict is the decision on a finding.
type verdict uint8

const (
	verdictClean   verdict = iota // nothing follows: the log ends here
	verdictTorn                   // cut what follows, keep it aside
	verdictCorrupt                // durable frames are missing: refuse
)

// decide is the recovery table. last is the index of the last valid frame.
//
//	durable evidence | later frame | bytes | verdict
//	past last        | any         | any   | corrupt: what was durable is gone; with
//	                 |             |       | other copies see scan.walkOn
//	not past last    | yes         | any   | torn: a hole among writes in flight
//	not past last    | no          | yes   | torn: a write cut short
//	not past last    | no          | no    | clean
//
// A hole followed by good frames is normal after a power cut: several writes
// were in flight and a later one landed first. Only a Durable mark past the
// last valid frame proves that a sync had covered what is missing.
func decide(f finding, last event.Index) verdict {
	switch {
	case f.evidence > last:
		return verdictCorrupt
	case f.later || f.bytes:
		return verdictTorn
	}
	return verdictClean
}

// scan is the state of walking a segment's frames at start.
type scan struct {
	log     *Log
	segment *segment
	at      int64
	end     chain
	frames  uint64
	window  []byte // file bytes from windowAt
	from    int64
	marks   event.Index // highest Durable mark in valid frames
}

// walk accepts frames until one is missing or wrong, and says what was wrong.
func (s *scan) walk() (reason error, err error) {
	for {
		h, at, reason, err := s.frame()
		if err != nil || reason != nil {
			return reason, err
		}
		s.segment.note(&h, at)
		s.end = s.end.next(&h)
		s.at = at + int64(frameBytes(int(h.DataBytes)))
		s.marks = max(s.marks, h.DurableWhenBuilt)
		s.frames++
		if s.end.index == s.log.cutAfter {
			return errors.New("truncated here"), nil
		}
	}
}

// frame reads the next frame at s.at or at the next block boundary. reason
// says why there is none; err is a failure to read or a newer format.
func (s *scan) frame() (h Header, at int64, reason, err error) {
	aligned := int64(roundUp(int(s.at), s.log.block))
	for _, at = range []int64{s.at, aligned} {
		h, reason, err = s.tryFrame(at)
		if err != nil || reason == nil {
			return h, at, reason, err
		}
	}
	return h, at, reason, nil
}

func (s *scan) tryFrame(at int64) (h Header, reason, err error) {
	b, err := s.bytes(at, headerBytes)
	if err != nil || b == nil {
		return h, fmt.Errorf("the segment ends at %d", at), err
	}
	h, reason = decodeHeader(b, s.log.seed)
	if errors.Is(reason, ErrNewerFormat) {
		return h, nil, reason
	}
	if reason == nil {
		reason = s.end.follows(&h)
	}
	if reason != nil {
		return h, reason, nil
	}
	data, err := s.bytes(at+headerBytes, int64(h.DataBytes))
	if err != nil || data == nil {
		return h, fmt.Errorf("%w: frame of %d bytes runs past the segment", ErrCorrupt, h.DataBytes), err
	}
	return h, h.verifyData(data, s.log.seed), nil
}

// bytes returns file bytes [at, at+n) through a large window, nil past the end
// of the segment.
func (s *scan) bytes(at, n int64) ([]byte, error) {
	if at+n > s.segment.bytes {
		return nil, nil
	}
	if at < s.from || at+n > s.from+int64(len(s.window)) {
		from := at / int64(s.log.block) * int64(s.log.block)
		size := min(max(scanBytes, int64(roundUp(int(at-from+n), s.log.block))), s.segment.bytes-from)
		if int64(cap(s.window)) < size {
			s.window = s.log.scratch(int(size))
		}
		s.window, s.from = s.window[:size], from
		if _, err := s.segment.file.ReadAt(s.window, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read segment %s at %d: %w", s.segment.name(), from, err)
		}
	}
	return s.window[at-s.from : at-s.from+n], nil
}

// lookAhead examines what follows the last valid frame, as far as writes in
// flight can have reached.
func (s *scan) lookAhead() (f finding, nonZeroTo int64, err error) {
	mark, err := readMark(s.log.disk, s.log.seed)
	if err != nil {
		return f, 0, err
	}
	f.evidence = max(s.marks, mark)
	limit := min(s.segment.bytes, s.at+int64(s.log.opts.TailBytes))
	zeros := make([]byte, s.log.block)
	for at := s.at; at < limit; {
		word, err := s.bytes(at, min(int64(s.log.block)-at%int64(s.log.block), limit-at))
		if err != nil {
			return f, 0, err
		}
		if bytes.Equal(word, zeros[:len(word)]) {
			at += int64(len(word))
			continue
		}
		end := at + int64(len(word))
		if !s.segment.recycled { // a recycled file is full of old bytes
			f.bytes, nonZeroTo = true, end
		}
		for ; at < end; at += frameAlignBytes {
			frameEnd, err := s.laterFrame(at, &f)
			if err != nil {
				return f, 0, err
			}
			nonZeroTo = max(nonZeroTo, min(frameEnd, s.segment.bytes))
		}
	}
	return f, nonZeroTo, nil
}

// laterFrame notes a frame header past the log's end and returns where its
// frame would end, 0 for no header.
func (s *scan) laterFrame(at int64, f *finding) (frameEnd int64, err error) {
	b, err := s.bytes(at, headerBytes)
	if err != nil || b == nil {
		return 0, err
	}
	h, bad := decodeHeader(b, s.log.seed)
	if errors.Is(bad, ErrNewerFormat) {
		return 0, bad
	}
	if bad != nil || h.Index <= s.end.index || h.Position < s.end.position {
		return 0, nil
	}
	f.later, f.newest = true, max(f.newest, h.Index)
	f.evidence = max(f.evidence, h.DurableWhenBuilt)
	return at + int64(frameBytes(int(h.DataBytes))), nil
}

// recover walks the last segment, decides what its end means and makes the
// file end there.
func (l *Log) recover(s *segment) (Recovery, *scan, error) {
	w := &scan{log: l, segment: s, at: int64(l.block), end: s.start}
	var r Recovery
	found, nonZeroTo, err := w.walkOn(&r)
	if err != nil {
		return Recovery{}, nil, err
	}
	if l.cutAfter > 0 {
		return l.finishCut(w)
	}
	r.Frames, r.End, r.Position, r.Durable = w.frames, w.end.index, w.end.position, found.evidence
	verdict := decide(found, w.end.index)
	if verdict == verdictCorrupt && l.opts.Copies == nil {
		return r, nil, fmt.Errorf("%w: segment %s/%s at %d: frames %d to %d were durable and can't be read: %s; inspect with `apogee log verify`, restore this folder or fetch it from a replica",
			ErrCorrupt, l.disk.Path(), s.name(), w.at, w.end.index+1, found.evidence, r.Reason)
	}
	if err := l.noteLossAtStart(w.end, max(found.evidence, found.newest), verdict == verdictCorrupt); err != nil {
		return r, nil, err
	}
	if verdict != verdictClean {
		r.TornBytes = nonZeroTo - w.at
		l.meters.tornTails.Add(1)
		r.TornFile, err = l.cut(w, nonZeroTo)
	}
	return r, w, err
}

// keepAside saves evidence. A full disk must not keep the log from opening.
func (l *Log) keepAside(name string, b []byte) error {
	err := l.disk.MakeDir(path.Dir(name))
	if err == nil {
		err = disk.WriteWhole(l.disk, name, b)
	}
	if errors.Is(err, disk.ErrNoSpace) {
		l.opts.Log.Warn("bytes that don't belong to the log were not kept: no space", "file", name, "bytes", len(b))
		return nil
	}
	return err
}
