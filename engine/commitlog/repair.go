package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Copy is another copy of the log: that of another replica.
type Copy interface {
	// Name is for people.
	Name() string
	// Frames visits frames first to last in order, each as CopyFrame gives it.
	// It may end early; an error says why. A frame is valid until take returns.
	Frames(first, last event.Index, take func(frame []byte) error) error
}

// Repair tells that frames were damaged on this disk and have been replaced.
type Repair struct {
	Segment     event.Position // base
	Offset      int64          // where the damage began in the segment
	First, Last event.Index
	From        string // name of the copy
	Kept        string // file with the damaged bytes
	// Moved: the damage had taken headers, and the frames may stand elsewhere
	// in the segment than they did.
	Moved bool
}

// repairBytesMax bounds a damage that is repaired frame by frame: it is held in
// memory. A replica with more of it is better emptied.
const repairBytesMax = 64 << 20

var errNoCopy = errors.New("no other copy of the log has these frames")

// CopyFrame appends a frame to dst in the form that is the same on all
// replicas: the header without its local word, then the data. It is verified,
// and never repaired here, so that two copies don't wait for each other.
func (l *Log) CopyFrame(index event.Index, dst []byte) ([]byte, error) {
	r := l.NewReader()
	r.asIs = true
	err := r.Frame(index, func(f Frame) error {
		var h [headerBytes]byte
		f.Header.put(h[:], l.seed)
		dst = append(append(dst, h[:sharedHeaderBytes]...), f.Data...)
		return nil
	})
	return dst, err
}

// mend is called by a reader to which err has happened at file offset at of a
// segment. It reports whether reading there is worth another try: the damage is
// repaired, or there is none on the disk.
func (l *Log) mend(s *segment, at int64, err error) bool {
	if !errors.Is(err, ErrCorrupt) || l.opts.Copies == nil {
		return false
	}
	l.repairing.Lock()
	defer l.repairing.Unlock()
	if f := l.unmended; f.segment == s && f.at == at && f.tick == l.ticks.Load() {
		return false // readers meet the same place again and again
	}
	if err := l.repair(s, at); err != nil {
		l.meters.unrepaired.Add(1)
		l.unmended = unmended{s, at, l.ticks.Load()}
		l.opts.Log.Error("the log is damaged and was not repaired; the next read tries again", "segment", s.name(), "offset", at, "cause", err)
		return false
	}
	return true
}

// unmended is where the last attempt to repair failed, and in which second.
type unmended struct {
	segment *segment
	at      int64
	tick    uint64
}

// repair replaces damaged frames until those at a place are good.
func (l *Log) repair(s *segment, at int64) error {
	for {
		d, err := l.look(s, at)
		if err != nil {
			return err
		}
		if d == nil {
			l.history.forget(s.base(), 0) // where there may be what the disk once gave
			return nil
		}
		l.meters.damages.Add(1)
		if err := l.repairDamage(d); err != nil {
			return fmt.Errorf("repair %v: %w", d, err)
		}
	}
}

// look is damageAt while the segment stays.
func (l *Log) look(s *segment, at int64) (d *damage, err error) {
	err = s.read(func(disk.File) error {
		d, err = l.damageAt(s, at)
		return err
	})
	return d, err
}

func (l *Log) repairDamage(d *damage) error {
	frames, from, err := l.fetch(d)
	if err != nil {
		return err
	}
	r := Repair{Segment: d.segment.base(), Offset: d.from, First: d.first(), Last: d.last, From: from}
	if err := l.replace(d, frames, &r); err != nil {
		return err
	}
	if err := l.readBack(d); err != nil {
		return err
	}
	l.meters.repaired.Add(uint64(d.last - d.before.index))
	l.opts.Log.Warn("damaged frames were replaced by those of another replica", "segment", d.segment.name(), "offset", d.from,
		"first", r.First, "last", r.Last, "from", r.From, "damagedBytesIn", r.Kept)
	l.opts.OnRepair(r)
	return nil
}

// readBack checks on the disk what was repaired.
func (l *Log) readBack(d *damage) error {
	return d.segment.read(func(disk.File) error {
		w := &scan{log: l, segment: d.segment, at: d.from, end: d.before}
		for w.end.index < d.last {
			h, at, reason, err := w.frame()
			if err == nil && reason != nil {
				err = fmt.Errorf("it can't be read back as it was written: %w; replace the disk", reason)
			}
			if err != nil {
				return err
			}
			w.pass(&h, at)
		}
		return nil
	})
}

