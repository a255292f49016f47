//go:build linux

package iouring

import (
	"errors"
	"fmt"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// Limits of registered buffers in the kernels this package supports.
const (
	// BuffersMax is how many buffers a ring can register.
	BuffersMax = 1024
	// BufferMaxBytes is the size of the largest.
	BufferMaxBytes = 1 << 30
)

// RegisterBuffers makes memory known to the kernel once, which saves pinning
// its pages at each WriteFixed and ReadFixed. The index of a buffer is its
// place in buffers. It can be done once in the life of a ring; Close undoes it.
// The ring keeps the memory reachable until then. Memory from outside the Go
// heap is best, and must stay mapped.
//
// If RLIMIT_MEMLOCK is too small it still succeeds: WriteFixed and ReadFixed
// then do plain writes and reads, and Report says so.
func (r *Ring) RegisterBuffers(buffers [][]byte) error {
	if err := r.owned(); err != nil {
		return err
	}
	if r.buffers != nil {
		return ErrRegistered
	}
	if len(buffers) == 0 || len(buffers) > BuffersMax {
		return ErrRange
	}
	vector := make([]unix.Iovec, len(buffers))
	for i, buffer := range buffers {
		if len(buffer) == 0 || len(buffer) > BufferMaxBytes {
			return ErrRange
		}
		vector[i].Base = unsafe.SliceData(buffer)
		vector[i].SetLen(len(buffer))
	}
	err := r.kernel.register(r.descriptor, abi.IORING_REGISTER_BUFFERS,
		unsafe.Pointer(&vector[0]), uint32(len(vector)))
	switch {
	case err == nil:
		r.pinned = true
	case errors.Is(err, unix.ENOMEM):
		r.buffersNote = describeMemlock(r.kernel.facts())
	default:
		return callError(fmt.Sprintf("register %d buffers", len(buffers)), err)
	}
	r.buffers = append([][]byte(nil), buffers...)
	return nil
}

// queueFixed queues q if its memory is inside the registered buffer.
func (r *Ring) queueFixed(q request, index int) error {
	if index < 0 || index >= len(r.buffers) || !contains(r.buffers[index], q.buffer) {
		return ErrBuffer
	}
	q.index = uint16(index)
	return r.queue(q)
}

// contains: inner is a part of outer.
func contains(outer, inner []byte) bool {
	start, from := addressOf(unsafe.SliceData(outer)), addressOf(unsafe.SliceData(inner))
	return from >= start && from-start <= uint64(len(outer)) &&
		uint64(len(inner)) <= uint64(len(outer))-(from-start)
}

// unregisterBuffers unpins the memory now. Without it the kernel would do so
// some time after Close, and count it against RLIMIT_MEMLOCK until then.
func (r *Ring) unregisterBuffers() error {
	if r.pinned {
		if err := r.kernel.register(r.descriptor, abi.IORING_UNREGISTER_BUFFERS, nil, 0); err != nil {
			return callError("unregister buffers", err)
		}
		r.pinned = false
	}
	r.buffers = nil
	return nil
}
