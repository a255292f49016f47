package floor

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/apogeemq/apogee/bench/frame"
)

const (
	blockBytes = 4096
	batchBytes = 8 << 20 // a batch; any single frame must fit in it
	fileName   = "floor.log"
)

// waiter is one request whose answer waits for the disk.
type waiter struct {
	conn          *connection
	opaque        int32
	serialization frame.Serialization
}

// batch is what one write takes to the disk.
type batch struct {
	data    []byte // batchBytes of aligned memory
	used    int
	waiting []waiter
}

// journal is the group commit: connections fill one batch while the other one
// is on its way.
type journal struct {
	file      *directFile
	fileBytes int64
	at        int64
	mode      Mode

	mu      sync.Mutex
	filled  *sync.Cond // the batch has something, or the journal is closing
	taken   *sync.Cond // the batch has room again
	filling *batch
	spare   *batch
	closing bool
}

func openJournal(dir string, mode Mode, fileBytes int64) (*journal, error) {
	file, err := openFile(filepath.Join(dir, fileName), fileBytes)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, fileBytes: fileBytes, mode: mode, filling: &batch{}, spare: &batch{}}
	j.filled, j.taken = sync.NewCond(&j.mu), sync.NewCond(&j.mu)
	for _, b := range []*batch{j.filling, j.spare} {
		if b.data, err = newBuffer(batchBytes); err != nil {
			return nil, err
		}
	}
	for at := int64(0); at < fileBytes; at += batchBytes {
		if err := file.writeAt(j.spare.data, at); err != nil {
			return nil, fmt.Errorf("fill floor file with zeros at %d: %w", at, err)
		}
	}
	if err := file.syncData(); err != nil {
		return nil, fmt.Errorf("sync floor file: %w", err)
	}
	return j, nil
}

// addLocked copies a request's frame into the batch; it waits for room. The
// caller holds mu.
func (j *journal) addLocked(whole []byte, w waiter) {
	for !j.closing && j.filling.used+len(whole) > batchBytes {
		j.filled.Signal()
		j.taken.Wait()
	}
	if j.closing {
		return
	}
	b := j.filling
	b.used += copy(b.data[b.used:], whole)
	b.waiting = append(b.waiting, w)
}

// run flushes batches until the journal is closed.
func (j *journal) run() error {
	for {
		b := j.take()
		if b == nil {
			return nil
		}
		if err := j.flush(b); err != nil {
			return err
		}
		b.answer()
	}
}

// take waits for a batch that has something in it and leaves an empty one.
func (j *journal) take() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.filling.used == 0 && !j.closing {
		j.filled.Wait()
	}
	if j.closing {
		return nil
	}
	b := j.filling
	j.filling, j.spare = j.spare, b
	j.taken.Broadcast()
	return b
}

// flush writes a batch in whole blocks. What the last block holds behind the
// batch is left over from earlier ones, which does no harm here.
func (j *journal) flush(b *batch) error {
	size := (b.used + blockBytes - 1) / blockBytes * blockBytes
	if j.at+int64(size) > j.fileBytes {
		j.at = 0
	}
	if err := j.file.writeAt(b.data[:size], j.at); err != nil {
		return fmt.Errorf("write batch of %d bytes at %d: %w", size, j.at, err)
	}
	j.at += int64(size)
	if j.mode != Sync {
		return nil
	}
	if err := j.file.syncData(); err != nil {
		return fmt.Errorf("sync floor file: %w", err)
	}
	return nil
}

// answer writes the answers and empties b.
func (b *batch) answer() {
	for _, w := range b.waiting {
		w.conn.answer(w.serialization, w.opaque)
	}
	for _, w := range b.waiting {
		w.conn.flush()
	}
	clear(b.waiting)
	b.waiting, b.used = b.waiting[:0], 0
}

// close wakes everyone; run returns.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closing = true
	j.filled.Broadcast()
	j.taken.Broadcast()
}

// release gives back file and memory, after run and all connections ended.
func (j *journal) release() error {
	releaseBuffer(j.filling.data)
	releaseBuffer(j.spare.data)
	return j.file.close()
}
