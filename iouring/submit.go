//go:build linux

package iouring

import (
	"errors"
	"sync/atomic"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// ownEntries is the room in the submission queue for the ring's own entries.
const ownEntries = 1

// queue admits q and writes its entry.
func (r *Ring) queue(q request) error {
	index, err := r.admit(q)
	if err != nil {
		return err
	}
	r.emit(index)
	return nil
}

// admit checks q against limits and misuse and gives it a slot.
func (r *Ring) admit(q request) (uint32, error) {
	if r.closed {
		return 0, ErrClosed
	}
	if q.flags&^operationTraits[q.operation].flags != 0 || q.flags&(Link|Whole) == Link|Whole {
		return 0, ErrFlags
	}
	if q.offset < 0 || len(q.buffer) > TransferMaxBytes {
		return 0, ErrRange
	}
	// A chain must always find room for its end, else it could neither grow
	// nor be handed over.
	needed := uint32(1)
	if q.flags&Link != 0 {
		needed = 2
	}
	if r.submissions.pending()+needed > r.submissions.limit {
		return 0, ErrQueueFull
	}
	if len(r.slots.free) < int(needed) {
		return 0, ErrInFlight
	}
	if q.file.slot {
		if err := r.useFile(q.file); err != nil {
			return 0, err
		}
	}
	r.chainOpen = q.flags&Link != 0
	return r.slots.take(q), nil
}

// nextEntry gives the next submission entry, empty, and publishes it. The
// kernel looks at it only inside enter, so it may be filled after that.
func (r *Ring) nextEntry(index uint32) *abi.SubmissionQueueEntry64 {
	q := &r.submissions
	entry := &q.entries[q.next&q.mask]
	entry.Reset()
	q.slots[q.next&q.mask] = index
	q.next++
	atomic.StoreUint32(q.tail, q.next)
	return entry
}

// Room is how many operations can be queued now. A chain of up to that many
// fits.
func (r *Ring) Room() int {
	free := int(r.submissions.limit) - int(r.submissions.pending())
	return min(max(free, 0), len(r.slots.free)) // the ring's own entry may exceed the limit
}

// InFlight counts operations queued or in the kernel, or completed but not yet
// given out by Wait.
func (r *Ring) InFlight() int { return r.slots.used() }

// Submit hands what is queued to the kernel and returns how many entries it
// took, without waiting. ErrBusy: the rest stays queued until completions were
// waited for.
func (r *Ring) Submit() (int, error) {
	if err := r.ready(); err != nil {
		return 0, err
	}
	total := 0
	for {
		r.queueResumed()
		pending := r.submissions.pending()
		if pending == 0 {
			return total, nil
		}
		before := r.submissions.next - pending
		_, err := r.kernel.enter(r.descriptor, pending, 0, 0, nil)
		taken := r.taken(before)
		total += taken
		switch {
		case err == nil && taken > 0, errors.Is(err, unix.EINTR):
		case err == nil || isShortage(err):
			return total, ErrBusy
		default:
			return total, callError("submit", err)
		}
	}
}

// ready refuses calls that can't be right now.
func (r *Ring) ready() error {
	if r.closed {
		return ErrClosed
	}
	if r.chainOpen {
		return ErrChainOpen
	}
	return nil
}

// isShortage: the kernel lacks memory for requests or room for completions.
func isShortage(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY)
}

// queueResumed queues again the writes that came out short, as far as there is
// room.
func (r *Ring) queueResumed() {
	for len(r.resumed) > 0 && r.submissions.pending() < r.submissions.limit {
		last := len(r.resumed) - 1
		r.emit(r.resumed[last])
		r.resumed = r.resumed[:last]
	}
}

// taken counts the entries that the kernel has read since the queue's head was
// before.
func (r *Ring) taken(before uint32) int {
	head := atomic.LoadUint32(r.submissions.head)
	if head != before && head != r.submissions.next {
		r.cutChain(head)
	}
	return int(head - before)
}

// cutChain looks at the place where the kernel stopped reading. Should that be
// inside a chain, the kernel takes the first part for all of it, and would run
// the second part although the first may fail. So the second part is made to do
// nothing and to complete as canceled.
func (r *Ring) cutChain(head uint32) {
	q := &r.submissions
	for at := head; at != q.next && r.isLinked(at-1); at++ {
		index := q.slots[at&q.mask]
		entry := &q.entries[at&q.mask]
		entry.Reset()
		entry.PrepOperation(abi.IORING_OP_NOP, -1, 0, 0, 0)
		entry.SetUserData(r.slots.data(index))
		r.slots.all[index].refused = true
	}
}

// isLinked: the entry at this place of the queue is linked to the next one. Its
// slot must not have been released, that is, nothing was reaped since enter.
func (r *Ring) isLinked(at uint32) bool {
	index := r.submissions.slots[at&r.submissions.mask]
	return index != noSlot && r.slots.all[index].flags&Link != 0
}
