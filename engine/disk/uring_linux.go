package disk

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/iouring"
)

// Uring is a Posix directory whose queues run on io_uring.
type Uring struct {
	*Posix
	report iouring.Report
}

// openUring opens root with io_uring queues, or says why it can't.
func openUring(p *Posix) (Disk, error) {
	report, err := iouring.Probe(iouring.OwnerGoroutine)
	if err != nil {
		return nil, err
	}
	return &Uring{Posix: p, report: report}, nil
}

// IOPath is the kind of system calls that queues use.
func (d *Uring) IOPath() string { return "io_uring" }

// Describe names the I/O path and what the ring uses.
func (d *Uring) Describe() string {
	return fmt.Sprintf("io_uring (%v), %s, %d-byte blocks", d.report, d.directNote, d.blockBytes)
}

// OpenQueue makes a ring that the calling goroutine owns. The goroutine isn't
// locked to a thread: at low depth the scheduler then runs it on the thread of
// whoever woke it, and back, where a locked one costs two switches of threads.
func (d *Uring) OpenQueue(depth int, arena []byte) (Queue, error) {
	ring, err := iouring.New(2*depth, iouring.Options{Owner: iouring.OwnerGoroutine, ResumeBytes: d.blockBytes})
	if err != nil {
		return nil, fmt.Errorf("open a disk queue: %w", err)
	}
	return &uringQueue{ring: ring, arena: arena, ended: make([]iouring.Completion, 2*depth), woken: make(chan struct{}, 1)}, nil
}

// directBytesMax is the longest write that takes the shorter way of a plain
// system call when nothing else is in flight.
const directBytesMax = 64 << 10

// uringQueue keeps what is queued until Wait, so that one operation with
// nothing beside it can take the shorter way of a plain system call: the ring
// gains nothing at depth 1. With nothing queued or in flight the owner sleeps on
// a channel, otherwise in the ring.
//
// The arena is registered when the ring gets its first operation: that makes all
// of it resident, and a server at rest needs next to nothing of it.
type uringQueue struct {
	ring    *iouring.Ring
	arena   []byte // to be registered, nil when it is
	pending []operation
	ended   []iouring.Completion
	woken   chan struct{} // holds one call of Wake
}

func (q *uringQueue) Write(f File, buf []byte, at int64, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationWrite, file: f.(*posixFile), buf: buf, at: at, tag: tag})
}

func (q *uringQueue) WriteDurable(f File, buf []byte, at int64, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationWriteDurable, file: f.(*posixFile), buf: buf, at: at, tag: tag})
}

func (q *uringQueue) SyncData(f File, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationSync, file: f.(*posixFile), tag: tag})
}

func (q *uringQueue) Wait(done []Completion) (int, error) {
	if len(q.pending) == 0 && q.ring.InFlight() == 0 {
		<-q.woken
		return 0, nil
	}
	if len(q.pending) == 1 && q.ring.InFlight() == 0 && len(q.pending[0].buf) < directBytesMax {
		o := q.pending[0]
		q.pending = q.pending[:0]
		done[0] = Completion{Tag: o.tag, Err: o.run()}
		return 1, nil
	}
	if err := q.hand(); err != nil {
		return 0, err
	}
	n, err := q.ring.Wait(1, -1, q.ended[:min(len(done), len(q.ended))])
	select {
	case <-q.woken: // the owner is about to look at what it announced
	default:
	}
	for i, e := range q.ended[:n] {
		done[i] = Completion{Tag: e.Tag, Err: e.Err}
		if e.Err != nil {
			done[i].Err = classify(e.Err)
		}
	}
	return n, err
}

// hand moves the pending operations to the ring.
func (q *uringQueue) hand() error {
	if q.arena != nil && len(q.pending) > 0 {
		if err := q.ring.RegisterBuffers([][]byte{q.arena}); err != nil {
			return fmt.Errorf("register the memory of a disk queue: %w", err)
		}
		q.arena = nil
	}
	for i, o := range q.pending {
		if err := q.queue(o); err != nil {
			q.pending = q.pending[:copy(q.pending, q.pending[i:])]
			return err
		}
	}
	clear(q.pending)
	q.pending = q.pending[:0]
	return nil
}

func (q *uringQueue) queue(o operation) error {
	if !o.kind.writes() {
		return q.ring.SyncData(o.file.ring, 0, o.tag)
	}
	flags := iouring.Whole
	if o.kind.syncs() {
		flags |= iouring.DataSync
	}
	if len(o.buf) == 0 { // no memory at all is not memory of the arena
		return q.ring.Write(o.file.ring, o.buf, o.at, flags, o.tag)
	}
	return q.ring.WriteFixed(o.file.ring, 0, o.buf, o.at, flags, o.tag)
}

func (q *uringQueue) Overlaps() bool { return true }

// Wake is kept in both places, since only the owner knows where it sleeps.
func (q *uringQueue) Wake() {
	select {
	case q.woken <- struct{}{}:
	default:
	}
	q.ring.Wake()
}

func (q *uringQueue) Close() error {
	err := q.hand()
	return errors.Join(err, q.ring.Close())
}
