package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// applyLoop is the apply goroutine: it applies frames in log order as they are
// committed.
func (e *Engine) applyLoop() {
	defer e.stopped.Done()
	for {
		e.advance()
		select {
		case <-e.work:
		case f := <-e.tasks:
			f()
		case <-e.stop:
			e.advance()
			return
		}
	}
}

// marksMoved runs on the flusher's goroutine. Proposals complete there: their
// promise is Committed, and at low load a reply shouldn't wait for another
// goroutine to wake up, nor for the projections.
func (e *Engine) marksMoved() {
	m := e.log.Marks()
	e.opts.OnMarks(m)
	if e.opts.CommitAt == CommitExternal {
		return
	}
	through := m.Durable
	if e.opts.CommitAt == CommitWritten {
		through = m.Written
	}
	e.commit(through)
}

// commit publishes Committed and tells everybody.
func (e *Engine) commit(through event.Index) {
	if event.Index(e.committed.Swap(uint64(through))) < through {
		// The apply goroutine first: the scheduler runs whoever was woken last at
		// once, and at low load that is to be the one that waits for the answer.
		e.wake()
		e.opts.OnCommitted(e.Marks())
	}
}

// advance applies everything committed so far.
func (e *Engine) advance() {
	e.forgetWritten()
	through := event.Index(e.committed.Load())
	if through <= event.Index(e.applied.Load()) {
		return
	}
	err := e.applyThrough(through)
	if errors.Is(err, ErrCorrupt) && e.opts.Log.Copies != nil {
		e.waitForRepair(err)
		return
	}
	e.damaged = false
	if err != nil {
		e.opts.Log.Fatal(fmt.Errorf("apply frame %d: %w; the projections can't go on", e.cursor.Next(), err))
		return
	}
	e.notify()
	if e.state.retention.Mark().Through > event.Index(e.floorsAt.Load()) {
		e.wakeTrim()
	}
}

// applyThrough folds frames into the projections, in order.
func (e *Engine) applyThrough(through event.Index) error {
	return e.cursor.Visit(through, e.applyFrame)
}

func (e *Engine) applyFrame(f commitlog.Frame) error {
	newToQueues, newToState, newToWaits := f.Index > e.queuesAt, f.Index > e.stateAt, f.Index > e.waitsAt
	if newToQueues {
		if err := e.advanceIndex(&f); err != nil {
			return err
		}
	}
	err := eachEvent(&f, func(at projection.Place, ev event.Event) {
		if newToQueues {
			e.queues.Apply(at, ev)
			if ev.Stream() == event.StreamQueue {
				e.touch(ev.Queue())
			}
		}
		if newToState && concernsState(ev) {
			e.state.apply(at, ev)
			e.pending = append(e.pending, stateEvent{at: at, event: slices.Clone(ev)})
			e.pendingN += len(ev)
		}
		if newToWaits && pending.Concerns(ev) {
			e.waits.Apply(at, ev)
		}
	})
	if err != nil {
		return err
	}
	e.last = place{index: f.Index, term: f.Term, position: f.End(), timestamp: f.Timestamp, chain: f.CRC}
	if newToWaits {
		if err := e.waits.Commit(e.last.waiting()); err != nil {
			return err
		}
	}
	e.applied.Store(uint64(f.Index))
	e.position.Store(uint64(f.End()))
	if e.wanted != nil {
		e.sumIfWanted()
	}
	if e.pendingN > pendingBytesMax {
		return e.handOver(nil)
	}
	return nil
}

// pendingBytesMax bounds the state events that wait for the end of a run.
const pendingBytesMax = 4 << 20

// advanceIndex tells the index of the next frame and hands over a run that
// this seals.
func (e *Engine) advanceIndex(f *commitlog.Frame) error {
	run := e.queues.Advance(frameOf(f))
	if run == nil {
		return nil
	}
	e.forgetWritten()
	return e.handOver(run)
}

func (e *Engine) handOver(run *queue.Run) error {
	if e.last.index > e.waitsAt {
		if err := e.waits.Mark(e.last.waiting()); err != nil {
			return err
		}
	}
	e.indexer.hand(&handover{run: run, events: e.pending, at: e.last})
	e.pending, e.pendingN = nil, 0
	return nil
}

// forgetLater notes that a run is in a file now.
func (e *Engine) forgetLater(run *queue.Run) {
	e.writtenMu.Lock()
	e.written = append(e.written, run)
	e.writtenMu.Unlock()
	e.wake()
}

// forgetWritten drops from memory what is in files.
func (e *Engine) forgetWritten() {
	e.writtenMu.Lock()
	written := e.written
	e.written = nil
	e.writtenMu.Unlock()
	for _, run := range written {
		e.queues.Forget(run)
	}
}

// onApply runs f on the apply goroutine and waits for it.
func (e *Engine) onApply(f func()) error {
	ran := make(chan struct{})
	select {
	case e.tasks <- func() { defer close(ran); f() }:
		<-ran
		return nil
	case <-e.stop:
		return ErrClosed
	}
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