// fetch gets the frames of a damage from the first copy that has them as the
// frames around them say that they were.
func (l *Log) fetch(d *damage) (frames [][]byte, from string, err error) {
	failed := errNoCopy
	for _, c := range l.opts.Copies() {
		f := fetching{log: l, end: d.before}
		err := c.Frames(d.first(), d.last, f.take)
		switch {
		case err == nil && (f.end.index != d.last || f.end.crc != d.lastCRC):
			err = fmt.Errorf("%w: its frames to %d are not those before the next one here", ErrCorrupt, f.end.index)
		case err == nil:
			return f.frames, c.Name(), nil
		}
		failed = fmt.Errorf("%w; %s: %w", failed, c.Name(), err)
	}
	return nil, "", failed
}

// fetching takes frames of another copy that continue a chain.
type fetching struct {
	log    *Log
	end    chain
	frames [][]byte
	bytes  int
}

func (f *fetching) take(b []byte) error {
	if len(b) <= sharedHeaderBytes || f.bytes+len(b) > repairBytesMax {
		return fmt.Errorf("%w: a frame of %d bytes after %d; at most %d are repaired at once", ErrTooLarge, len(b), f.bytes, repairBytesMax)
	}
	data := b[sharedHeaderBytes:]
	frame := make([]byte, frameBytes(len(data)))
	copy(frame, b[:sharedHeaderBytes])
	copy(frame[headerBytes:], data)
	h, err := decodeHeader(frame, f.log.seed)
	if err == nil && int(h.DataBytes) != len(data) {
		err = fmt.Errorf("%w: %d data bytes, the header says %d", ErrCorrupt, len(data), h.DataBytes)
	}
	if err == nil {
		err = f.end.follows(&h)
	}
	if err == nil {
		err = h.verifyData(data, f.log.seed)
	}
	if err != nil {
		return err
	}
	h.DurableWhenBuilt = 0 // it was built elsewhere
	h.put(frame, f.log.seed)
	f.frames, f.bytes, f.end = append(f.frames, frame), f.bytes+len(frame), f.end.next(&h)
	return nil
}

// replace puts frames where they were, durably, and keeps what was there.
//
// Only blocks that differ are written. What they have of good frames around is
// written as it was, so a power cut leaves each sector as it was or as it is to
// be: the frames around are good, and those that were damaged are so still or
// no more.
func (l *Log) replace(d *damage, frames [][]byte, r *Repair) error {
	s := d.segment
	s.reading.Lock()
	defer s.reading.Unlock()
	file, err := s.openFile()
	if err != nil || s.cuts.Load() != d.cuts {
		return err // trimmed or truncated: nothing to repair
	}
	block := int64(l.block)
	begin, end := d.from/block*block, min((d.extent(frames)+block-1)/block*block, s.bytes)
	if end-begin > 2*repairBytesMax {
		return fmt.Errorf("%w: %d bytes are damaged, at most %d are repaired at once; remove the node from its group and add it again empty", ErrTooLarge, end-begin, 2*repairBytesMax)
	}
	old := l.scratch(int(end - begin))
	if _, err := file.ReadAt(old, begin); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	image := l.scratch(len(old))
	copy(image, old)
	to := min(d.to, end)
	lay := laying{frames: frames, from: d.from, to: to, exact: d.exact, block: block, old: old[d.from-begin : to-begin]}
	starts, certain := lay.find()
	if starts == nil {
		return fmt.Errorf("%w: the frames of %s don't fit in between the good ones", ErrCorrupt, r.From)
	}
	r.Moved = !certain
	clear(image[d.from-begin : to-begin])
	for i, f := range frames {
		copy(image[starts[i]-begin:], f)
	}
	r.Kept = damagedName(s.base(), d.from)
	if err := l.keepAside(r.Kept, old[d.from-begin:to-begin]); err != nil {
		return err
	}
	err = l.writeDiffering(s, file, begin, old, image)
	s.forgetBetween(d.from, d.to)
	return err
}

// extent is the file offset up to which a damage may reach.
func (d *damage) extent(frames [][]byte) int64 {
	if d.exact {
		return d.to
	}
	n := d.from
	for _, f := range frames {
		n += int64(len(f)) + int64(alignedStartBytes) // where it skips to the next block
	}
	return min(n, d.to)
}

// writeDiffering writes the blocks in which image differs from old and syncs.
func (l *Log) writeDiffering(s *segment, file disk.File, begin int64, old, image []byte) error {
	stable := l.stable(s)
	for at := 0; at < len(image); at += l.block {
		b := image[at : at+l.block]
		if bytes.Equal(b, old[at:at+l.block]) {
			continue
		}
		if begin+int64(at+l.block) > stable {
			return errors.New("it reaches into the block that is being written; the next attempt is later")
		}
		if _, err := file.WriteAt(b, begin+int64(at)); err != nil {
			return err
		}
	}
	return file.SyncData()
}
