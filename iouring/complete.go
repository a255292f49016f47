//go:build linux

package iouring

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// triesMax bounds how often a Whole write is repeated without progress.
const triesMax = 16

// Completion is the end of one operation.
type Completion struct {
	// Tag is what the operation was queued with.
	Tag uint64
	// Bytes read or written; with an error, what a Whole write had done before.
	Bytes int
	// Err is nil, an *OperationError, or io.ErrShortWrite for a Whole write
	// that can't go on.
	Err error
}

// Wait hands what is queued to the kernel, waits until at least least
// operations have completed, and fills into with as many as there are and fit.
// It returns their number, which is smaller than least when timeout has passed
// or Wake was called. A timeout of zero doesn't wait; a negative one has no
// limit. A Wake that came since the last Wait returned makes this one return
// without waiting.
//
// The completions returned are valid with an error too. When the kernel is short
// of memory, a part may stay queued for the next call; ErrBusy means that nothing
// was taken, nothing has completed, and nothing is in flight whose end could help.
//
// The owner wakes up for every completion also when least is larger than one:
// the kernel can't tell a completion from a Wake.
func (r *Ring) Wait(least int, timeout time.Duration, into []Completion) (int, error) {
	if err := r.ready(); err != nil {
		return 0, err
	}
	least = min(least, len(into))
	limit := limitOf(timeout)
	count := r.reap(into)
	for {
		block := count < least && timeout != 0
		if !block && count > 0 && r.submissions.pending() == 0 && len(r.resumed) == 0 {
			break
		}
		stop, err := r.cross(block, limit)
		count += r.reap(into[count:])
		if err == ErrBusy && count > 0 {
			break // what is queued goes with the next call
		}
		if err != nil {
			return count, err
		}
		if stop || !block {
			break
		}
	}
	r.wake.take()
	return count, nil
}

// limitOf is the moment a wait ends; zero for never.
func limitOf(timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// cross enters the kernel once: it hands over what is queued and, if block,
// waits for a completion, the limit or Wake. stop: waiting is over.
func (r *Ring) cross(block bool, limit time.Time) (stop bool, err error) {
	r.queueResumed()
	argument := (*waitArgument)(nil)
	if block && !limit.IsZero() {
		left := time.Until(limit)
		if left <= 0 {
			block, stop = false, true
		} else {
			r.waitLimit = timespecOf(left)
			argument = &r.waitArgument
		}
	}
	if block {
		r.armWake()
		if !r.wake.lieDown() {
			block, stop, argument = false, true, nil
		}
	}
	err = r.handOver(block, argument)
	if block && r.wake.getUp() {
		stop = true
	}
	switch {
	case err == nil, errors.Is(err, unix.EINTR):
		return stop, nil
	case errors.Is(err, unix.ETIME):
		return true, nil
	case errors.Is(err, ErrBusy):
		return stop, err
	default:
		return stop, callError("wait for completions", err)
	}
}

// handOver hands over and waits. Old kernels stop at a bad entry, so it goes on
// until everything is taken. When the kernel takes nothing for lack of memory or
// room, it enters again without handing over, since each completion frees some.
func (r *Ring) handOver(block bool, argument *waitArgument) error {
	complete := uint32(0)
	if block {
		complete = 1
	}
	for {
		pending := r.submissions.pending()
		before := r.submissions.next - pending
		_, err := r.kernel.enter(r.descriptor, pending, complete, abi.IORING_ENTER_FLAGS_GETEVENTS, argument)
		taken := r.taken(before)
		switch {
		case err == nil && taken > 0 && taken < int(pending): // not waited, and there is more
			continue
		case pending == 0, taken > 0, err != nil && !isShortage(err):
			return err
		case r.inKernel() == 0:
			return ErrBusy
		}
		_, err = r.kernel.enter(r.descriptor, 0, complete, abi.IORING_ENTER_FLAGS_GETEVENTS, argument)
		return err
	}
}

// inKernel counts the owner's operations that the kernel has.
func (r *Ring) inKernel() int {
	queued := 0
	for at := r.submissions.next - r.submissions.pending(); at != r.submissions.next; at++ {
		if r.submissions.slots[at&r.submissions.mask] != noSlot {
			queued++
		}
	}
	return r.slots.used() - queued - len(r.resumed)
}

// reap moves completions out of the shared queue into into, until one of them
// is exhausted.
func (r *Ring) reap(into []Completion) int {
	q := &r.completions
	head, count := *q.head, 0
	for count < len(into) && head != atomic.LoadUint32(q.tail) {
		event := &q.entries[head&q.mask]
		data, result := event.UserData(), event.Result()
		head++
		atomic.StoreUint32(q.head, head)
		if r.settle(data, result, &into[count]) {
			count++
		}
	}
	return count
}

// settle ends the operation that user_data stands for. It returns false when
// there is nothing to tell the owner: the ring's own operations, and writes
// that go on.
func (r *Ring) settle(data uint64, result int32, completion *Completion) bool {
	switch data {
	case wakeData:
		r.wake.armed = false
		return false
	case cancelData:
		r.cancels--
		return false
	}
	index := r.slots.find(data)
	s := &r.slots.all[index]
	if s.refused {
		result = -int32(unix.ECANCELED)
	}
	if s.flags&Whole != 0 && r.advance(s, result) {
		r.resumed = append(r.resumed, index)
		return false
	}
	*completion = outcome(s, result)
	if s.file.slot {
		r.files[s.file.descriptor].users--
	}
	r.slots.release(index)
	return true
}

// advance notes what a Whole write has done and tells whether it shall go on.
// A write past the page cache goes on at a block boundary: the bytes before the
// place reached are written again, unchanged.
func (r *Ring) advance(s *slot, result int32) bool {
	retry := result == -int32(unix.EINTR) || result == -int32(unix.EAGAIN)
	if result < 0 && !retry {
		return false
	}
	reached := s.doneBytes + int(max(result, 0))
	if reached == len(s.buffer) {
		return false
	}
	reached &^= r.resumeBytes - 1
	if reached > s.doneBytes {
		s.doneBytes, s.tries = reached, 0
		return true
	}
	s.tries++
	return retry && s.tries < triesMax
}

// outcome turns the kernel's result into what the owner is told.
func outcome(s *slot, result int32) Completion {
	completion := Completion{Tag: s.tag, Bytes: s.doneBytes}
	switch {
	case result >= 0:
		completion.Bytes += int(result)
		if s.flags&Whole != 0 && completion.Bytes < len(s.buffer) {
			completion.Err = io.ErrShortWrite
		}
	case s.operation == OperationTimeout && result == -int32(unix.ETIME):
	default:
		completion.Err = &OperationError{Operation: s.operation, Errno: unix.Errno(-result)}
	}
	return completion
}
