package indexfile

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

const (
	// handlesMax bounds the file handles that are open while nobody reads.
	handlesMax = 64
	// cacheBlocksMin keeps a small cache from thrashing within one look-up.
	cacheBlocksMin = 16
)

// Shelf is a folder of index files: it writes and opens them and shares blocks
// and handles between their readers. It is safe for concurrent use.
type Shelf struct {
	disk      disk.Disk
	dir       string
	seed      event.Seed
	onDamage  func(*File)
	rowsBytes atomic.Int64 // of the file built last: the next has about as many
	handlesMu sync.Mutex
	handles   map[*File]*handle
	clock     uint64 // counts uses, to find the handle unused longest

	cacheMu sync.Mutex
	blocks  map[blockKey]*cached
	ring    []*cached // clock order
	hand    int
}

type handle struct {
	file  disk.File
	users int
	used  uint64
}

type blockKey struct {
	file   *File
	number uint32
}

type cached struct {
	key     blockKey
	payload []byte // immutable
	touched bool
}

// NewShelf returns the shelf of folder dir of a disk. seed is the log's. Its
// cache holds about cacheBytes. onDamage is told of a damaged file when a
// reader meets it, once per file; it must not block.
func NewShelf(d disk.Disk, dir string, seed event.Seed, cacheBytes int, onDamage func(*File)) *Shelf {
	return &Shelf{
		disk: d, dir: dir, seed: seed, onDamage: onDamage,
		handles: make(map[*File]*handle), blocks: make(map[blockKey]*cached),
		ring: make([]*cached, max(cacheBytes/blockBytes, cacheBlocksMin)),
	}
}

func (h *Shelf) path(name string) string { return path.Join(h.dir, name) }

// Names lists the names of all files on the shelf and of those that were being
// written; nothing else in the folder. No folder is no files.
func (h *Shelf) Names() (whole, temporary []string, err error) {
	names, err := h.disk.List(h.dir)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, nil, nil
	}
	for _, name := range names {
		if _, ok := ParseName(name); ok {
			whole = append(whole, name)
		} else if IsTemporary(name) {
			temporary = append(temporary, name)
		}
	}
	return whole, temporary, err
}

// Remove removes a file by name; it may be gone already.
func (h *Shelf) Remove(name string) error {
	if err := h.disk.Remove(h.path(name)); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	return nil
}

// Retire takes a file out of use; its readers get ErrRetired from now on. The
// file itself stays.
func (h *Shelf) Retire(f *File) error {
	f.retired.Store(true)
	h.handlesMu.Lock()
	defer h.handlesMu.Unlock()
	if open := h.handles[f]; open != nil && open.users == 0 {
		delete(h.handles, f)
		return open.file.Close()
	}
	return nil
}

// Close closes all handles. Nobody reads any more.
func (h *Shelf) Close() error {
	h.handlesMu.Lock()
	defer h.handlesMu.Unlock()
	var errs []error
	for f, open := range h.handles {
		errs = append(errs, open.file.Close())
		delete(h.handles, f)
	}
	return errors.Join(errs...)
}

// acquire returns an open handle of f. Release it.
func (h *Shelf) acquire(f *File) (*handle, error) {
	h.handlesMu.Lock()
	defer h.handlesMu.Unlock()
	h.clock++
	if open := h.handles[f]; open != nil {
		open.users++
		open.used = h.clock
		return open, nil
	}
	if f.retired.Load() {
		return nil, ErrRetired
	}
	h.closeOldestLocked()
	file, err := h.disk.Open(h.path(f.name), disk.Read)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	open := &handle{file: file, users: 1, used: h.clock}
	h.handles[f] = open
	return open, nil
}

// closeOldestLocked makes room for another handle.
func (h *Shelf) closeOldestLocked() {
	if len(h.handles) < handlesMax {
		return
	}
	var oldest *File
	for f, open := range h.handles {
		if open.users == 0 && (oldest == nil || open.used < h.handles[oldest].used) {
			oldest = f
		}
	}
	if oldest != nil {
		// A handle that was only read from has nothing to lose.
		_ = h.handles[oldest].file.Close()
		delete(h.handles, oldest)
	}
}

func (h *Shelf) release(f *File, open *handle) {
	h.handlesMu.Lock()
	defer h.handlesMu.Unlock()
	open.users--
	if open.users == 0 && f.retired.Load() {
		delete(h.handles, f)
		_ = open.file.Close()
	}
}

// payload returns the payload of a block, verified, through the cache.
func (h *Shelf) payload(f *File, number uint32) ([]byte, error) {
	key := blockKey{file: f, number: number}
	h.cacheMu.Lock()
	if c := h.blocks[key]; c != nil {
		c.touched = true
		h.cacheMu.Unlock()
		return c.payload, nil
	}
	h.cacheMu.Unlock()
	b := make([]byte, blockBytes)
	if err := f.readBlocks(b, number); err != nil {
		return nil, err
	}
	c := &cached{key: key, payload: b[:payloadBytes:payloadBytes]}
	h.cacheMu.Lock()
	defer h.cacheMu.Unlock()
	if h.blocks[key] == nil {
		h.insertLocked(c)
	}
	return c.payload, nil
}

// insertLocked puts a block in the place of one that was not used since the
// hand last passed. Readers may still hold the one that goes: nobody writes to it.
func (h *Shelf) insertLocked(c *cached) {
	for h.ring[h.hand] != nil && h.ring[h.hand].touched {
		h.ring[h.hand].touched = false
		h.hand = (h.hand + 1) % len(h.ring)
	}
	if old := h.ring[h.hand]; old != nil {
		delete(h.blocks, old.key)
	}
	h.ring[h.hand] = c
	h.blocks[c.key] = c
	h.hand = (h.hand + 1) % len(h.ring)
}
