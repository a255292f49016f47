package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Truncate drops all frames from index from on. It returns when that is
// durable: none of them comes back after a crash. The marks go back with it.
// Only the appender calls it, and nobody waits for one of those frames. A disk
// without room for the note that a truncation is under way refuses it with
// ErrDiskFull: then nothing is dropped, and the log goes on.
func (l *Log) Truncate(from event.Index) error {
	end, _, _ := l.End()
	if from > end {
		return nil
	}
	if first, _ := l.First(); from <= first {
		return fmt.Errorf("truncate from frame %d: the log begins with %d, which must stay", from, first)
	}
	l.Flush()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		return fmt.Errorf("truncate from frame %d: %w", from, err)
	}
	var last Frame
	if err := l.CursorFrom(from-1).Visit(from-1, func(f Frame) error { last = f; return nil }); err != nil {
		return fmt.Errorf("truncate from frame %d: %w", from, err)
	}
	var noted bool
	err := l.flusher.do(func() (err error) {
		noted, err = l.cutAfterFrame(&last)
		return err
	})
	switch {
	case err == nil:
	case !noted && errors.Is(err, disk.ErrNoSpace):
		return fmt.Errorf("truncate from frame %d: %w: %w", from, ErrDiskFull, err)
	default:
		l.fail(fmt.Errorf("truncate from frame %d: %w", from, err))
	}
	return err
}

// cutAfterFrame makes last the end of the log. It runs on the flusher's
// goroutine, with nothing in flight. noted: what follows a crash is that the cut
// is finished.
func (l *Log) cutAfterFrame(last *Frame) (noted bool, err error) {
	s, err := l.segmentAt(last.Segment)
	if err != nil {
		return false, err
	}
	l.keeper.marking.Lock()
	defer l.keeper.marking.Unlock()
	if err := writeCut(l.disk, l.seed, last.Index); err != nil {
		return false, err
	}
	return true, l.cutAt(s, last)
}

func (l *Log) cutAt(s *segment, last *Frame) error {
	at := last.Offset + int64(frameBytes(int(last.DataBytes)))
	to := l.endOf(s)
	if err := l.dropSegmentsAfter(s); err != nil {
		return err
	}
	l.tail.clear()
	// Nobody reads the file from here until the end is set: a reader would take
	// what is being erased for stable.
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := l.erase(s, at, to); err != nil {
		return err
	}
	l.setEnd(chain{}.next(&last.Header), at)
	l.flusher.active = s
	return l.seedTail(s, at)
}

// dropSegmentsAfter removes the segments that follow s, the newest first.
func (l *Log) dropSegmentsAfter(s *segment) error {
	all := *l.segments.Load()
	for n := len(all); n > 0 && all[n-1] != s; n-- {
		kept := all[: n-1 : n-1]
		l.segments.Store(&kept)
		if err := l.removeSegment(all[n-1]); err != nil {
			return err
		}
	}
	return l.disk.SyncDir(".")
}

func (l *Log) removeSegment(s *segment) error {
	file := s.retire()
	l.history.forget(s.base(), 0)
	if file == nil {
		return nil
	}
	if err := file.Close(); err != nil {
		return err
	}
	return l.disk.Remove(s.name())
}

// endOf is the file offset after the last frame of a segment, at worst the end
// of the file. Nothing was ever written behind it but zeros and, in a recycled
// file, frames of lower indexes.
func (l *Log) endOf(s *segment) int64 {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	switch {
	case l.lastSegment() == s:
		return l.endAt
	case s.sealedAt > 0:
		return s.sealedAt
	}
	return s.bytes
}

// erase overwrites a segment with zeros from file offset at to offset to, lowers
// the mark file and ends the cut, each step durable before the next.
func (l *Log) erase(s *segment, at, to int64) error {
	file, err := s.openFile()
	if err != nil {
		return err
	}
	s.forgetFrom(at)
	l.history.forget(s.base(), at)
	if err := l.zero(file, at, to); err != nil {
		return fmt.Errorf("erase segment %s from %d: %w", s.name(), at, err)
	}
	if err := l.disk.Remove(markName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	if err := l.disk.SyncDir("."); err != nil {
		return err
	}
	if err := l.disk.Remove(cutName); err != nil {
		return err
	}
	return l.disk.SyncDir(".")
}

// zero writes zeros from at to the end of the block that holds to, keeping the
// bytes before at in the first block. It runs while a replica waits, so it
// writes no more than there was.
func (l *Log) zero(file disk.File, at, to int64) error {
	block := int64(l.block)
	from := at / block * block
	to = (to + block - 1) / block * block
	b := l.scratch(int(min(fillWriteBytes, to-from)))
	if from < at {
		if _, err := file.ReadAt(b[:block], from); err != nil {
			return err
		}
		clear(b[at-from : block])
	}
	for from < to {
		n := min(int64(len(b)), to-from)
		if _, err := file.WriteAt(b[:n], from); err != nil {
			return err
		}
		clear(b[:block])
		from += n
	}
	return file.Sync()
}

// setEnd makes c the end of the log, everything before it durable.
func (l *Log) setEnd(c chain, at int64) {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	l.end, l.endAt = c, at
	// Durable first and Appended last: Durable ≤ Written ≤ Appended holds for
	// whoever looks meanwhile.
	l.durable.Store(uint64(c.index))
	l.written.Store(uint64(c.index))
	l.appended.Store(uint64(c.index))
}

// finishCut ends a Truncate that a crash cut short.
func (l *Log) finishCut(w *scan) (Recovery, *scan, error) {
	r := Recovery{Frames: w.frames, End: w.end.index, Position: w.end.position, Reason: "a truncation was finished"}
	if w.end.index != l.cutAfter {
		return r, nil, fmt.Errorf("%w: segment %s/%s at %d: the log was being truncated to frame %d and ends with %d",
			ErrCorrupt, l.disk.Path(), w.segment.name(), w.at, l.cutAfter, w.end.index)
	}
	return r, w, l.erase(w.segment, w.at, w.segment.bytes)
}

const cutPayloadBytes = 8

func writeCut(d disk.Disk, seed event.Seed, last event.Index) error {
	var p [cutPayloadBytes]byte
	binary.LittleEndian.PutUint64(p[:], uint64(last))
	b := make([]byte, blockHeaderBytes+cutPayloadBytes)
	putBlock(b, blockCut, seed, p[:])
	return disk.WriteWhole(d, cutName, b)
}

// readCut returns the last frame that an unfinished Truncate keeps, 0 if there
// is none.
func readCut(d disk.Disk, seed event.Seed) (event.Index, error) {
	b, err := disk.ReadWhole(d, cutName, recordBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	p, err := openBlock(b, blockCut, seed, cutPayloadBytes)
	if err != nil {
		return 0, fmt.Errorf("read %s/%s: %w", d.Path(), cutName, err)
	}
	return event.Index(binary.LittleEndian.Uint64(p)), nil
}
