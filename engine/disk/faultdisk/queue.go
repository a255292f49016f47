package faultdisk

import (
	"fmt"
	"io"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

// operation is one that the owner queued.
type operation struct {
	kind    Operation
	durable bool
	file    *file
	buffer  []byte
	at      int64
	tag     uint64 // the owner's
	verdict verdict
}

// queue holds broken operations back or fails them, and passes the others on
// to the inner queue under tags of its own.
type queue struct {
	inner  disk.Queue
	faults *faults

	// The owner's alone.
	slots []*operation // by inner tag; nil when free
	free  []uint64

	mutex  sync.Mutex
	ready  []*operation      // held back long enough
	failed []disk.Completion // to be reported
	held   int               // held back, not ready
	woken  bool              // by Wake, and Wait has not yet returned for it
	closed bool
}

var _ disk.Queue = (*queue)(nil)

// OpenQueue implements disk.Disk.
func (d *Disk) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	inner, err := d.inner.OpenQueue(depth, arena)
	if err != nil {
		return nil, err
	}
	q := &queue{inner: inner, faults: d.faults}
	for tag := range depth {
		q.slots = append(q.slots, nil)
		q.free = append(q.free, uint64(tag))
	}
	return q, nil
}

// Write implements disk.Queue.
func (q *queue) Write(f disk.File, buf []byte, at int64, tag uint64) {
	q.add(&operation{kind: Write, file: own(f), buffer: buf, at: at, tag: tag})
}

// WriteDurable implements disk.Queue.
func (q *queue) WriteDurable(f disk.File, buf []byte, at int64, tag uint64) {
	q.add(&operation{kind: Write, durable: true, file: own(f), buffer: buf, at: at, tag: tag})
}

// SyncData implements disk.Queue.
func (q *queue) SyncData(f disk.File, tag uint64) {
	q.add(&operation{kind: Sync, file: own(f), tag: tag})
}

func own(f disk.File) *file {
	if own, ok := f.(*file); ok {
		return own
	}
	panic(fmt.Sprintf("BUG: file %T is not of the disk that the queue was opened on", f))
}

func (q *queue) add(o *operation) {
	o.verdict = q.faults.judge(o.kind, *o.file.name.Load())
	if len(o.verdict.holds) == 0 {
		q.pass(o)
		return
	}
	q.mutex.Lock()
	q.held++
	q.mutex.Unlock()
	q.faults.hold(o.verdict.holds, func() {
		q.mutex.Lock()
		defer q.mutex.Unlock()
		if q.closed {
			return
		}
		q.held--
		q.ready = append(q.ready, o)
		q.inner.Wake()
	})
}

// pass gives o to the inner queue, or fails it.
func (q *queue) pass(o *operation) {
	if o.verdict.err != nil {
		q.mutex.Lock()
		q.failed = append(q.failed, disk.Completion{Tag: o.tag, Err: o.verdict.err})
		q.mutex.Unlock()
		return
	}
	if len(q.free) == 0 {
		panic(fmt.Sprintf("BUG: more operations in flight than the depth of the queue, %d", len(q.slots)))
	}
	tag := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	q.slots[tag] = o
	buffer := o.buffer
	if o.verdict.cut {
		buffer = o.file.shorten(buffer, o.verdict.short)
	}
	switch {
	case o.kind == Sync:
		q.inner.SyncData(o.file.File, tag)
	case o.durable:
		q.inner.WriteDurable(o.file.File, buffer, o.at, tag)
	default:
		q.inner.Write(o.file.File, buffer, o.at, tag)
	}
}

// Wait implements disk.Queue.
func (q *queue) Wait(done []disk.Completion) (int, error) {
	for {
		n := q.collect(done)
		if n == len(done) {
			return n, nil
		}
		count, err := q.inner.Wait(done[n:])
		if err != nil && n == 0 {
			return 0, err
		}
		for i := range done[n : n+count] {
			q.finish(&done[n+i])
		}
		if n += count; n > 0 || q.takeWake() {
			return n, nil
		}
		// Woken for an operation that is ready now.
	}
}

// collect reports failures and passes on what is ready. It wakes the inner
// queue when its wait must not block.
func (q *queue) collect(done []disk.Completion) int {
	q.mutex.Lock()
	ready := q.ready
	q.ready = nil
	q.mutex.Unlock()
	for _, o := range ready {
		q.pass(o)
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	n := copy(done, q.failed)
	q.failed = append(q.failed[:0], q.failed[n:]...)
	if n > 0 || q.woken {
		q.inner.Wake()
	}
	return n
}

// finish turns an inner completion into the owner's.
func (q *queue) finish(c *disk.Completion) {
	o := q.slots[c.Tag]
	q.slots[c.Tag] = nil
	q.free = append(q.free, c.Tag)
	c.Tag = o.tag
	if o.verdict.cut && c.Err == nil {
		c.Err = o.file.cut("write", io.ErrShortWrite)
	}
}

func (q *queue) takeWake() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	woken := q.woken
	q.woken = false
	return woken
}

// Overlaps implements disk.Queue.
func (q *queue) Overlaps() bool { return q.inner.Overlaps() }

// Wake implements disk.Queue.
func (q *queue) Wake() {
	q.mutex.Lock()
	q.woken = true
	q.mutex.Unlock()
	q.inner.Wake()
}

// Close implements disk.Queue. It waits for what is held back too, unless the
// inner queue fails.
func (q *queue) Close() error {
	done := make([]disk.Completion, len(q.slots))
	for q.waiting() {
		if _, err := q.Wait(done); err != nil {
			break
		}
	}
	q.mutex.Lock()
	q.closed = true
	q.mutex.Unlock()
	return q.inner.Close()
}

// waiting reports whether an operation has not reached the inner queue.
func (q *queue) waiting() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.held > 0 || len(q.ready) > 0
}
