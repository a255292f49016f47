package log

import (
	"path/filepath"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
)

// Operations are counts of what was handed to a disk.
type Operations struct {
	Writes     int64 `json:"writes"`     // of the log itself
	WriteBytes int64 `json:"writeBytes"` // in whole blocks
	Syncs      int64 `json:"syncs"`
	Waits      int64 `json:"waits"`      // for completions
	Wakes      int64 `json:"wakes"`      // of the owner of the queue
	FillWrites int64 `json:"fillWrites"` // beside the log: zero-fill, segment headers
	FillBytes  int64 `json:"fillBytes"`
	FillSyncs  int64 `json:"fillSyncs"`
}

func (o Operations) minus(before Operations) Operations {
	return Operations{
		Writes: o.Writes - before.Writes, WriteBytes: o.WriteBytes - before.WriteBytes, Syncs: o.Syncs - before.Syncs,
		Waits: o.Waits - before.Waits, Wakes: o.Wakes - before.Wakes,
		FillWrites: o.FillWrites - before.FillWrites, FillBytes: o.FillBytes - before.FillBytes, FillSyncs: o.FillSyncs - before.FillSyncs,
	}
}

// counter counts while operations run.
type counter struct {
	writes, writeBytes, syncs, waits, wakes atomic.Int64
	fillWrites, fillBytes, fillSyncs        atomic.Int64
}

func (c *counter) read() Operations {
	return Operations{
		Writes: c.writes.Load(), WriteBytes: c.writeBytes.Load(), Syncs: c.syncs.Load(), Waits: c.waits.Load(), Wakes: c.wakes.Load(),
		FillWrites: c.fillWrites.Load(), FillBytes: c.fillBytes.Load(), FillSyncs: c.fillSyncs.Load(),
	}
}

// countingDisk counts what passes through to a disk. The log's own writes go
// through queues; what it does beside them goes through files.
type countingDisk struct {
	disk.Disk
	counter *counter
	pool    *pool // where segments come from; nil for none
}

// Open implements disk.Disk. A segment is created by taking a file of the pool.
func (d countingDisk) Open(name string, mode disk.Mode) (disk.File, error) {
	path := filepath.Join(d.Path(), name)
	lent := false
	if mode == disk.DirectCreate {
		var err error
		if lent, err = d.pool.lend(path); err != nil {
			return nil, err
		}
	}
	if lent {
		mode = disk.DirectReadWrite
	}
	f, err := d.Disk.Open(name, mode)
	if err != nil {
		return nil, err
	}
	if d.pool.has(path) {
		f = &writtenFile{File: f}
	}
	return countingFile{f, d.counter}, nil
}

// Rename implements disk.Disk.
func (d countingDisk) Rename(from, to string) error {
	err := d.Disk.Rename(from, to)
	if err == nil {
		d.pool.renamed(filepath.Join(d.Path(), from), filepath.Join(d.Path(), to))
	}
	return err
}

// Remove implements disk.Disk.
func (d countingDisk) Remove(name string) error {
	path := filepath.Join(d.Path(), name)
	if d.pool.has(path) {
		return d.pool.takeBack(path)
	}
	return d.Disk.Remove(name)
}

// OpenQueue implements disk.Disk.
func (d countingDisk) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	q, err := d.Disk.OpenQueue(depth, arena)
	if err != nil {
		return nil, err
	}
	return countingQueue{q, d.counter}, nil
}

type countingFile struct {
	disk.File
	counter *counter
}

// WriteAt implements disk.File.
func (f countingFile) WriteAt(p []byte, at int64) (int, error) {
	if w, written := f.File.(*writtenFile); written && w.leavesOut(p, at) {
		return len(p), nil
	}
	f.counter.fillWrites.Add(1)
	f.counter.fillBytes.Add(int64(len(p)))
	return f.File.WriteAt(p, at)
}

// Sync implements disk.File.
func (f countingFile) Sync() error {
	if w, written := f.File.(*writtenFile); written && !w.changed.Swap(false) {
		return nil
	}
	f.counter.fillSyncs.Add(1)
	return f.File.Sync()
}

// inner is the file as the disk knows it.
func (f countingFile) inner() disk.File {
	if w, written := f.File.(*writtenFile); written {
		return w.File
	}
	return f.File
}

type countingQueue struct {
	disk.Queue
	counter *counter
}

// Write implements disk.Queue.
func (q countingQueue) Write(f disk.File, buf []byte, at int64, tag uint64) {
	q.counter.writes.Add(1)
	q.counter.writeBytes.Add(int64(len(buf)))
	q.Queue.Write(f.(countingFile).inner(), buf, at, tag)
}

// WriteDurable implements disk.Queue.
func (q countingQueue) WriteDurable(f disk.File, buf []byte, at int64, tag uint64) {
	q.counter.writes.Add(1)
	q.counter.writeBytes.Add(int64(len(buf)))
	q.Queue.WriteDurable(f.(countingFile).inner(), buf, at, tag)
}

// SyncData implements disk.Queue.
func (q countingQueue) SyncData(f disk.File, tag uint64) {
	q.counter.syncs.Add(1)
	q.Queue.SyncData(f.(countingFile).inner(), tag)
}

// Wait implements disk.Queue.
func (q countingQueue) Wait(done []disk.Completion) (int, error) {
	q.counter.waits.Add(1)
	return q.Queue.Wait(done)
}

// Wake implements disk.Queue.
func (q countingQueue) Wake() {
	q.counter.wakes.Add(1)
	q.Queue.Wake()
}
