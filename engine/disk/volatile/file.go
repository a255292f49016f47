package volatile

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
)

// file is an open file.
type file struct {
	inner    disk.File
	contents *contents
	name     string
	mode     disk.Mode
	closed   atomic.Bool
}

var _ disk.File = (*file)(nil)

// usable refuses what the disk below would refuse if it saw it.
func (f *file) usable() error {
	switch {
	case f.closed.Load():
		return fmt.Errorf("write %s: %w", f.name, os.ErrClosed)
	case f.mode == disk.Read:
		return fmt.Errorf("write %s: it is open for reading: %w", f.name, os.ErrPermission)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, at int64) (int, error) { return f.contents.read(f.inner, p, at) }

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, at int64) (int, error) {
	err := f.usable()
	if err == nil {
		err = f.contents.write(f.inner, p, at)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync implements disk.File.
func (f *file) Sync() error {
	if f.mode == disk.Read {
		return f.inner.Sync()
	}
	return f.contents.sync(f.inner, f.inner.Sync)
}

// SyncData implements disk.File.
func (f *file) SyncData() error {
	if f.mode == disk.Read {
		return f.inner.SyncData()
	}
	return f.contents.sync(f.inner, f.inner.SyncData)
}

// Allocate implements disk.File.
func (f *file) Allocate(size int64) error {
	if err := f.usable(); err != nil {
		return err
	}
	return f.contents.resize(size, f.inner.Allocate)
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	if err := f.usable(); err != nil {
		return err
	}
	return f.contents.resize(size, f.inner.Truncate)
}

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	f.contents.mu.Lock()
	defer f.contents.mu.Unlock()
	return f.contents.sizeLocked(f.inner)
}

// Close implements disk.File. What was not synced stays in memory.
func (f *file) Close() error {
	f.closed.Store(true)
	return f.inner.Close()
}
