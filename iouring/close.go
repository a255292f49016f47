//go:build linux

package iouring

import (
	"errors"
	"fmt"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// Close hands over what is still queued, waits until everything in flight has
// completed, and gives the ring back. Completions are dropped: who wants them
// calls Wait first. Timeouts and reads, which may never end by themselves, are
// canceled; writes and syncs are not. An open chain is ended. After an error
// the ring's memory stays mapped, for the kernel may still use it.
func (r *Ring) Close() error {
	if err := r.owned(); err != nil {
		return err
	}
	r.closed, r.chainOpen = true, false
	if err := r.cancelEndless(); err != nil {
		return err
	}
	for r.slots.used() > 0 || r.wake.armed || r.cancels > 0 {
		if err := r.drop(true); err != nil {
			return err
		}
	}
	if err := r.wake.close(); err != nil {
		return fmt.Errorf("iouring: close the eventfd: %w", err)
	}
	if err := errors.Join(r.unregisterBuffers(), r.unregisterFiles()); err != nil {
		return err
	}
	if err := r.release(); err != nil {
		return fmt.Errorf("iouring: close: %w", err)
	}
	return nil
}

// cancelEndless cancels what might never complete.
func (r *Ring) cancelEndless() error {
	for r.submissions.pending() > 0 {
		if err := r.drop(false); err != nil {
			return err
		}
	}
	if r.wake.armed {
		r.cancel(wakeData)
	}
	for i := range r.slots.all {
		s := &r.slots.all[i]
		if !s.busy || s.operation != OperationTimeout && s.operation != OperationRead &&
			s.operation != OperationReadFixed {
			continue
		}
		for r.submissions.pending() >= r.submissions.limit {
			if err := r.drop(false); err != nil {
				return err
			}
		}
		if s.busy { // drop may have ended it
			r.cancel(r.slots.data(uint32(i)))
		}
	}
	return nil
}

// cancel queues a cancellation whose outcome nobody wants to know.
func (r *Ring) cancel(target uint64) {
	entry := r.nextEntry(noSlot)
	entry.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, target, 0, 0)
	entry.SetUserData(cancelData)
	r.cancels++
}

// drop enters the kernel once and forgets completions.
func (r *Ring) drop(block bool) error {
	var forgotten [16]Completion
	if r.reap(forgotten[:]) > 0 {
		block = false
	}
	if block && r.slots.used() == 0 && !r.wake.armed && r.cancels == 0 {
		return nil
	}
	r.queueResumed()
	err := r.handOver(block, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return callError("close", err)
	}
	return nil
}
