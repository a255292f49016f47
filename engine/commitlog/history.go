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
// the log, so a block read for one consumer serves the others.
type history struct {
	arena *disk.Arena
	block int // of the disk
	// stable is the file offset of a segment below which its bytes never
	// change, but for a Truncate, which waits for those who read the segment.
	stable func(*segment) int64

	mu     sync.Mutex
	ended  *sync.Cond // a load ended
	blocks map[blockKey]*historyBlock
	ring   []*historyBlock // clock order
	hand   int
	ahead  readAhead

	hits, misses, bytesRead uint64
}

type blockKey struct {
	segment event.Position
	number  int64
}

type historyBlock struct {
	key     blockKey
	buf     []byte
	loaded  bool
	loading bool
	ahead   bool // read before anybody asked, and nobody has asked since
	pins    int
	touched uint8 // scan resistance: a block survives as many hands as it was hit again, touchedMax at most
}

const touchedMax = 3

func newHistory(bytes, block int, stable func(*segment) int64) (*history, error) {
	n := max(bytes/historyBlockBytes, 2)
	arena, err := disk.NewArena(n * historyBlockBytes)
	if err != nil {
		return nil, err
	}
	h := &history{arena: arena, block: block, stable: stable, blocks: make(map[blockKey]*historyBlock, n), ring: make([]*historyBlock, n)}
	h.ended = sync.NewCond(&h.mu)
	for i := range h.ring {
		b := arena.Bytes()[i*historyBlockBytes : (i+1)*historyBlockBytes]
		h.ring[i] = &historyBlock{buf: b}
	}
	return h, nil
}

// read copies file bytes [at, at+len(dst)) of segment s. A block that reaches
// past what is stable is read for this caller alone: in a shared one the next
// reader could miss what was written since. So is one that finds no place
// because every block is in use.
func (h *history) read(s *segment, dst []byte, at int64) error {
	return s.read(func(file disk.File) error { return h.readFile(s, file, dst, at) })
}

// source is a segment that is being read: its reading lock is held.
type source struct {
	*segment
	file   disk.File
	stable int64
}

func (h *history) readFile(s *segment, file disk.File, dst []byte, at int64) error {
	from := source{s, file, h.stable(s)}
	for len(dst) > 0 {
		number := at / historyBlockBytes
		if blockEnd(number) > from.stable {
			return h.readUnshared(file, dst, at)
		}
		b, err := h.acquire(from, number)
		if err != nil {
			return fmt.Errorf("read segment %s at %d: %w", s.name(), at, err)
		}
		if b == nil {
			return h.readUnshared(file, dst, at)
		}
		n := copy(dst, b.buf[at%historyBlockBytes:])
		h.release(b)
		dst, at = dst[n:], at+int64(n)
	}
	return nil
}

// pin returns block number of segment s, which stays as it is until its
// release; nil where it can't be shared.
func (h *history) pin(s *segment, number int64) (b *historyBlock, err error) {
	err = s.read(func(file disk.File) error {
		from := source{s, file, h.stable(s)}
		if blockEnd(number) > from.stable {
			return nil
		}
		b, err = h.acquire(from, number)
		return err
	})
	return b, err
}

func blockEnd(number int64) int64 { return (number + 1) * historyBlockBytes }

// acquire returns a loaded block and pins it. nil: every block is in use.
func (h *history) acquire(s source, number int64) (*historyBlock, error) {
	key := blockKey{segment: s.base(), number: number}
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		b := h.blocks[key]
		switch {
		case b == nil:
			if b = h.victimLocked(); b == nil {
				return nil, nil
			}
			b.key, b.loading, b.pins = key, true, 1
			h.blocks[key] = b
			h.passedLocked(s, number, h.blocks[blockKey{key.segment, number - 1}] != nil)
			if err := h.loadLocked(b, s.file); err != nil {
				return nil, err
			}
			return b, nil
		case b.loading:
			h.ended.Wait()
		default:
			b.pins++
			h.hits++
			h.passedLocked(s, number, b.ahead)
			if b.ahead {
				b.ahead, b.touched = false, 0 // as if it were read now
			} else {
				b.touched = min(b.touched+1, touchedMax)
			}
			return b, nil
		}
	}
}

// victimLocked finds a block to reuse and takes it out of the map.
func (h *history) victimLocked() *historyBlock {
	for range 5 * len(h.ring) {
		b := h.ring[h.hand]
		h.hand = (h.hand + 1) % len(h.ring)
		if b.pins > 0 || b.loading {
			continue
		}
		if b.loaded && b.touched > 0 {
			b.touched--
			continue
		}
		h.forgetLocked(b)
		return b
	}
	return nil
}

func (h *history) forgetLocked(b *historyBlock) {
	if b.loaded && h.blocks[b.key] == b {
		delete(h.blocks, b.key)
	}
	b.loaded, b.ahead, b.touched = false, false, 0
}

// loadLocked reads a block that is marked as loading and pinned. After an error
// it is neither.
func (h *history) loadLocked(b *historyBlock, file disk.File) error {
	h.misses++
	h.mu.Unlock()
	n, err := file.ReadAt(b.buf, b.key.number*historyBlockBytes)
	h.mu.Lock()
	if errors.Is(err, io.EOF) {
		clear(b.buf[n:])
		err = nil
	}
	h.bytesRead += uint64(n)
	b.loading, b.loaded = false, err == nil
	h.ended.Broadcast()
	if err != nil {
		b.pins--
		delete(h.blocks, b.key)
	}
	return err
}

// forget drops the blocks of a segment from file offset from on. The segment's
// bytes there have changed or are gone. Who has pinned one keeps it as it was.
func (h *history) forget(segment event.Position, from int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, b := range h.blocks {
		if key.segment != segment || blockEnd(key.number) <= from {
			continue
		}
		for b.loading {
			h.ended.Wait()
		}
		h.forgetLocked(b)
	}
}

func (h *history) release(b *historyBlock) {
	h.mu.Lock()
	b.pins--
	h.mu.Unlock()
}

// readUnshared reads the aligned range around [at, at+len(dst)) for one caller.
func (h *history) readUnshared(file disk.File, dst []byte, at int64) error {
	from := at / int64(h.block) * int64(h.block)
	b := alignedBytes(roundUp(int(at-from)+len(dst), h.block), h.block)
	n, err := file.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(b[n:])
	copy(dst, b[at-from:])
	return nil
}

func (h *history) close() error { return h.arena.Free() }
