package commitlog

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// flusher is the one goroutine that writes and syncs the log. Writes run
// freely; at most one sync is in flight, and it covers every write that had
// completed before it was submitted.
type flusher struct {
	log   *Log
	queue disk.Queue
	done  chan struct{}
	tasks chan task

	stop      atomic.Bool
	requested atomic.Uint64 // syncs were asked for up to this frame
	asking    atomic.Bool   // Source runs: what it appends needs no wake-up

	// Owned by the goroutine.
	slots   [queueDepth]*chunk
	began   [queueDepth]int64 // by Options.Clock
	synced  int64             // when the sync in flight began
	depth   int               // writes in flight at most
	writes  int               // in flight
	syncing bool
	covers  event.Index // what the sync in flight makes durable
	active  *segment    // whose file is written
	failed  bool
	closing error // of the queue's Close
	ended   [completionsMax]disk.Completion
}

const syncTag = 1 << 32

// startFlusher starts the goroutine and waits until it has its queue.
func startFlusher(l *Log, active *segment) (*flusher, error) {
	f := &flusher{log: l, active: active, done: make(chan struct{}), tasks: make(chan task, 1)}
	opened := make(chan error)
	go f.run(opened)
	return f, <-opened
}

// task is work that needs the flusher idle.
type task struct {
	run func() error
	err chan error
}

// do runs a function on the flusher's goroutine. The caller is the appender
// and has waited until everything is durable, so nothing is in flight.
func (f *flusher) do(run func() error) error {
	t := task{run: run, err: make(chan error, 1)}
	f.tasks <- t
	f.queue.Wake()
	select {
	case err := <-t.err:
		return err
	case <-f.done:
		return ErrClosed
	}
}

func (f *flusher) runTask() {
	if f.writes > 0 || f.syncing {
		return
	}
	select {
	case t := <-f.tasks:
		t.err <- t.run()
	default:
	}
}

func (f *flusher) wake() { f.queue.Wake() }

// requestSync asks for Durable to reach everything appended so far.
func (f *flusher) requestSync() {
	f.request(f.log.Marks().Appended)
	f.queue.Wake()
}

func (f *flusher) request(through event.Index) {
	for {
		old := f.requested.Load()
		if old >= uint64(through) || f.requested.CompareAndSwap(old, uint64(through)) {
			return
		}
	}
}

// run is the goroutine. It opens the queue itself, for it must own it.
func (f *flusher) run(opened chan<- error) {
	defer close(f.done)
	var err error
	f.queue, err = f.log.disk.OpenQueue(queueDepth, f.log.arena.Bytes())
	opened <- err
	if err != nil {
		return
	}
	f.depth = queueDepth
	if !f.queue.Overlaps() {
		f.depth = 1
	}
	f.loop()
	f.closing = f.queue.Close()
}

func (f *flusher) loop() {
	for !f.failed {
		f.runTask()
		f.submitSync()
		f.submitWrites()
		f.submitSync() // a write that waits for the next segment asks for one
		if f.finished() {
			return
		}
		n, err := f.queue.Wait(f.ended[:])
		if err != nil {
			f.fail(fmt.Errorf("wait for the disk: %w", err))
			return
		}
		f.complete(f.ended[:n])
	}
}

// finished reports whether Close was called and everything is durable.
func (f *flusher) finished() bool {
	m := f.log.Marks()
	return f.stop.Load() && f.writes == 0 && !f.syncing && m.Durable == m.Appended
}

// submitWrites submits chunks while the queue has room, and asks the source
// for more when nothing waits. Where a sync and a write can't run side by side,
// the batch goes on growing during the sync.
func (f *flusher) submitWrites() {
	if f.syncing && f.depth == 1 {
		return
	}
	asked := false
	for f.writes < f.depth && !f.failed {
		c := f.take()
		if c == nil {
			if asked || f.blocked() {
				return
			}
			asked = true
			f.askSource()
			continue
		}
		f.submit(c)
	}
}

// askSource lets the source append. While a write or a sync is in flight only a
// batch that may begin in a block of its own is worth closing; a smaller one
// grows.
func (f *flusher) askSource() {
	f.asking.Store(true)
	defer f.asking.Store(false)
	if f.writes > 0 || f.syncing {
		f.log.opts.Source(alignedStartBytes)
		return
	}
	f.log.opts.Source(1)
}

