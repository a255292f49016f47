package simdisk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/apogeemq/apogee/engine/disk"
)

type operationKind uint8

const (
	operationWrite operationKind = iota
	operationWriteDurable
	operationSyncData
)

func (k operationKind) String() string {
	return [...]string{"queued write", "queued durable write", "queued sync data"}[k]
}

// operation is a queued write or sync.
type operation struct {
	kind   operationKind
	file   *file
	tag    uint64
	at     int64
	buffer []byte // the owner's; not looked at once the disk has crashed
	data   []byte // what buffer held at submission; never modified
	cover  uint64 // a sync covers changes up to this sequence number
	failed error  // found at submission; nothing was put in flight
}

// queue completes operations in an order drawn from the seed. It has no
// goroutine: everything happens inside the owner's Wait.
type queue struct {
	disk    *Disk
	depth   int
	arena   []byte
	draws   *rand.Rand
	pending []*operation // not submitted
	active  []*operation // in flight
	wake    chan struct{}
	closed  bool
}

var _ disk.Queue = (*queue)(nil)

// OpenQueue implements disk.Disk.
func (d *Disk) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	err := d.alive()
	if err == nil && depth < 1 {
		err = fmt.Errorf("depth is %d; it must be 1 at least", depth)
	}
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	d.queues++
	return &queue{
		disk:  d,
		depth: depth,
		arena: arena,
		draws: d.draws(drawQueue, d.queues),
		wake:  make(chan struct{}, 1),
	}, nil
}

// Write implements disk.Queue.
func (q *queue) Write(f disk.File, buf []byte, at int64, tag uint64) {
	q.add(&operation{kind: operationWrite, file: q.own(f), buffer: q.inArena(buf), at: at, tag: tag})
}

// WriteDurable implements disk.Queue.
func (q *queue) WriteDurable(f disk.File, buf []byte, at int64, tag uint64) {
	q.add(&operation{kind: operationWriteDurable, file: q.own(f), buffer: q.inArena(buf), at: at, tag: tag})
}

// SyncData implements disk.Queue.
func (q *queue) SyncData(f disk.File, tag uint64) {
	q.add(&operation{kind: operationSyncData, file: q.own(f), tag: tag})
}

func (q *queue) own(f disk.File) *file {
	if own, ok := f.(*file); ok && own.disk == q.disk {
		return own
	}
	panic(fmt.Sprintf("BUG: file %T is not of the disk that the queue was opened on", f))
}

// inArena checks that buf lies in the arena.
func (q *queue) inArena(buf []byte) []byte {
	if len(buf) == 0 {
		return buf
	}
	from, arena := address(buf), address(q.arena)
	if from < arena || from+uintptr(len(buf)) > arena+uintptr(len(q.arena)) {
		panic("BUG: the buffer of a write lies outside the arena of its queue")
	}
	return buf
}

func (q *queue) add(o *operation) {
	q.disk.mutex.Lock()
	defer q.disk.mutex.Unlock()
	if q.closed {
		panic("BUG: operation queued after Close")
	}
	if len(q.pending)+len(q.active) == q.depth {
		panic(fmt.Sprintf("BUG: more operations in flight than the depth of the queue, %d", q.depth))
	}
	o.cover = q.disk.sequence
	q.pending = append(q.pending, o)
}

// submit puts the queued operations in flight.
func (q *queue) submit() error {
	for _, o := range q.pending {
		if err := q.disk.alive(); err != nil {
			return err
		}
		q.disk.mustNotOverlap(o)
		o.data = append([]byte(nil), o.buffer...)
		q.active = append(q.active, o)
		if o.failed = o.invalid(); o.failed == nil {
			q.disk.inFlight = append(q.disk.inFlight, o)
		}
		if err := q.disk.step(o.describe("submit ")); err != nil {
			return err
		}
	}
	clear(q.pending)
	q.pending = q.pending[:0]
	return q.disk.alive()
}

func (o *operation) describe(prefix string) Operation {
	return Operation{Kind: prefix + o.kind.String(), Name: o.file.name, At: o.at, Bytes: int64(len(o.data))}
}

// invalid says why the operation can't be done at all.
func (o *operation) invalid() error {
	if o.kind == operationSyncData {
		return o.file.usable()
	}
	if err := o.file.writable(); err != nil {
		return err
	}
	return o.file.aligned(o.buffer, o.at)
}

