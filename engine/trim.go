package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// trimLoop carries out what retention decides. It waits for the applier and
// reads whole segments, so it has a goroutine of its own.
func (e *Engine) trimLoop() {
	defer e.stopped.Done()
	warned := false
	for {
		select {
		case <-e.stop:
			return
		case <-e.trims:
		}
		err := e.carryOutTrim()
		switch {
		case err == nil:
			warned = false
		case errors.Is(err, ErrClosed):
			return
		case !warned:
			warned = true
			e.opts.Log.Log.Warn("the old part of the log is not removed yet; the next try is in a second", "cause", err)
		}
	}
}

// wakeTrim makes trimLoop look if there is something to do.
func (e *Engine) wakeTrim() {
	through := e.state.retention.Mark().Through
	ends := e.log.SegmentEnds()
	if event.Index(e.floorsAt.Load()) >= through && (len(ends) == 0 || ends[0] > through) {
		return
	}
	select {
	case e.trims <- struct{}{}:
	default:
	}
}

// carryOutTrim makes queues begin where retention has decided, and removes the
// segments all of whose frames are dropped. It can be repeated after an error
// or a crash. Only whole segments go, and the newest always stays; what the
// queues show follows from the decision alone. It waits for the apply
// goroutine, so that must not call it.
func (e *Engine) carryOutTrim() error {
	e.trimming.Lock()
	defer e.trimming.Unlock()
	e.reads.RLock()
	defer e.reads.RUnlock()
	if e.closed {
		return fmt.Errorf("trim: %w", ErrClosed)
	}
	through := e.state.retention.Mark().Through
	last := e.removable()
	if last > e.baseAt || through > event.Index(e.floorsAt.Load()) {
		if err := e.trimProjections(last, through); err != nil {
			return fmt.Errorf("trim through frame %d: %w", through, err)
		}
	}
	first, _ := e.log.First()
	if first > e.baseAt {
		return nil
	}
	if err := e.log.Trim(e.baseAt); err != nil {
		return fmt.Errorf("trim through frame %d: %w", e.baseAt, err)
	}
	if now, position := e.log.First(); now > first {
		e.opts.Log.Log.Info("old segments are removed", "through", now-1, "position", position)
	}
	return nil
}

// removable is the last frame of the segments that may be removed, 0 for none.
// The decision has to be durable before anything goes by it.
func (e *Engine) removable() event.Index {
	mark, durable := e.state.retention.Mark(), e.log.Marks().Durable
	last := event.Index(0)
	for _, end := range e.log.SegmentEnds() {
		if mark.Decided <= durable && end <= min(mark.Through, durable) {
			last = end
		}
	}
	return last
}

// trimPlan is what the projections are at two places of the log.
type trimPlan struct {
	base     place // where the log is to begin, index 0 to leave it
	bytes    []byte
	counters []indexfile.Row // of the queues at base
	floors   []indexfile.Row // where retention has decided that the queues begin
}

// trimProjections makes the state after frame last the durable base checkpoint,
// forgets the index before it, and lets the queues begin behind frame through.
// Both may be the same frame; they are not where this log's segments were cut
// elsewhere than those of whoever decided.
func (e *Engine) trimProjections(last, through event.Index) error {
	plan, err := e.planTrim(last, through)
	if err != nil {
		return err
	}
	if plan.base.index > 0 {
		if err := e.checkMoved(plan.base.position); err != nil {
			return err
		}
		if err := disk.WriteWhole(e.opts.Log.Disk, baseName, plan.bytes); err != nil {
			return err
		}
		e.baseAt = last
	}
	var failed error
	if !e.indexer.do(func() { failed = e.indexer.drop(&plan, e.onApply) }) {
		return ErrClosed
	}
	if failed == nil {
		e.floorsAt.Store(uint64(max(e.baseAt, through)))
	}
	return failed
}

// planTrim folds the frames that go onto the base before, so it depends on
// nothing that may be deleted.
func (e *Engine) planTrim(last, through event.Index) (p trimPlan, err error) {
	id := e.log.Meta().Log
	queues, s := queue.New(e.opts.RunBytes), newState()
	all := append([]projection.Projection{queues}, s.projections()...)
	var configuration []byte
	if e.baseAt > 0 {
		before, err := readCheckpoint(e.opts.Log.Disk, baseName, id, all)
		if err != nil {
			return p, fmt.Errorf("read the base checkpoint: %w", err)
		}
		configuration = before.configuration
	}
	_, begin := e.log.First()
	p.base = place{position: begin}
	cursor := e.log.CursorFrom(e.baseAt + 1)
	fold := func(f commitlog.Frame) error { return e.foldFrame(&f, queues, s) }
	if last > e.baseAt {
		err := cursor.Visit(last, func(f commitlog.Frame) error {
			p.base = place{index: f.Index, term: f.Term, position: f.End(), timestamp: f.Timestamp, chain: f.CRC}
			if f.Kind == commitlog.FrameConfiguration && len(f.Data) > len(id) {
				configuration = append([]byte(nil), f.Data[len(id):]...)
			}
			return fold(f)
		})
		if err != nil {
			return p, err
		}
		p.base.configuration = configuration
		var b bytes.Buffer
		if err := writeCheckpoint(&b, id, p.base, all); err != nil {
			return p, err
		}
		p.bytes, p.counters = b.Bytes(), counters(queues)
	}
	if err := cursor.Visit(through, fold); err != nil {
		return p, err
	}
	p.floors = counters(queues)
	return p, nil
}

// foldFrame folds a frame into projections that nobody reads.
func (e *Engine) foldFrame(f *commitlog.Frame, queues *queue.Index, s *state) error {
	select {
	case <-e.stop:
		return ErrClosed
	default:
	}
	if run := queues.Advance(frameOf(f)); run != nil {
		queues.Forget(run)
	}
	return eachEvent(f, func(p projection.Place, ev event.Event) {
		queues.Apply(p, ev)
		if concernsState(ev) {
			s.apply(p, ev)
		}
	})
}

func counters(queues *queue.Index) []indexfile.Row {
	var all []indexfile.Row
	for row := range queues.Counters() {
		all = append(all, row)
	}
	return all
}

// drop runs on the indexer's goroutine: no run is being written meanwhile.
func (x *indexer) drop(p *trimPlan, onApply func(func()) error) error {
	base := p.base.position
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
	x.mu.Unlock()
	x.setDropping(true)
	err := onApply(func() { x.queues.DropSegment(base, p.floors) })
	x.setDropping(false)
	if err != nil {
		return err
	}
	if p.base.index == 0 {
		return nil
	}
	gone := slices.Clone(x.files[:n])
	x.publish(slices.Clone(x.files[n:]))
	x.base = p.counters
	return x.discard(gone)
}
