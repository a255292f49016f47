package commitlog

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// history is the cache of what has left the tail: large aligned blocks in
// memory outside the heap, shared by all readers. Queues are interleaved in
// the log, so a block read for one consumer serves the others; and so does
// read-ahead, which follows regions of the log, not consumers.
//
// At most historyReads reads of the device run at once: consumers of a cold
// backlog wait for one another, not the producers' writes for them.
type history struct {
	arena *disk.Arena
	// stable is the file offset of a segment below which its bytes never
	// change, but for a Truncate, which waits for those who read the segment.
	stable func(*segment) int64

	mu      sync.Mutex
	ended   *sync.Cond // a load ended or a block was released
	blocks  map[blockKey]*historyBlock
	shelf   shelf
	reading int // reads of the device

	ahead   chan aheadOf
	stop    chan struct{}
	stopped chan struct{}

	hits, misses, bytesRead uint64
}

type blockKey struct {
	segment event.Position
	number  int64
}

type historyBlock struct {
	key     blockKey
	buf     []byte
	valid   int // bytes that were stable when it was loaded
	loaded  bool
	loading bool
	ahead   bool // read ahead of its first reader, who hasn't come yet
	pins    int

	shelved
}

func newHistory(bytes int, stable func(*segment) int64) (*history, error) {
	n := max(bytes/historyBlockBytes, 2)
	arena, err := disk.NewArena(n * historyBlockBytes)
	if err != nil {
		return nil, err
	}
	h := &history{arena: arena, stable: stable, blocks: make(map[blockKey]*historyBlock, n),
		ahead: make(chan aheadOf, aheadWaiting), stop: make(chan struct{}), stopped: make(chan struct{})}
	h.ended = sync.NewCond(&h.mu)
	for i := range n {
		h.shelf.fill(&historyBlock{buf: arena.Bytes()[i*historyBlockBytes : (i+1)*historyBlockBytes]})
	}
	go h.readAhead()
	return h, nil
}

// read copies file bytes [at, at+len(dst)) of segment s. What is past the
// stable part is read for this caller alone: in a shared block the next reader
// could miss what was written since.
func (h *history) read(s *segment, dst []byte, at int64) error {
	return s.read(func(file disk.File) error { return h.readFile(s, file, dst, at) })
}

func (h *history) readFile(s *segment, file disk.File, dst []byte, at int64) error {
	stable := h.stable(s)
	for len(dst) > 0 {
		number := at / historyBlockBytes
		begin := number * historyBlockBytes
		n := min(len(dst), int(begin+historyBlockBytes-at))
		if at+int64(n) > stable {
			return readUnshared(file, dst, at)
		}
		b, err := h.acquire(s, number, file, int(at-begin)+n, stable)
		if err != nil {
			return fmt.Errorf("read segment %s at %d: %w", s.name(), at, err)
		}
		copy(dst[:n], b.buf[at-begin:])
		h.release(b)
		dst, at = dst[n:], at+int64(n)
	}
	return nil
}

// acquire returns a block of which the first bytes are loaded, and pins it.
func (h *history) acquire(s *segment, number int64, file disk.File, bytes int, stable int64) (*historyBlock, error) {
	key := blockKey{segment: s.base(), number: number}
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		b := h.blocks[key]
		if b == nil {
			b = h.victimLocked()
		}
		switch {
		case b == nil, b.loading: // every block is pinned, or somebody loads this one
			h.ended.Wait()
		case b.key == key && b.loaded && b.valid >= bytes:
			b.pins++
			h.hits++
			h.shelf.touch(b)
			h.askAheadLocked(b, s)
			return b, nil
		case b.pins > 0: // others use what there is of it
			h.ended.Wait()
		default:
			h.misses++
			if err := h.loadLocked(b, key, file, stable); err != nil {
				return nil, err
			}
			h.askAheadLocked(b, s)
			return b, nil
		}
	}
}

// victimLocked finds a block to reuse and takes it out of the map.
func (h *history) victimLocked() *historyBlock {
	b := h.shelf.oldest(func(b *historyBlock) bool { return b.pins == 0 && !b.loading })
	if b != nil {
		h.forgetLocked(b)
	}
	return b
}

func (h *history) forgetLocked(b *historyBlock) {
	if b.loaded && h.blocks[b.key] == b {
		delete(h.blocks, b.key)
	}
	b.loaded, b.ahead = false, false
	h.shelf.forget(b)
}

// loadLocked reads a block that nobody uses and pins it. The lock is released
// meanwhile.
func (h *history) loadLocked(b *historyBlock, key blockKey, file disk.File, stable int64) error {
	b.key, b.loading, b.loaded, b.pins = key, true, false, 1
	h.blocks[key] = b
	h.shelf.renew(b)
	for h.reading >= historyReads {
		h.ended.Wait()
	}
	h.reading++
	h.mu.Unlock()
	n, err := file.ReadAt(b.buf, key.number*historyBlockBytes)
	h.mu.Lock()
	h.reading--
	if errors.Is(err, io.EOF) {
		clear(b.buf[n:])
		err = nil
	}
	h.bytesRead += uint64(n)
	b.valid = int(min(stable-key.number*historyBlockBytes, historyBlockBytes))
	b.loading, b.loaded = false, err == nil
	h.ended.Broadcast()
	if err != nil {
		b.pins--
		delete(h.blocks, key)
	}
	return err
}

// forget drops the blocks of a segment that are not in use, from file offset
// from on. The segment's bytes there have changed or are gone.
func (h *history) forget(segment event.Position, from int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, b := range h.blocks {
		if key.segment != segment || (key.number+1)*historyBlockBytes <= from {
			continue
		}
		for b.key == key && (b.loading || b.pins > 0) {
			h.ended.Wait()
		}
		if b.key == key {
			h.forgetLocked(b)
		}
	}
}

func (h *history) release(b *historyBlock) {
	h.mu.Lock()
	b.pins--
	h.ended.Broadcast()
	h.mu.Unlock()
}

// readUnshared reads the aligned range around [at, at+len(dst)) for one caller.
func readUnshared(file disk.File, dst []byte, at int64) error {
	const unit = 64 << 10 // a multiple of every block size
	from := at / unit * unit
	b := alignedBytes(roundUp(int(at-from)+len(dst), unit), unit)
	n, err := file.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(b[n:])
	copy(dst, b[at-from:])
	return nil
}

func (h *history) close() error {
	close(h.stop)
	<-h.stopped
	return h.arena.Free()
}
