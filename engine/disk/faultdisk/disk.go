package faultdisk

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
)

// Disk passes operations on to another disk, but for those that its rules
// break. It is as safe for concurrent use as that disk.
type Disk struct {
	inner  disk.Disk
	faults *faults

	mu   sync.Mutex
	open map[*file]struct{}
}

var _ disk.Disk = (*Disk)(nil)

// New wraps inner. No rules at all make it transparent. The clock times the
// delays.
func New(inner disk.Disk, rules []Rule, clock Clock) *Disk {
	return &Disk{inner: inner, faults: newFaults(slices.Clone(rules), clock), open: map[*file]struct{}{}}
}

// Set replaces the rules; they count from 1 again. What hangs goes on hanging.
func (d *Disk) Set(rules []Rule) { d.faults.set(slices.Clone(rules)) }

// Release ends everything that hangs now. What a rule makes hang later waits
// for the next call; Set the rules first to end it for good.
func (d *Disk) Release() { d.faults.releaseAll() }

// WaitHanging returns once count operations or more hang.
func (d *Disk) WaitHanging(ctx context.Context, count int) error {
	return d.faults.waitHanging(ctx, count)
}

// Matches returns how many operations each rule has matched, broken or not, in
// the order of the rules.
func (d *Disk) Matches() []uint64 {
	d.faults.mutex.Lock()
	defer d.faults.mutex.Unlock()
	return slices.Clone(d.faults.counts)
}

// pass judges an operation that has no bytes to cut, and holds it back.
func (d *Disk) pass(operation Operation, names ...string) error {
	v := d.faults.judge(operation, names...)
	d.faults.wait(v.holds)
	return v.err
}

// Open implements disk.Disk.
func (d *Disk) Open(name string, mode disk.Mode) (disk.File, error) {
	if err := d.pass(Open, name); err != nil {
		return nil, err
	}
	inner, err := d.inner.Open(name, mode)
	if err != nil {
		return nil, err
	}
	direct := mode == disk.DirectReadWrite || mode == disk.DirectCreate
	f := &file{File: inner, disk: d, direct: direct}
	f.name.Store(&name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[f] = struct{}{}
	return f, nil
}

// List implements disk.Disk.
func (d *Disk) List(dir string) ([]string, error) {
	if err := d.pass(List, dir); err != nil {
		return nil, err
	}
	return d.inner.List(dir)
}

// MakeDir implements disk.Disk.
func (d *Disk) MakeDir(dir string) error {
	if err := d.pass(MakeDir, dir); err != nil {
		return err
	}
	return d.inner.MakeDir(dir)
}

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string) error {
	if err := d.pass(Rename, from, to); err != nil {
		return err
	}
	if err := d.inner.Rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for f := range d.open {
		if *f.name.Load() == from {
			f.name.Store(&to)
		}
	}
	return nil
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string) error {
	if err := d.pass(Remove, name); err != nil {
		return err
	}
	return d.inner.Remove(name)
}

// SyncDir implements disk.Disk.
func (d *Disk) SyncDir(dir string) error {
	if err := d.pass(SyncDir, dir); err != nil {
		return err
	}
	return d.inner.SyncDir(dir)
}

// FreeBytes implements disk.Disk.
func (d *Disk) FreeBytes() (int64, error) {
	if err := d.pass(Free, "."); err != nil {
		return 0, err
	}
	return d.inner.FreeBytes()
}

// Lock implements disk.Disk.
func (d *Disk) Lock(name string) (io.Closer, error) {
	if err := d.pass(Lock, name); err != nil {
		return nil, err
	}
	return d.inner.Lock(name)
}

// BlockBytes implements disk.Disk.
func (d *Disk) BlockBytes() int { return d.inner.BlockBytes() }

// Path implements disk.Disk.
func (d *Disk) Path() string { return d.inner.Path() }

// Describe implements disk.Disk.
func (d *Disk) Describe() string { return "faults over " + d.inner.Describe() }

// file passes operations on to a file of the inner disk.
type file struct {
	disk.File
	disk   *Disk
	name   atomic.Pointer[string] // as it is called now
	direct bool
}

// Close implements io.Closer.
func (f *file) Close() error {
	f.disk.mu.Lock()
	delete(f.disk.open, f)
	f.disk.mu.Unlock()
	return f.File.Close()
}

// shorten returns the part of p that gets through.
func (f *file) shorten(p []byte, length int) []byte {
	length = min(length, len(p))
	if f.direct {
		length -= length % f.disk.BlockBytes()
	}
	return p[:length]
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, at int64) (int, error) {
	v := f.disk.faults.judge(Read, *f.name.Load())
	f.disk.faults.wait(v.holds)
	switch {
	case v.err != nil:
		return 0, v.err
	case v.cut:
		n, err := f.File.ReadAt(f.shorten(p, v.short), at)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return n, f.cut("read", err)
	}
	return f.File.ReadAt(p, at)
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, at int64) (int, error) {
	v := f.disk.faults.judge(Write, *f.name.Load())
	f.disk.faults.wait(v.holds)
	switch {
	case v.err != nil:
		return 0, v.err
	case v.cut:
		n, err := f.File.WriteAt(f.shorten(p, v.short), at)
		if err == nil {
			err = io.ErrShortWrite
		}
		return n, f.cut("write", err)
	}
	return f.File.WriteAt(p, at)
}

func (f *file) cut(action string, err error) error {
	return fmt.Errorf("%s %s: cut short: %w", action, *f.name.Load(), err)
}

// Sync implements disk.File.
func (f *file) Sync() error {
	if err := f.disk.pass(Sync, *f.name.Load()); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements disk.File.
func (f *file) SyncData() error {
	if err := f.disk.pass(Sync, *f.name.Load()); err != nil {
		return err
	}
	return f.File.SyncData()
}

// Allocate implements disk.File.
func (f *file) Allocate(size int64) error {
	if err := f.disk.pass(Allocate, *f.name.Load()); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	if err := f.disk.pass(Truncate, *f.name.Load()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	if err := f.disk.pass(Size, *f.name.Load()); err != nil {
		return 0, err
	}
	return f.File.Size()
}
