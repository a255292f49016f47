package log

import (
	"errors"
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

const (
	batchBytes = 8 << 20
	floorName  = "bench-log.floor"
)

// floorFile is the file that floors write around in.
type floorFile struct {
	disk  disk.Disk
	file  disk.File
	bytes int64
	arena *disk.Arena // of two batches
}

// openFloor makes the file and writes zeros into all of it.
func openFloor(dir string, bytes int64) (*floorFile, error) {
	d, err := disk.OpenPosix(dir)
	if err != nil {
		return nil, err
	}
	if err := d.Remove(floorName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return nil, err
	}
	f := &floorFile{disk: d, bytes: bytes}
	if f.arena, err = disk.NewArena(2 * batchBytes); err != nil {
		return nil, err
	}
	if f.file, err = d.Open(floorName, disk.DirectCreate); err != nil {
		return nil, err
	}
	err = f.file.Allocate(bytes)
	for at := int64(0); at < bytes && err == nil; at += batchBytes {
		_, err = f.file.WriteAt(f.arena.Bytes()[:batchBytes], at)
	}
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench log: prepare %s: %w", floorName, err), f.close())
	}
	return f, nil
}

func (f *floorFile) close() error {
	return errors.Join(f.file.Close(), f.disk.Remove(floorName), f.arena.Free())
}

// journal is a place in the file, for one writer.
type journal struct {
	*floorFile
	at      int64
	sync    bool
	counter counter
}

// store writes b, the first bytes of which are to be kept, in whole blocks.
func (j *journal) store(b []byte) error {
	block := j.disk.BlockBytes()
	size := (len(b) + block - 1) / block * block
	if j.at+int64(size) > j.bytes {
		j.at = 0
	}
	if _, err := j.file.WriteAt(b[:size:size], j.at); err != nil {
		return fmt.Errorf("bench log: write floor: %w", err)
	}
	j.at += int64(size)
	j.counter.writes.Add(1)
	j.counter.writeBytes.Add(int64(size))
	if !j.sync {
		return nil
	}
	j.counter.syncs.Add(1)
	if err := j.file.SyncData(); err != nil {
		return fmt.Errorf("bench log: sync floor: %w", err)
	}
	return nil
}

func (j *journal) operations() Operations { return j.counter.read() }

// rawStore stores each message by itself, in the producer's goroutine.
type rawStore struct {
	*journal
	body []byte
}

func openRaw(f *floorFile, c Cell) store {
	body := f.arena.Bytes()[:c.Size:batchBytes]
	copy(body, text(c.Size))
	return rawStore{&journal{floorFile: f, sync: c.Mode == Sync}, body}
}

func (s rawStore) put(int) error { return s.store(s.body) }
func (s rawStore) close() error  { return nil }

// groupStore merges what waits into one write. One goroutine writes; the next
// batch fills meanwhile.
type groupStore struct {
	*journal
	body []byte
	done []chan struct{} // by producer
	end  chan struct{}   // the writer has ended

	mu      sync.Mutex
	changed *sync.Cond
	filling *batch
	spare   *batch
	closing bool
	failed  error
}

type batch struct {
	data    []byte
	used    int
	waiting []int // producers
}

func openGroup(f *floorFile, c Cell) store {
	s := &groupStore{journal: &journal{floorFile: f, sync: c.Mode == Sync}, body: text(c.Size), end: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	memory := f.arena.Bytes()
	s.filling, s.spare = &batch{data: memory[:batchBytes]}, &batch{data: memory[batchBytes:]}
	for range c.Depth {
		s.done = append(s.done, make(chan struct{}, 1))
	}
	go s.run()
	return s
}

func (s *groupStore) put(producer int) error {
	s.mu.Lock()
	for s.filling.used+len(s.body) > batchBytes && s.failed == nil {
		s.changed.Wait()
	}
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	b := s.filling
	b.used += copy(b.data[b.used:], s.body)
	b.waiting = append(b.waiting, producer)
	if len(b.waiting) == 1 {
		s.changed.Broadcast()
	}
	s.mu.Unlock()
	<-s.done[producer]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// run writes batches until the store is closed and empty.
func (s *groupStore) run() {
	defer close(s.end)
	for {
		b := s.take()
		if b == nil {
			return
		}
		if err := s.store(b.data[:b.used]); err != nil {
			s.mu.Lock()
			s.failed = err
			s.changed.Broadcast()
			s.mu.Unlock()
		}
		for _, producer := range b.waiting {
			s.done[producer] <- struct{}{}
		}
		b.used, b.waiting = 0, b.waiting[:0]
	}
}

func (s *groupStore) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.filling.used == 0 && !s.closing {
		s.changed.Wait()
	}
	if s.filling.used == 0 {
		return nil
	}
	b := s.filling
	s.filling, s.spare = s.spare, b
	s.changed.Broadcast()
	return b
}

func (s *groupStore) close() error {
	s.mu.Lock()
	s.closing = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.end
	return nil
}
