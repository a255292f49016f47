package clustertest

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// machineDisk is a node's disk in one life of its machine. It takes time, and it
// tells the machine when its power is gone.
//
// Raft panics where its stores fail, as that is all a process can do. A machine
// without power does nothing at all; so those of its goroutines end where they
// touch the disk.
type machineDisk struct {
	*simdisk.Disk
	ended func() // called when an operation found the power gone

	mu      sync.Mutex
	syncs   time.Duration // what a queued operation takes
	hangs   bool
	changed chan struct{}
	read    atomic.Int64 // bytes that were read from segments of the log
}

// The usual time of a write or sync of the log.
const usualSync = 300 * time.Microsecond

func newMachineDisk(d *simdisk.Disk, ended func()) *machineDisk {
	return &machineDisk{Disk: d, ended: ended, syncs: usualSync, changed: make(chan struct{})}
}

// slow sets how long writes and syncs of the log take; hangs lets them take for
// ever, until the next call.
func (d *machineDisk) slow(syncs time.Duration, hangs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs, d.hangs = syncs, hangs
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *machineDisk) pace() (syncs time.Duration, hangs bool, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs, d.hangs, d.changed
}

// check passes an error on, unless the power is gone.
func (d *machineDisk) check(err error) error {
	if errors.Is(err, simdisk.ErrCrashed) {
		d.ended()
		if ofRaft() {
			runtime.Goexit()
		}
	}
	return err
}

// ofRaft reports whether this goroutine runs Raft. One that starts it isn't: it
// gets the panic as an error.
func ofRaft() bool {
	var calls [64]uintptr
	frames := runtime.CallersFrames(calls[:runtime.Callers(2, calls[:])])
	raft := false
	for {
		f, more := frames.Next()
		if f.Function == "github.com/hashicorp/raft.NewRaft" {
			return false
		}
		raft = raft || strings.HasPrefix(f.Function, "github.com/hashicorp/raft.(*Raft).")
		if !more {
			return raft
		}
	}
}

// Open implements disk.Disk.
func (d *machineDisk) Open(name string, mode disk.Mode) (disk.File, error) {
	f, err := d.Disk.Open(name, mode)
	if err != nil {
		return nil, d.check(err)
	}
	return &machineFile{File: f, disk: d, segment: strings.HasSuffix(name, ".seg")}, nil
}

// List implements disk.Disk.
func (d *machineDisk) List(dir string) ([]string, error) {
	names, err := d.Disk.List(dir)
	return names, d.check(err)
}

// MakeDir implements disk.Disk.
func (d *machineDisk) MakeDir(dir string) error { return d.check(d.Disk.MakeDir(dir)) }

// Rename implements disk.Disk.
func (d *machineDisk) Rename(from, to string) error { return d.check(d.Disk.Rename(from, to)) }

// Remove implements disk.Disk.
func (d *machineDisk) Remove(name string) error { return d.check(d.Disk.Remove(name)) }

// SyncDir implements disk.Disk.
func (d *machineDisk) SyncDir(dir string) error { return d.check(d.Disk.SyncDir(dir)) }

// Lock implements disk.Disk.
func (d *machineDisk) Lock(name string) (io.Closer, error) {
	l, err := d.Disk.Lock(name)
	return l, d.check(err)
}

// machineFile is an open file of a machineDisk.
type machineFile struct {
	disk.File
	disk    *machineDisk
	segment bool // of the log
}

// ReadAt implements io.ReaderAt.
func (f *machineFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	if f.segment {
		f.disk.read.Add(int64(n))
	}
	return n, f.disk.check(err)
}

// WriteAt implements io.WriterAt.
func (f *machineFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	return n, f.disk.check(err)
}

// Sync implements disk.File.
func (f *machineFile) Sync() error { return f.disk.check(f.File.Sync()) }

// SyncData implements disk.File.
func (f *machineFile) SyncData() error { return f.disk.check(f.File.SyncData()) }

// Allocate implements disk.File.
func (f *machineFile) Allocate(size int64) error { return f.disk.check(f.File.Allocate(size)) }

// Truncate implements disk.File.
func (f *machineFile) Truncate(size int64) error { return f.disk.check(f.File.Truncate(size)) }

// OpenQueue implements disk.Disk.
func (d *machineDisk) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	q, err := d.Disk.OpenQueue(depth, arena)
	if err != nil {
		return nil, d.check(err)
	}
	return &machineQueue{Queue: q, disk: d, wake: make(chan struct{}, 1)}, nil
}

// machineQueue is a queue that takes time. The simulated one does its work in
// Wait; so it is late where that is called late.
type machineQueue struct {
	disk.Queue
	disk     *machineDisk
	wake     chan struct{}
	inFlight int
	since    time.Time // when the oldest of them began
}

func (q *machineQueue) begin() {
	if q.inFlight == 0 {
		q.since = time.Now()
	}
	q.inFlight++
}

// Write implements disk.Queue.
func (q *machineQueue) Write(f disk.File, buf []byte, at int64, tag uint64) {
	q.begin()
	q.Queue.Write(f.(*machineFile).File, buf, at, tag)
}

// WriteDurable implements disk.Queue.
func (q *machineQueue) WriteDurable(f disk.File, buf []byte, at int64, tag uint64) {
	q.begin()
	q.Queue.WriteDurable(f.(*machineFile).File, buf, at, tag)
}

// SyncData implements disk.Queue.
func (q *machineQueue) SyncData(f disk.File, tag uint64) {
	q.begin()
	q.Queue.SyncData(f.(*machineFile).File, tag)
}

// Wait implements disk.Queue.
func (q *machineQueue) Wait(done []disk.Completion) (int, error) {
	for q.inFlight > 0 {
		takes, hangs, changed := q.disk.pace()
		left := takes - time.Since(q.since)
		if !hangs && left <= 0 {
			break
		}
		var due <-chan time.Time
		if !hangs {
			t := time.NewTimer(left)
			defer t.Stop()
			due = t.C
		}
		select {
		case <-q.wake:
			return 0, nil
		case <-changed:
		case <-due:
		}
	}
	n, err := q.Queue.Wait(done)
	q.inFlight -= n
	if q.inFlight > 0 {
		q.since = time.Now()
	}
	if errors.Is(err, simdisk.ErrCrashed) {
		q.disk.ended()
	}
	return n, err
}

// Wake implements disk.Queue.
func (q *machineQueue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
	q.Queue.Wake()
}
