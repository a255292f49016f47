package volatile

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

const (
	// dirtyBytesMax bounds what a file holds in memory; above it everything
	// goes down without a sync.
	dirtyBytesMax = 64 << 20
	stagingBytes  = 256 << 10
	// One write in earlyOneIn sends one of its blocks down early.
	earlyOneIn = 8
)

// cache is what all files of a disk share.
type cache struct {
	blockBytes int

	mu      sync.Mutex
	staging *disk.Arena // aligned memory for the disk below
	random  *rand.Rand
}

func newCache(blockBytes int, seed uint64) (*cache, error) {
	staging, err := disk.NewArena(stagingBytes)
	if err != nil {
		return nil, err
	}
	return &cache{blockBytes: blockBytes, staging: staging, random: rand.New(rand.NewPCG(seed, 7))}, nil
}

// early chooses which of so many blocks gets through, if any does.
func (c *cache) early(blocks int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random.IntN(earlyOneIn) > 0 {
		return 0, false
	}
	return c.random.IntN(blocks), true
}

// contents are the bytes of one file: those of the disk below, and blocks over
// them.
type contents struct {
	cache *cache

	mu    sync.Mutex
	dirty map[int64][]byte // whole blocks by their number
	end   int64            // of what was written since the last truncation
}

func (c *contents) sizeLocked(inner disk.File) (int64, error) {
	size, err := inner.Size()
	if err != nil {
		return 0, err
	}
	return max(size, c.end), nil
}

// read fills p from both.
func (c *contents) read(inner disk.File, p []byte, at int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := inner.ReadAt(p, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	size, err := c.sizeLocked(inner)
	if err != nil {
		return 0, err
	}
	clear(p[n:])
	block := int64(c.cache.blockBytes)
	for number := at / block; number*block < at+int64(len(p)); number++ {
		if bytes := c.dirty[number]; bytes != nil {
			if begin := number*block - at; begin >= 0 {
				copy(p[begin:], bytes)
			} else {
				copy(p, bytes[-begin:])
			}
		}
	}
	if left := max(0, size-at); left < int64(len(p)) {
		return int(left), io.EOF
	}
	return len(p), nil
}

// write keeps p in memory.
func (c *contents) write(inner disk.File, p []byte, at int64) error {
	if len(p) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	block := int64(c.cache.blockBytes)
	first := at / block
	for number := first; number*block < at+int64(len(p)); number++ {
		bytes, err := c.blockLocked(inner, number, at <= number*block && (number+1)*block <= at+int64(len(p)))
		if err != nil {
			return err
		}
		if begin := number*block - at; begin >= 0 {
			copy(bytes, p[begin:])
		} else {
			copy(bytes[-begin:], p)
		}
	}
	c.end = max(c.end, at+int64(len(p)))
	if len(c.dirty)*c.cache.blockBytes > dirtyBytesMax {
		return c.lowerLocked(inner, slices.Collect(maps.Keys(c.dirty)))
	}
	last := (at + int64(len(p)) - 1) / block
	if i, yes := c.cache.early(int(last - first + 1)); yes {
		return c.lowerLocked(inner, []int64{first + int64(i)})
	}
	return nil
}

// blockLocked is a block in memory. One that is not overwritten as a whole
// begins with what the disk below has.
func (c *contents) blockLocked(inner disk.File, number int64, whole bool) ([]byte, error) {
	if bytes := c.dirty[number]; bytes != nil {
		return bytes, nil
	}
	bytes := make([]byte, c.cache.blockBytes)
	if !whole {
		c.cache.mu.Lock()
		defer c.cache.mu.Unlock()
		staging := c.cache.staging.Bytes()[:len(bytes)]
		n, err := inner.ReadAt(staging, number*int64(len(bytes)))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		copy(bytes, staging[:n])
	}
	c.dirty[number] = bytes
	return bytes, nil
}

// lowerLocked writes blocks down, in runs of neighbors.
func (c *contents) lowerLocked(inner disk.File, numbers []int64) error {
	slices.Sort(numbers)
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	block := int64(c.cache.blockBytes)
	for len(numbers) > 0 {
		staging := c.cache.staging.Bytes()
		first, length := numbers[0], int64(0)
		for len(numbers) > 0 && numbers[0] == first+length && (length+1)*block <= int64(len(staging)) {
			copy(staging[length*block:], c.dirty[numbers[0]])
			length++
			numbers = numbers[1:]
		}
		// A file whose length is no multiple of blocks keeps it.
		bytes := staging[:min(length*block, max(0, c.end-first*block, c.oldEnd(inner)-first*block))]
		if _, err := inner.WriteAt(bytes, first*block); err != nil {
			return err
		}
		for number := first; number < first+length; number++ {
			delete(c.dirty, number)
		}
	}
	return nil
}

func (c *contents) oldEnd(inner disk.File) int64 {
	size, err := inner.Size()
	if err != nil {
		return 0
	}
	return size
}

// sync makes everything durable that was written before.
func (c *contents) sync(inner disk.File, sync func() error) error {
	c.mu.Lock()
	err := c.lowerLocked(inner, slices.Collect(maps.Keys(c.dirty)))
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return sync()
}

// resize changes the length by a function of the disk below.
func (c *contents) resize(size int64, change func(int64) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := change(size); err != nil {
		return err
	}
	block := int64(c.cache.blockBytes)
	for number, bytes := range c.dirty {
		switch {
		case number*block >= size:
			delete(c.dirty, number)
		case (number+1)*block > size:
			clear(bytes[size-number*block:])
		}
	}
	c.end = min(c.end, size)
	return nil
}
