package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Reset drops all frames and lets the log begin after base, which a checkpoint
// covers that the caller has made durable. Only the appender calls it.
func (l *Log) Reset(base Base) error {
	end, _, _ := l.End()
	l.Flush()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		return fmt.Errorf("reset the log to begin after frame %d: %w", base.Index, err)
	}
	err := l.flusher.do(func() error { return l.beginAfter(base) })
	if err != nil {
		l.fail(fmt.Errorf("reset the log to begin after frame %d: %w", base.Index, err))
	}
	return err
}

// beginAfter runs on the flusher's goroutine, with nothing in flight.
func (l *Log) beginAfter(base Base) error {
	l.keeper.marking.Lock()
	defer l.keeper.marking.Unlock()
	if err := writeReset(l.disk, l.seed, base); err != nil {
		return err
	}
	for _, s := range *l.segments.Load() {
		if err := l.removeSegment(s); err != nil {
			return err
		}
	}
	l.tail.clear()
	s := &segment{start: base.chain(), bytes: l.opts.SegmentBytes}
	l.segments.Store(&[]*segment{s})
	if err := l.keeper.activate(s); err != nil {
		return err
	}
	if err := l.endReset(); err != nil {
		return err
	}
	l.setEnd(s.start, int64(l.block))
	l.flusher.active = s
	return nil
}

// endReset removes the Durable mark of the old frames, then the reset file.
func (l *Log) endReset() error {
	for _, name := range []string{markName, resetName} {
		if err := l.disk.Remove(name); err != nil && !errors.Is(err, disk.ErrNotFound) {
			return err
		}
		if err := l.disk.SyncDir("."); err != nil {
			return err
		}
	}
	return nil
}

// finishReset ends a Reset that a crash cut short: once more from the start.
func (l *Log) finishReset() error {
	base, found, err := readReset(l.disk, l.seed)
	if err != nil || !found {
		return err
	}
	names, err := l.disk.List(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := parseSegmentName(name); !ok {
			continue
		}
		if err := l.disk.Remove(name); err != nil {
			return err
		}
	}
	s := &segment{start: base.chain(), bytes: l.opts.SegmentBytes}
	if err := newKeeper(l).activate(s); err != nil {
		return err
	}
	if err := s.file.Close(); err != nil {
		return err
	}
	return l.endReset()
}

const resetPayloadBytes = 36

func writeReset(d disk.Disk, seed event.Seed, base Base) error {
	le := binary.LittleEndian
	var p [resetPayloadBytes]byte
	le.PutUint64(p[0:], uint64(base.Index))
	le.PutUint64(p[8:], uint64(base.Term))
	le.PutUint64(p[16:], uint64(base.Position))
	le.PutUint64(p[24:], uint64(base.Timestamp))
	le.PutUint32(p[32:], base.Chain)
	b := make([]byte, blockHeaderBytes+resetPayloadBytes)
	putBlock(b, blockReset, seed, p[:])
	return disk.WriteWhole(d, resetName, b)
}

func readReset(d disk.Disk, seed event.Seed) (base Base, found bool, err error) {
	b, err := disk.ReadWhole(d, resetName, recordBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return Base{}, false, nil
	}
	if err != nil {
		return Base{}, false, err
	}
	p, err := openBlock(b, blockReset, seed, resetPayloadBytes)
	if err != nil {
		return Base{}, false, fmt.Errorf("read %s/%s: %w", d.Path(), resetName, err)
	}
	le := binary.LittleEndian
	return Base{
		Index: event.Index(le.Uint64(p[0:])), Term: event.Term(le.Uint64(p[8:])),
		Position: event.Position(le.Uint64(p[16:])), Timestamp: int64(le.Uint64(p[24:])), Chain: le.Uint32(p[32:]),
	}, true, nil
}
