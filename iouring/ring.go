//go:build linux

package iouring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// EntriesMax is the size of the largest submission queue.
const EntriesMax = 4096

// Options of a ring. The zero value is a good one.
type Options struct {
	// Owner says who calls.
	Owner Owner
	// InFlight is the most operations queued, in the kernel or completed but not
	// given out, at any time. 0 means twice the entries; at least the entries.
	InFlight int
	// ResumeBytes is a power of two: a Whole write that came out short goes on
	// at a multiple of it, counted from its start. 0 means 1. For files opened
	// with O_DIRECT it is the block size.
	ResumeBytes int
}

func (o *Options) complete(entries int) error {
	if o.InFlight == 0 {
		o.InFlight = 2 * entries
	}
	if o.ResumeBytes == 0 {
		o.ResumeBytes = 1
	}
	switch {
	case entries < 1 || entries > EntriesMax:
		return fmt.Errorf("%w: %d entries, want 1 to %d", ErrRange, entries, EntriesMax)
	case o.Owner > OwnerGoroutine:
		return fmt.Errorf("%w: owner %d, want OwnerThread or OwnerGoroutine", ErrRange, o.Owner)
	case o.InFlight < entries || o.InFlight > 4*EntriesMax:
		return fmt.Errorf("%w: %d operations in flight, want %d to %d", ErrRange, o.InFlight, entries, 4*EntriesMax)
	case o.ResumeBytes < 0 || o.ResumeBytes&(o.ResumeBytes-1) != 0:
		return fmt.Errorf("%w: %d bytes to resume at, want a power of two", ErrRange, o.ResumeBytes)
	}
	return nil
}

// Ring is one io_uring. The goroutine that made it owns it and calls every
// method but Wake.
type Ring struct {
	kernel     kernel
	descriptor int
	owner      Owner
	thread     int // the owner's, with OwnerThread
	flags      Flag
	features   Feature

	queueMemory []byte
	entryMemory []byte
	submissions submissionQueue
	completions completionQueue

	slots     slotTable
	chainOpen bool     // the entry queued last is linked to the next
	resumed   []uint32 // slots of short writes that shall go on
	cancels   int      // cancellations by Close in flight
	closed    bool

	resumeBytes  int
	waitArgument waitArgument
	waitLimit    kernelTimespec
	wake         waker

	buffers        [][]byte
	pinned         bool   // buffers are registered in the kernel
	buffersNote    string // why they are not
	files          []fileSlot
	fileDescriptor int32 // argument of updateFile
}

// New makes a ring with room for this many queued operations. The calling
// goroutine becomes the owner; with OwnerThread it must be locked to its thread
// (runtime.LockOSThread). Errors that wrap ErrUnavailable mean that io_uring can't be used here
// at all.
func New(entries int, options Options) (*Ring, error) {
	return newRing(entries, options, realKernel())
}

func newRing(entries int, options Options, k kernel) (*Ring, error) {
	if err := options.complete(entries); err != nil {
		return nil, err
	}
	r := &Ring{
		kernel:      k,
		descriptor:  -1,
		owner:       options.Owner,
		thread:      unix.Gettid(),
		slots:       newSlotTable(options.InFlight),
		resumed:     make([]uint32, 0, options.InFlight),
		resumeBytes: options.ResumeBytes,
	}
	r.waitArgument.timespec = addressOf(&r.waitLimit)
	submissions := uint32(entries + ownEntries)
	completions := uint32(options.InFlight + ownEntries)
	err := r.setUp(submissions, max(submissions, completions))
	if err == nil {
		r.submissions.limit = uint32(entries)
		err = r.wake.open()
	}
	if err != nil {
		if failed := r.release(); failed != nil {
			err = fmt.Errorf("%w; giving back what was made failed too: %w", err, failed)
		}
		return nil, err
	}
	return r, nil
}

// Report says what this ring can do, and what it can't and why.
func (r *Ring) Report() Report {
	return Report{Kernel: kernelRelease(), Owner: r.owner, Flags: r.flags, Features: r.features, Buffers: r.buffersNote}
}

// owned refuses calls on a closed ring and, with OwnerThread, calls from other
// threads.
func (r *Ring) owned() error {
	if r.owner == OwnerThread && unix.Gettid() != r.thread {
		return ErrNotOwner
	}
	if r.closed {
		return ErrClosed
	}
	return nil
}