// mustNotOverlap holds the rule of disk.Queue that the owner never has two
// writes in flight on one block.
func (d *Disk) mustNotOverlap(o *operation) {
	if len(o.buffer) == 0 {
		return
	}
	block := int64(d.options.BlockBytes)
	first, last := o.at/block, (o.at+int64(len(o.buffer))-1)/block
	for _, other := range d.inFlight {
		if other.file.node != o.file.node || len(other.buffer) == 0 {
			continue // another file, a sync, or from before the disk was cloned
		}
		if first <= (other.at+int64(len(other.data))-1)/block && other.at/block <= last {
			panic(fmt.Sprintf("BUG: two writes in flight on one block of %s: [%d, %d) and [%d, %d)", o.file.name,
				other.at, other.at+int64(len(other.data)), o.at, o.at+int64(len(o.buffer))))
		}
	}
}

// Wait implements disk.Queue. With operations in flight it completes at least
// one of them, unless it was woken; then chance decides whether it completes
// some or none. Either way the wake-up is used up.
func (q *queue) Wait(done []disk.Completion) (int, error) {
	if len(done) == 0 {
		panic("BUG: Wait without room for completions")
	}
	n, idle, err := q.poll(done)
	if !idle {
		return n, err
	}
	select {
	case <-q.wake:
		return 0, nil
	case <-q.disk.down:
		return 0, fmt.Errorf("wait: %w", ErrCrashed)
	}
}

// poll is Wait without blocking; idle tells that there is nothing to do.
func (q *queue) poll(done []disk.Completion) (n int, idle bool, err error) {
	q.disk.mutex.Lock()
	defer q.disk.mutex.Unlock()
	if err := q.submit(); err != nil {
		return 0, false, fmt.Errorf("wait: %w", err)
	}
	woken := false
	select {
	case <-q.wake:
		woken = true
	default:
	}
	if len(q.active) == 0 {
		return 0, !woken, nil
	}
	if woken && q.draws.IntN(2) == 0 {
		return 0, false, nil
	}
	return q.complete(done)
}

// complete ends some operations in flight, in an order drawn from the seed.
func (q *queue) complete(done []disk.Completion) (n int, idle bool, err error) {
	count := 1 + q.draws.IntN(min(len(q.active), len(done)))
	for n < count {
		index := q.draws.IntN(len(q.active))
		o := q.active[index]
		if err := q.disk.step(o.describe("complete ")); err != nil {
			if n == 0 {
				return 0, false, fmt.Errorf("wait: %w", err)
			}
			return n, false, nil
		}
		q.active = slices.Delete(q.active, index, index+1)
		done[n] = disk.Completion{Tag: o.tag, Err: q.disk.finish(o)}
		n++
	}
	return n, false, nil
}

// finish does what o asks for.
func (d *Disk) finish(o *operation) error {
	if !bytes.Equal(o.buffer, o.data) {
		panic(fmt.Sprintf("BUG: the buffer of the write to %s at %d was changed before it completed", o.file.name, o.at))
	}
	d.inFlight = slices.DeleteFunc(d.inFlight, func(other *operation) bool { return other == o })
	if o.failed == nil {
		o.failed = d.reserve(o.file.node, int64(len(o.data)), o.at)
	}
	if o.failed != nil {
		return fmt.Errorf("%v %s at %d: %w", o.kind, o.file.name, o.at, o.failed)
	}
	switch o.kind {
	case operationSyncData:
		o.file.node.syncData(o.cover)
	case operationWrite:
		d.write(o.file.node, o.data, o.at)
	case operationWriteDurable:
		d.write(o.file.node, o.data, o.at)
		o.file.node.syncWritten(o.at, int64(len(o.data)))
	}
	return nil
}

// Overlaps implements disk.Queue.
func (q *queue) Overlaps() bool { return true }

// Wake implements disk.Queue.
func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close implements disk.Queue. What was queued is submitted first. On a
// crashed disk there is nothing to wait for.
func (q *queue) Close() error {
	q.disk.mutex.Lock()
	defer q.disk.mutex.Unlock()
	if q.closed {
		return nil
	}
	defer func() { q.closed = true }()
	if q.disk.crashed {
		return nil
	}
	if err := q.submit(); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	var failed error
	done := make([]disk.Completion, q.depth)
	for len(q.active) > 0 {
		n, _, err := q.complete(done)
		if err != nil {
			return fmt.Errorf("close queue: %w", err)
		}
		for _, c := range done[:n] {
			if c.Err != nil && failed == nil {
				failed = c.Err
			}
		}
	}
	return failed
}
