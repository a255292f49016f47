//go:build linux

package iouring

import (
	"fmt"
	"sync"
	"sync/atomic"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// States of the owner as Wake sees it.
const (
	ownerBusy   uint32 = iota // outside the kernel, will look by itself
	ownerAsleep               // in enter, or about to be
	ownerCalled               // Wake was called since
)

// waker lets other goroutines get the owner out of enter: the ring always has a
// read of an eventfd in flight while the owner waits. The eventfd is written
// only if the owner sleeps, so Wake costs one atomic operation otherwise.
type waker struct {
	state atomic.Uint32

	mutex      sync.Mutex // a Wake must not write to a closed descriptor
	descriptor int        // -1 when closed; changed under mutex

	armed   bool    // owner: the read is queued or in the kernel
	counter [8]byte // the kernel reads into it; nobody looks
}

// one is the eventfd's increment. The value doesn't matter, but for zero.
var one = [8]byte{1, 1, 1, 1, 1, 1, 1, 1}

func (w *waker) open() error {
	// Not EFD_NONBLOCK: the kernel would complete the read at once with EAGAIN.
	descriptor, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("iouring: make an eventfd for Wake: %w", err)
	}
	w.descriptor = descriptor
	return nil
}

// lieDown announces that the owner is going to sleep. False: it was called and
// must not.
func (w *waker) lieDown() bool { return w.state.CompareAndSwap(ownerBusy, ownerAsleep) }

// getUp ends the sleep and tells whether Wake was called during it. The call
// stays noted until take.
func (w *waker) getUp() bool { return !w.state.CompareAndSwap(ownerAsleep, ownerBusy) }

// take forgets calls of Wake: the owner is about to look at what they announce.
// Swap, not Store, so that it sees all that was written before those calls.
func (w *waker) take() { w.state.Swap(ownerBusy) }

// Wake makes a Wait that is blocked, or else the next one, return. Any number
// of calls count as one until Wait returns. It is safe from any goroutine, also
// during and after Close, and doesn't block.
func (r *Ring) Wake() {
	w := &r.wake
	if w.state.Swap(ownerCalled) != ownerAsleep {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.descriptor < 0 {
		return
	}
	for {
		_, err := unix.Write(w.descriptor, one[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			panic(fmt.Sprintf("BUG: iouring: eventfd %d can't be written, somebody closed it: %v",
				w.descriptor, err))
		}
		return
	}
}

// armWake queues the read of the eventfd if it isn't in flight.
func (r *Ring) armWake() {
	if r.wake.armed {
		return
	}
	entry := r.nextEntry(noSlot)
	entry.PrepOperation(abi.IORING_OP_READ, int32(r.wake.descriptor), addressOf(&r.wake.counter),
		uint32(len(r.wake.counter)), 0)
	entry.SetUserData(wakeData)
	r.wake.armed = true
}

// close ends the use of the eventfd. Its read must have completed.
func (w *waker) close() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.descriptor < 0 {
		return nil
	}
	descriptor := w.descriptor
	w.descriptor = -1
	return unix.Close(descriptor)
}
