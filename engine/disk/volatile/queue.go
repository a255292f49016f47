package volatile

import (
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

// queue does writes at once, since they are in memory, and each sync on a
// goroutine of its own.
type queue struct {
	syncing sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	done    []disk.Completion
	woken   bool
}

var _ disk.Queue = (*queue)(nil)

// OpenQueue implements disk.Disk.
func (d *Disk) OpenQueue(int, []byte) (disk.Queue, error) {
	q := &queue{}
	q.changed.L = &q.mu
	return q, nil
}

func own(f disk.File) *file {
	if own, ok := f.(*file); ok {
		return own
	}
	panic(fmt.Sprintf("BUG: file %T is not of the disk that the queue was opened on", f))
}

// Write implements disk.Queue.
func (q *queue) Write(f disk.File, buf []byte, at int64, tag uint64) {
	_, err := own(f).WriteAt(buf, at)
	q.complete(tag, err)
}

// WriteDurable implements disk.Queue.
func (q *queue) WriteDurable(f disk.File, buf []byte, at int64, tag uint64) {
	if _, err := own(f).WriteAt(buf, at); err != nil {
		q.complete(tag, err)
		return
	}
	q.SyncData(f, tag)
}

// SyncData implements disk.Queue.
func (q *queue) SyncData(f disk.File, tag uint64) {
	q.syncing.Go(func() { q.complete(tag, own(f).SyncData()) })
}

func (q *queue) complete(tag uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = append(q.done, disk.Completion{Tag: tag, Err: err})
	q.changed.Signal()
}

// Wait implements disk.Queue.
func (q *queue) Wait(done []disk.Completion) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.done) == 0 && !q.woken {
		q.changed.Wait()
	}
	n := copy(done, q.done)
	q.done = append(q.done[:0], q.done[n:]...)
	if n == 0 {
		q.woken = false
	}
	return n, nil
}

// Wake implements disk.Queue.
func (q *queue) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.woken = true
	q.changed.Signal()
}

// Overlaps implements disk.Queue.
func (q *queue) Overlaps() bool { return true }

// Close implements disk.Queue.
func (q *queue) Close() error {
	q.syncing.Wait()
	return nil
}
