package log

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
)

// poolFiles is how many segments are written before the first sample: one that
// is written, one that is the next, and more than a fast device fills in a
// second.
const poolFiles = 4

// pool holds files of a segment's size that are written to their end. They
// serve one sample after another, as those of a log that recycles its segments
// do. All methods of a nil pool do nothing.
type pool struct {
	dir string

	mu   sync.Mutex
	made int
	free []string
	lent map[string]bool // by the path it has now
}

// newPool writes files full of zeros.
func newPool(dir string, segmentBytes int64) (*pool, error) {
	p := &pool{dir: filepath.Join(dir, "bench-log.pool"), lent: make(map[string]bool)}
	if err := os.RemoveAll(p.dir); err != nil {
		return nil, fmt.Errorf("bench log: %w", err)
	}
	d, err := disk.OpenPosix(p.dir)
	if err != nil {
		return nil, err
	}
	arena, err := disk.NewArena(zerosBytes)
	if err != nil {
		return nil, err
	}
	for range poolFiles {
		name := p.newName()
		if err = writeZeros(d, name, arena.Bytes(), segmentBytes); err != nil {
			err = fmt.Errorf("bench log: prepare a segment: %w", err)
			break
		}
		p.free = append(p.free, filepath.Join(p.dir, name))
	}
	return p, errors.Join(err, arena.Free())
}

const zerosBytes = 1 << 20

func writeZeros(d disk.Disk, name string, zeros []byte, size int64) error {
	f, err := d.Open(name, disk.DirectCreate)
	if err != nil {
		return err
	}
	err = f.Allocate(size)
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (p *pool) newName() string {
	p.made++
	return fmt.Sprint("segment-", p.made)
}

// lend moves a file of the pool to a path and reports whether there was one.
func (p *pool) lend(path string) (bool, error) {
	if p == nil {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return false, nil
	}
	last := len(p.free) - 1
	if err := os.Rename(p.free[last], path); err != nil {
		return false, fmt.Errorf("bench log: lend a segment: %w", err)
	}
	p.free = p.free[:last]
	p.lent[path] = true
	return true, nil
}

// has reports whether the file at a path is the pool's.
func (p *pool) has(path string) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent[path]
}

func (p *pool) renamed(from, to string) {
	if p.has(from) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.lent, from)
		p.lent[to] = true
	}
}

// takeBack moves a lent file back into the pool.
func (p *pool) takeBack(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	home := filepath.Join(p.dir, p.newName())
	if err := os.Rename(path, home); err != nil {
		return fmt.Errorf("bench log: take a segment back: %w", err)
	}
	delete(p.lent, path)
	p.free = append(p.free, home)
	return nil
}

// takeAllBack moves all lent files back into the pool.
func (p *pool) takeAllBack() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	var paths []string
	for path := range p.lent {
		paths = append(paths, path)
	}
	p.mu.Unlock()
	var errs []error
	for _, path := range paths {
		errs = append(errs, p.takeBack(path))
	}
	return errors.Join(errs...)
}

func (p *pool) close() error {
	if p == nil {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// writtenFile is a file of the pool. Zeros behind its head are not written
// again: a log that recycles a segment doesn't either.
type writtenFile struct {
	disk.File
	changed atomic.Bool // since the last Sync
}

var zeros [zerosBytes]byte

// leavesOut reports whether a write of the log's own, beside its queue, is the
// zero-fill; any other changes the head of the file.
func (f *writtenFile) leavesOut(p []byte, at int64) bool {
	if at >= zerosBytes || at > 0 && len(p) <= zerosBytes && bytes.Equal(p, zeros[:len(p)]) {
		return true
	}
	f.changed.Store(true)
	return false
}

// Allocate has nothing to do.
func (f *writtenFile) Allocate(int64) error { return nil }
