package commitlog

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// Trim drops whole segments whose frames all have indexes up to through. The
// caller has made sure that nothing needs them: the state at their end is in a
// checkpoint that is durable. Reads of dropped frames give ErrNotFound. The
// newest segment always stays.
//
// A crash may leave some of the segments; they are the oldest still, and the
// next Trim drops them.
func (l *Log) Trim(through event.Index) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	for {
		s := l.dropFirst(through)
		if s == nil {
			return nil
		}
		if err := l.recycle(s); err != nil {
			return fmt.Errorf("trim segment %s: %w", s.name(), err)
		}
	}
}

// dropFirst takes the oldest segment out of the list if it ends by through, is
// written to its end, and the segment after it has its file: the log on disk
// never is without a segment.
func (l *Log) dropFirst(through event.Index) *segment {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	all := *l.segments.Load()
	if len(all) < 2 || all[1].start.index > min(through, event.Index(l.durable.Load())) {
		return nil
	}
	if _, err := all[1].openFile(); err != nil {
		return nil
	}
	kept := append([]*segment(nil), all[1:]...)
	l.segments.Store(&kept)
	return all[0]
}

// recycle waits for the segment's readers, then keeps its file as the spare or
// removes it.
func (l *Log) recycle(s *segment) error {
	file := s.retire()
	l.history.forget(s.base(), 0)
	if file == nil {
		return nil
	}
	if taken, err := l.keeper.keepSpare(s, file); taken || err != nil {
		return err
	}
	return errors.Join(file.Close(), l.disk.Remove(s.name()), l.disk.SyncDir("."))
}

// Sealed describes a segment that takes no more frames.
type Sealed struct {
	Last      event.Index    // last frame in it
	End       event.Position // after that frame
	Timestamp int64          // of that frame, Unix milliseconds
	FileBytes int64          // length of the file
}

// Sealed lists all sealed segments, oldest first.
func (l *Log) Sealed() []Sealed {
	all := *l.segments.Load()
	sealed := make([]Sealed, 0, len(all)-1)
	for i, next := range all[1:] {
		sealed = append(sealed, Sealed{Last: next.start.index, End: next.start.position,
			Timestamp: next.start.timestamp, FileBytes: all[i].bytes})
	}
	return sealed
}

// FileBytes is how long the files of all segments are together; the spare is
// not counted.
func (l *Log) FileBytes() int64 {
	n := int64(0)
	for _, s := range *l.segments.Load() {
		n += s.bytes
	}
	return n
}

// SegmentEnds lists the indexes of the last frames of all sealed segments,
// oldest first: the places up to which Trim can drop.
func (l *Log) SegmentEnds() []event.Index {
	all := *l.segments.Load()
	ends := make([]event.Index, 0, len(all)-1)
	for _, next := range all[1:] {
		ends = append(ends, next.start.index)
	}
	return ends
}
