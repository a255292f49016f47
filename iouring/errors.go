//go:build linux

package iouring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Errors of the caller, told apart with errors.Is. Nothing was queued.
var (
	// ErrQueueFull: the submission queue has no room. Submit or Wait empties it.
	ErrQueueFull = errors.New("iouring: submission queue is full: call Submit or Wait")
	// ErrInFlight: as many operations are in flight as Options allow.
	ErrInFlight = errors.New("iouring: too many operations in flight: call Wait")
	// ErrChainOpen: the operation queued last carries Link, so the chain lacks
	// its end and can't be handed over.
	ErrChainOpen = errors.New("iouring: chain of linked operations has no end: queue one without Link")
	// ErrFlags: the flags don't fit the operation or each other.
	ErrFlags = errors.New("iouring: flags don't fit the operation")
	// ErrRange: an offset, length, count or size is out of its range.
	ErrRange = errors.New("iouring: argument out of range")
	// ErrBuffer: the memory isn't inside the registered buffer named.
	ErrBuffer = errors.New("iouring: memory is outside the registered buffer")
	// ErrRegistered: buffers or files were registered before.
	ErrRegistered = errors.New("iouring: registered already")
	// ErrFileSlot: no such slot in the file table, or nothing in it.
	ErrFileSlot = errors.New("iouring: file slot is empty or doesn't exist")
	// ErrFileInUse: operations on the slot's file are in flight.
	ErrFileInUse = errors.New("iouring: file slot has operations in flight: wait for them")
	// ErrNotFound: no operation with this tag is in flight.
	ErrNotFound = errors.New("iouring: no such operation in flight")
	// ErrNotOwner: called from another thread than the one that called New.
	ErrNotOwner = errors.New("iouring: called from a thread that doesn't own the ring: " +
		"lock the goroutine to its thread before New and use the ring from it alone")
	// ErrClosed: the ring was closed.
	ErrClosed = errors.New("iouring: ring is closed")
)

// ErrBusy: the kernel is short of memory or of room for completions and took
// only a part of what was queued. The rest stays queued: Wait for completions,
// then go on.
var ErrBusy = errors.New("iouring: kernel takes no more operations now: wait for completions")

// OperationError is the failure of one operation as the kernel reported it.
// errors.Is finds the errno.
type OperationError struct {
	// Operation is what failed.
	Operation Operation
	// Errno is the kernel's reason. ECANCELED means that the operation was
	// canceled or that one before it in its chain failed.
	Errno unix.Errno
}

// Error names the operation and the cause.
func (e *OperationError) Error() string {
	return fmt.Sprintf("iouring: %s failed: %s", e.Operation, e.Errno.Error())
}

// Unwrap gives the errno.
func (e *OperationError) Unwrap() error { return e.Errno }

// callError explains a failed system call on the ring itself.
func callError(action string, err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return ErrNotOwner
	case errors.Is(err, unix.EBADR):
		return fmt.Errorf("iouring: %s: the kernel had no memory to keep completions and lost some; "+
			"nothing is known about the operations in flight: %w", action, err)
	default:
		return fmt.Errorf("iouring: %s: %w", action, err)
	}
}
