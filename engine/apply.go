package engine

import (
	"fmt"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// applyLoop is the apply goroutine: it completes proposals and applies frames
// in log order as they are committed.
func (e *Engine) applyLoop() {
	defer e.stopped.Done()
	for {
		e.advance()
		select {
		case <-e.work:
		case <-e.stop:
			e.advance()
			return
		}
	}
}

// advance handles everything committed so far. Proposals complete first: their
// promise is Committed, and a reply shouldn't wait for the projections.
func (e *Engine) advance() {
	through := e.committedNow()
	if through <= event.Index(e.applied.Load()) {
		return
	}
	e.opts.OnCommitted(e.Marks())
	if err := e.applyThrough(through); err != nil {
		e.opts.Log.Fatal(fmt.Errorf("apply frame %d: %w; the projections can't go on", e.cursor.Next(), err))
		return
	}
	e.notify()
}

// committedNow reads the mark that counts as Committed and publishes it.
func (e *Engine) committedNow() event.Index {
	if e.opts.CommitAt == CommitExternal {
		return event.Index(e.committed.Load())
	}
	m := e.log.Marks()
	through := m.Durable
	if e.opts.CommitAt == CommitWritten {
		through = m.Written
	}
	e.committed.Store(uint64(through))
	return through
}

// applyThrough folds frames into the projections, in order.
func (e *Engine) applyThrough(through event.Index) error {
	return e.cursor.Visit(through, e.applyFrame)
}

func (e *Engine) applyFrame(f commitlog.Frame) error {
	at := projection.Place{
		Index: f.Index, Position: f.Position, Timestamp: f.Timestamp,
		Segment: f.Segment, FrameOffset: uint32(f.Offset),
	}
	if f.Kind == commitlog.FrameEvents {
		if err := e.applyEvents(at, f.Data); err != nil {
			return err
		}
	}
	e.applied.Store(uint64(f.Index))
	e.position.Store(uint64(f.End()))
	return nil
}

func (e *Engine) applyEvents(at projection.Place, data []byte) error {
	for len(data) > 0 {
		ev, rest, err := event.Split(data)
		if err != nil {
			return fmt.Errorf("%w: frame %d: %w", ErrCorrupt, at.Index, err)
		}
		if !ev.Kind().Known() {
			return fmt.Errorf("frame %d holds an event of kind %d: %w; start a newer version", at.Index, ev.Kind(), commitlog.ErrNewerFormat)
		}
		for _, p := range e.projections {
			p.Apply(at, ev)
		}
		if ev.Stream() == event.StreamQueue {
			e.touch(ev.Queue())
		}
		at.Position += event.Position(len(ev))
		data = rest
	}
	return nil
}

// touch notes a queue that got an event. It looks back a little way only: a
// queue that is named twice costs a listener a look, no more.
func (e *Engine) touch(q event.Queue) {
	for i := len(e.touched) - 1; i >= max(0, len(e.touched)-8); i-- {
		if e.touched[i] == q {
			return
		}
	}
	e.touched = append(e.touched, q)
}

func (e *Engine) notify() {
	e.broadcast()
	for _, f := range *e.listeners.Load() {
		f(e.touched)
	}
	e.touched = e.touched[:0]
}