func (f *flusher) submit(c *chunk) {
	file, err := c.segment.openFile()
	if err != nil {
		f.fail(err)
		return
	}
	if c.segment.fill.overtake(c.end()) {
		f.log.meters.overruns.Add(1)
	}
	tag := f.freeSlot()
	f.slots[tag], f.began[tag] = c, f.log.opts.Clock()
	f.writes++
	buf := f.log.tail.padded(c)
	f.log.meters.writeBytes.observe(int64(len(buf)))
	f.log.meters.frameBytes.Add(uint64(len(buf)))
	if f.log.opts.Method == FlushDsync {
		f.queue.WriteDurable(file, buf, c.offset, tag)
		return
	}
	f.queue.Write(file, buf, c.offset, tag)
}

// take returns the next chunk to write. A chunk of the next segment waits
// until the segment before is durable to its end: then a segment that has a
// successor is never torn.
func (f *flusher) take() *chunk {
	t := f.log.tail
	t.mu.Lock()
	if c := t.nextLocked(); c != nil && c.segment != f.active {
		t.mu.Unlock()
		return f.takeFromNextSegment()
	}
	defer t.mu.Unlock()
	return t.takeLocked()
}

func (f *flusher) takeFromNextSegment() *chunk {
	m := f.log.Marks()
	if f.writes > 0 || f.syncing || m.Durable < m.Written {
		f.request(m.Written)
		return nil
	}
	t := f.log.tail
	t.mu.Lock()
	next := t.chunks[t.next].segment
	t.mu.Unlock()
	switch err := f.log.keeper.activate(next); {
	case errors.Is(err, disk.ErrNoSpace):
		return nil // the keeper looks for space once a second and wakes us
	case err != nil:
		f.fail(err)
		return nil
	}
	f.active = next
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.takeLocked()
}

// blocked reports whether chunks wait for a write or a sync in flight, or the
// tail is too full for another batch.
func (f *flusher) blocked() bool {
	t := f.log.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nextLocked() != nil || t.unwritten > len(t.arena)/4
}

func (f *flusher) freeSlot() uint64 {
	for i, c := range f.slots {
		if c == nil {
			return uint64(i)
		}
	}
	panic("BUG: commitlog: no free write slot")
}

// submitSync starts a sync of all completed writes if one is due.
func (f *flusher) submitSync() {
	m := f.log.Marks()
	due := f.log.opts.Policy == FlushAtOnce || uint64(m.Durable) < f.requested.Load() || f.stop.Load()
	if f.syncing || !due || f.failed || m.Written == m.Durable {
		return
	}
	file, err := f.active.openFile()
	if err != nil {
		f.fail(err)
		return
	}
	f.syncing, f.covers = true, m.Written
	f.synced = f.log.opts.Clock()
	f.queue.SyncData(file, syncTag)
}

func (f *flusher) complete(ended []disk.Completion) {
	moved := false
	for _, e := range ended {
		if e.Err != nil {
			f.fail(f.describe(e))
			return
		}
		if e.Tag == syncTag {
			f.syncing = false
			f.log.meters.sync.observe(f.log.opts.Clock() - f.synced)
			f.log.durable.Store(uint64(f.covers))
			moved = true
			continue
		}
		moved = f.wrote(e.Tag) || moved
	}
	if moved {
		f.log.moved()
	}
}

// wrote ends the write in a slot and reports whether Written moved.
func (f *flusher) wrote(slot uint64) bool {
	c := f.slots[slot]
	f.slots[slot] = nil
	f.log.meters.write.observe(f.log.opts.Clock() - f.began[slot])
	f.writes--
	f.log.tail.mu.Lock()
	last := f.log.tail.wroteLocked(c)
	f.log.tail.mu.Unlock()
	if last == 0 {
		return false
	}
	f.log.written.Store(uint64(last))
	if f.log.opts.Method == FlushDsync {
		f.log.durable.Store(uint64(last))
	}
	return true
}

func (f *flusher) describe(e disk.Completion) error {
	if e.Tag == syncTag {
		return fmt.Errorf("sync segment %s: %w", f.active.name(), e.Err)
	}
	c := f.slots[e.Tag]
	return fmt.Errorf("write %d bytes at %d of segment %s: %w", len(c.buf), c.offset, c.segment.name(), e.Err)
}

func (f *flusher) fail(err error) {
	f.failed = true
	f.log.fail(err)
}

// close waits until everything appended is durable and releases the queue.
func (f *flusher) close() error {
	f.stop.Store(true)
	f.queue.Wake()
	<-f.done
	if f.failed {
		return errors.Join(ErrFailed, f.closing)
	}
	return f.closing
}
