package volatile

import (
	"fmt"
	"io"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

// Disk is a disk whose files forget what was not synced. It is as safe for
// concurrent use as the disk below.
type Disk struct {
	inner disk.Disk
	cache *cache

	mu    sync.Mutex
	files map[string]*contents
}

var _ disk.Disk = (*Disk)(nil)

// New wraps inner. The seed chooses which writes get through early.
func New(inner disk.Disk, seed uint64) (*Disk, error) {
	c, err := newCache(inner.BlockBytes(), seed)
	if err != nil {
		return nil, fmt.Errorf("open volatile disk: %w", err)
	}
	return &Disk{inner: inner, cache: c, files: map[string]*contents{}}, nil
}

// Open implements disk.Disk.
func (d *Disk) Open(name string, mode disk.Mode) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	inner, err := d.inner.Open(name, mode)
	if err != nil {
		return nil, err
	}
	c := d.files[name]
	if c == nil || mode == disk.Create || mode == disk.DirectCreate {
		c = &contents{cache: d.cache, dirty: map[int64][]byte{}}
		d.files[name] = c
	}
	return &file{inner: inner, contents: c, name: name, mode: mode}, nil
}

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inner.Rename(from, to); err != nil || from == to {
		return err
	}
	delete(d.files, to)
	if c := d.files[from]; c != nil {
		d.files[to] = c
		delete(d.files, from)
	}
	return nil
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inner.Remove(name); err != nil {
		return err
	}
	delete(d.files, name)
	return nil
}

// List implements disk.Disk.
func (d *Disk) List(dir string) ([]string, error) { return d.inner.List(dir) }

// MakeDir implements disk.Disk.
func (d *Disk) MakeDir(dir string) error { return d.inner.MakeDir(dir) }

// SyncDir implements disk.Disk.
func (d *Disk) SyncDir(dir string) error { return d.inner.SyncDir(dir) }

// FreeBytes implements disk.Disk.
func (d *Disk) FreeBytes() (int64, error) { return d.inner.FreeBytes() }

// Lock implements disk.Disk.
func (d *Disk) Lock(name string) (io.Closer, error) { return d.inner.Lock(name) }

// BlockBytes implements disk.Disk.
func (d *Disk) BlockBytes() int { return d.inner.BlockBytes() }

// Path implements disk.Disk.
func (d *Disk) Path() string { return d.inner.Path() }

// Describe implements disk.Disk.
func (d *Disk) Describe() string { return "in memory until synced, over " + d.inner.Describe() }
