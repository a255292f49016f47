package engine

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// Trim drops whole segments whose frames all have indexes up to through and
// are applied. Counters of queues, topics, groups and consumer offsets stay:
// the base checkpoint, written and synced first, has them. The newest segment
// always stays. When every copy of a log is to be the same, the caller makes
// sure that all trim alike. It waits for the apply goroutine, so that must not
// call it.
func (e *Engine) Trim(through event.Index) error {
	e.trimming.Lock()
	defer e.trimming.Unlock()
	e.reads.RLock()
	defer e.reads.RUnlock()
	if e.closed {
		return fmt.Errorf("trim: %w", ErrClosed)
	}
	last := e.trimmable(through)
	if last == 0 {
		return nil
	}
	base, counters, err := e.writeBase(last)
	if err != nil {
		return fmt.Errorf("trim through frame %d: %w", last, err)
	}
	if err := e.dropIndex(base, counters); err != nil {
		return fmt.Errorf("trim through frame %d: %w", last, err)
	}
	return e.log.Trim(last)
}

// trimmable is the last frame that Trim may drop, 0 for none.
func (e *Engine) trimmable(through event.Index) event.Index {
	limit := min(through, event.Index(e.applied.Load()), e.log.Marks().Durable)
	last := event.Index(0)
	for _, end := range e.log.SegmentEnds() {
		if end <= limit {
			last = end
		}
	}
	return last
}

// writeBase makes the state after frame last the durable base checkpoint and
// returns the position at which the log is to begin and the counters there. It folds the frames that
// go onto the base before, so it depends on nothing that may be deleted.
func (e *Engine) writeBase(last event.Index) (event.Position, []indexfile.Row, error) {
	d, id := e.opts.Log.Disk, e.log.Meta().Log
	queues, s := queue.New(e.opts.RunBytes), newState()
	all := append([]projection.Projection{queues}, s.projections()...)
	first, _ := e.log.First()
	if first > 1 {
		if _, err := readCheckpoint(d, baseName, id, all); err != nil {
			return 0, nil, fmt.Errorf("read the base checkpoint: %w", err)
		}
	}
	var at place
	err := e.log.CursorFrom(first).Visit(last, func(f commitlog.Frame) error {
		if run := queues.Advance(frameOf(&f)); run != nil {
			queues.Forget(run)
		}
		at = place{index: f.Index, term: f.Term, position: f.End(), timestamp: f.Timestamp, chain: f.CRC}
		return eachEvent(&f, func(p projection.Place, ev event.Event) {
			queues.Apply(p, ev)
			if concernsState(ev) {
				s.apply(p, ev)
			}
		})
	})
	if err != nil {
		return 0, nil, err
	}
	var b bytes.Buffer
	if err := writeCheckpoint(&b, id, at, all); err != nil {
		return 0, nil, err
	}
	var counters []indexfile.Row
	for row := range queues.Counters() {
		counters = append(counters, row)
	}
	return at.position, counters, disk.WriteWhole(d, baseName, b.Bytes())
}

// dropIndex forgets the index of all segments below base; counters is where
// the queues stand there.
func (e *Engine) dropIndex(base event.Position, counters []indexfile.Row) error {
	var err error
	if !e.indexer.do(func() { err = e.indexer.drop(base, counters, e.onApply) }) {
		return ErrClosed
	}
	return err
}

// drop runs on the indexer's goroutine: no run is being written meanwhile.
func (x *indexer) drop(base event.Position, counters []indexfile.Row, onApply func(func()) error) error {
	n := 0
	for n < len(x.files) && x.files[n].Segment < base {
		n++
	}
	x.mu.Lock()
	for _, h := range x.handed {
		if h.run != nil && h.run.Segment < base {
			h.run = nil
		}
	}
	x.dropping = true // the applier must not wait for this goroutine now
	x.changed.Broadcast()
	x.mu.Unlock()
	err := onApply(func() { x.queues.DropSegment(base, counters) })
	x.mu.Lock()
	x.dropping = false
	x.mu.Unlock()
	if err != nil {
		return err
	}
	gone := slices.Clone(x.files[:n])
	x.publish(slices.Clone(x.files[n:]))
	x.base = counters
	return x.discard(gone)
}
