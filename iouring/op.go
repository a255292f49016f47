//go:build linux

package iouring

import (
	"fmt"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// VectorMax is how many pieces one Writev may have.
const VectorMax = 16

// TransferMaxBytes is the most that Linux moves in one read or write.
const TransferMaxBytes = 1<<31 - 4096

// Flags modify one operation.
type Flags uint8

const (
	// Link holds back the operation queued next until this one has succeeded
	// in full. For everything but Timeout and Cancel.
	Link Flags = 1 << iota
	// Whole makes the ring continue a short write until all bytes are written
	// or an error comes. For Write and WriteFixed, and not with Link: a short
	// write ends a chain.
	Whole
	// DataSync makes the write durable before it completes, as RWF_DSYNC does:
	// its data, and the metadata needed to read it. For writes.
	DataSync
)

// Operation is a kind of operation.
type Operation uint8

// Operations, one per method of Ring.
const (
	OperationNop Operation = iota
	OperationRead
	OperationReadFixed
	OperationWrite
	OperationWriteFixed
	OperationWritev
	OperationSync
	OperationSyncData
	OperationTimeout
	OperationCancel
)

// operationTraits is what there is to know of each operation: its name for
// people, its number in the kernel and the flags it takes.
var operationTraits = [...]struct {
	name   string
	opcode uint8
	flags  Flags
}{
	OperationNop:        {"nop", abi.IORING_OP_NOP, Link},
	OperationRead:       {"read", abi.IORING_OP_READ, Link},
	OperationReadFixed:  {"read", abi.IORING_OP_READ_FIXED, Link},
	OperationWrite:      {"write", abi.IORING_OP_WRITE, Link | Whole | DataSync},
	OperationWriteFixed: {"write", abi.IORING_OP_WRITE_FIXED, Link | Whole | DataSync},
	OperationWritev:     {"writev", abi.IORING_OP_WRITEV, Link | DataSync},
	OperationSync:       {"fsync", abi.IORING_OP_FSYNC, Link},
	OperationSyncData:   {"fdatasync", abi.IORING_OP_FSYNC, Link},
	OperationTimeout:    {"timeout", abi.IORING_OP_TIMEOUT, 0},
	OperationCancel:     {"cancel", abi.IORING_OP_ASYNC_CANCEL, 0},
}

// String is the name of the system call that does the same.
func (o Operation) String() string {
	if int(o) < len(operationTraits) {
		return operationTraits[o].name
	}
	return fmt.Sprintf("operation %d", uint8(o))
}

// All methods below only queue: the kernel sees the operation at the next
// Submit or Wait. tag comes back in the Completion; it should be unique among
// the operations in flight, for Cancel finds them by it. ErrQueueFull,
// ErrInFlight and the errors of misuse mean that nothing was queued.

// Nop queues an operation that does nothing.
func (r *Ring) Nop(flags Flags, tag uint64) error {
	return r.queue(request{operation: OperationNop, file: File{descriptor: -1}, flags: flags, tag: tag})
}

// Read queues a read of up to len(buffer) bytes at a byte offset. Completion
// with 0 bytes means end of file.
func (r *Ring) Read(f File, buffer []byte, offset int64, flags Flags, tag uint64) error {
	return r.queue(request{operation: OperationRead, file: f, buffer: buffer, offset: offset,
		flags: flags, tag: tag})
}

// ReadFixed is Read into memory inside the registered buffer with this index.
func (r *Ring) ReadFixed(f File, index int, buffer []byte, offset int64, flags Flags, tag uint64) error {
	return r.queueFixed(request{operation: OperationReadFixed, file: f, buffer: buffer, offset: offset,
		flags: flags, tag: tag}, index)
}

// Write queues a write of buffer at a byte offset. Without Whole it may write
// fewer bytes than asked.
func (r *Ring) Write(f File, buffer []byte, offset int64, flags Flags, tag uint64) error {
	return r.queue(request{operation: OperationWrite, file: f, buffer: buffer, offset: offset,
		flags: flags, tag: tag})
}

// WriteFixed is Write from memory inside the registered buffer with this index.
func (r *Ring) WriteFixed(f File, index int, buffer []byte, offset int64, flags Flags, tag uint64) error {
	return r.queueFixed(request{operation: OperationWriteFixed, file: f, buffer: buffer, offset: offset,
		flags: flags, tag: tag}, index)
}

// Writev queues one write of up to VectorMax pieces, one behind the other. The
// slice of pieces itself may be reused at once, the pieces may not.
func (r *Ring) Writev(f File, pieces [][]byte, offset int64, flags Flags, tag uint64) error {
	left := TransferMaxBytes
	for _, piece := range pieces {
		if len(piece) > left {
			return ErrRange
		}
		left -= len(piece)
	}
	if len(pieces) > VectorMax {
		return ErrRange
	}
	q := request{operation: OperationWritev, file: f, offset: offset, flags: flags, tag: tag,
		parts: uint8(len(pieces))}
	index, err := r.admit(q)
	if err != nil {
		return err
	}
	s := &r.slots.all[index]
	for i, piece := range pieces {
		s.vector[i].Base = unsafe.SliceData(piece)
		s.vector[i].SetLen(len(piece))
	}
	r.emit(index)
	return nil
}

// Sync queues an fsync: data and all metadata of the file.
func (r *Ring) Sync(f File, flags Flags, tag uint64) error {
	return r.queue(request{operation: OperationSync, file: f, flags: flags, tag: tag})
}

// SyncData queues an fdatasync (IORING_FSYNC_DATASYNC): data, and the metadata
// needed to read it. It covers writes that had completed before.
func (r *Ring) SyncData(f File, flags Flags, tag uint64) error {
	return r.queue(request{operation: OperationSyncData, file: f, flags: flags, tag: tag})
}

// Timeout queues an operation that completes without error once after has
// passed, or with ECANCELED when it is canceled earlier.
func (r *Ring) Timeout(after time.Duration, tag uint64) error {
	if after < 0 {
		return ErrRange
	}
	index, err := r.admit(request{operation: OperationTimeout, file: File{descriptor: -1}, tag: tag})
	if err != nil {
		return err
	}
	r.slots.all[index].timeout = timespecOf(after)
	r.emit(index)
	return nil
}

// Cancel asks the kernel to cancel the operation in flight with tag target.
// Both complete: the target with ECANCELED, or as if nothing had happened; the
// cancellation, under its own tag, without error if it came in time, with
// ENOENT if the target had finished, with EALREADY if it was running. A write
// to a file that has begun isn't interrupted.
func (r *Ring) Cancel(target, tag uint64) error {
	index, found := r.slots.search(target)
	if !found {
		return ErrNotFound
	}
	return r.queue(request{operation: OperationCancel, file: File{descriptor: -1}, tag: tag,
		target: r.slots.data(index)})
}

// emit writes the submission entry of the operation in the slot. The entry
// covers what is left of it, if a part is done already.
func (r *Ring) emit(index uint32) {
	s := &r.slots.all[index]
	entry := r.nextEntry(index)
	opcode := operationTraits[s.operation].opcode
	rest := s.buffer[s.doneBytes:]
	address, offset := addressOf(unsafe.SliceData(rest)), uint64(s.offset)+uint64(s.doneBytes)
	switch s.operation {
	case OperationNop:
		entry.PrepOperation(opcode, -1, 0, 0, 0)
	case OperationReadFixed, OperationWriteFixed:
		if r.pinned {
			entry.SetBufIndex(s.index)
		} else {
			opcode = plainOpcode(s.operation)
		}
		entry.PrepOperation(opcode, s.file.descriptor, address, uint32(len(rest)), offset)
	case OperationRead, OperationWrite:
		entry.PrepOperation(opcode, s.file.descriptor, address, uint32(len(rest)), offset)
	case OperationWritev:
		entry.PrepOperation(opcode, s.file.descriptor, addressOf(&s.vector[0]), uint32(s.parts), offset)
	case OperationSync:
		entry.PrepOperation(opcode, s.file.descriptor, 0, 0, 0)
	case OperationSyncData:
		entry.PrepOperation(opcode, s.file.descriptor, 0, 0, 0)
		entry.SetOpFlags(abi.IORING_FSYNC_DATASYNC)
	case OperationTimeout:
		entry.PrepOperation(opcode, -1, addressOf(&s.timeout), 1, 0)
	case OperationCancel:
		entry.PrepOperation(opcode, -1, s.target, 0, 0)
	}
	if s.file.slot {
		entry.SetFdIndex(s.file.descriptor)
	}
	if s.flags&DataSync != 0 {
		entry.SetOpFlags(unix.RWF_DSYNC)
	}
	if s.flags&Link != 0 {
		entry.SetFlags(abi.IOSQE_FLAGS_IO_LINK)
	}
	entry.SetUserData(r.slots.data(index))
}

// plainOpcode does the work of a fixed operation on memory that isn't
// registered.
func plainOpcode(o Operation) uint8 {
	if o == OperationReadFixed {
		return abi.IORING_OP_READ
	}
	return abi.IORING_OP_WRITE
}

// addressOf is how the kernel is told a place in memory. The memory must be
// kept alive elsewhere.
func addressOf[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

func timespecOf(d time.Duration) kernelTimespec {
	return kernelTimespec{seconds: int64(d / time.Second), nanoseconds: int64(d % time.Second)}
}
