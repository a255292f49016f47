package engine

import (
	"fmt"
	"iter"
	"slices"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

func frameOf(f *commitlog.Frame) queue.Frame {
	return queue.Frame{Index: f.Index, Segment: f.Segment, Position: f.Position, End: f.End(), Offset: f.Offset, Timestamp: f.Timestamp, Chain: f.CRC}
}

// eachEvent visits the events of a frame with their places.
func eachEvent(f *commitlog.Frame, visit func(projection.Place, event.Event)) error {
	if f.Kind != commitlog.FrameEvents {
		return nil
	}
	at := projection.Place{
		Index: f.Index, Position: f.Position, Timestamp: f.Timestamp,
		Segment: f.Segment, FrameOffset: uint32(f.Offset),
	}
	data := f.Data
	for len(data) > 0 {
		ev, rest, err := event.Split(data)
		if err != nil {
			return fmt.Errorf("%w: frame %d: %w", ErrCorrupt, f.Index, err)
		}
		if !ev.Kind().Known() {
			return fmt.Errorf("frame %d holds an event of kind %d: %w; start a newer version", f.Index, ev.Kind(), commitlog.ErrNewerFormat)
		}
		visit(at, ev)
		at.Position += event.Position(len(ev))
		data = rest
	}
	return nil
}

// rebuild writes the index file of frames first to last, which are in one
// segment, from the log. before are the counters where they begin. It goes run
// by run, so it takes the memory of one.
func (x *indexer) rebuild(first, last event.Index, before iter.Seq2[indexfile.Row, error]) (*indexfile.File, error) {
	x.rebuilds.Add(1)
	scratch := queue.New(x.runLen)
	if err := scratch.Load(before); err != nil {
		return nil, err
	}
	var parts []*indexfile.File
	write := func(run *queue.Run) error {
		if len(parts) > 0 {
			before = parts[len(parts)-1].Table()
		}
		f, err := run.Write(x.shelf, before)
		if err != nil {
			return err
		}
		parts = append(parts, f)
		scratch.Forget(run)
		return nil
	}
	err := x.log.CursorFrom(first).Visit(last, func(f commitlog.Frame) error {
		if run := scratch.Advance(frameOf(&f)); run != nil {
			if err := write(run); err != nil {
				return err
			}
		}
		return eachEvent(&f, scratch.Apply)
	})
	if err == nil {
		err = write(scratch.Seal())
	}
	if err != nil {
		return nil, fmt.Errorf("rebuild the index of frames %d to %d: %w", first, last, err)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	whole, err := x.shelf.Merge(parts)
	if err != nil {
		return nil, err
	}
	return whole, x.discard(slices.DeleteFunc(parts, func(f *indexfile.File) bool { return f.Name() == whole.Name() }))
}
