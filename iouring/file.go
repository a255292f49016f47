//go:build linux

package iouring

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
)

// FilesMax is the size of the largest file table.
const FilesMax = 1 << 15

// File is what an operation works on: an open file or a slot of the ring's file
// table. It is a small value, made once per file.
type File struct {
	descriptor int32 // or the number of the slot
	slot       bool
	keep       *os.File // stays open while an operation refers to it
}

// Descriptor is the file with this descriptor. The caller keeps it open until
// every operation on it has completed.
func Descriptor(descriptor int) File { return File{descriptor: int32(descriptor)} }

// FileOf is an open os.File. Operations in flight keep it from being closed by
// the garbage collector, not from being closed by Close.
func FileOf(f *os.File) (File, error) {
	connection, err := f.SyscallConn()
	if err != nil {
		return File{}, fmt.Errorf("iouring: use file: %w", err)
	}
	found := File{keep: f}
	if err := connection.Control(func(descriptor uintptr) { found.descriptor = int32(descriptor) }); err != nil {
		return File{}, fmt.Errorf("iouring: use file %s: %w", f.Name(), err)
	}
	return found, nil
}

// FileSlot is the file in a slot of the ring's file table.
func FileSlot(slot int) File { return File{descriptor: int32(slot), slot: true} }

// fileSlot is what the ring knows of one slot of the kernel's table.
type fileSlot struct {
	filled bool
	users  int32 // operations in flight
}

// filesUpdate is struct io_uring_rsrc_update. The module's own has a pointer
// where the kernel has 64 bits on every architecture.
type filesUpdate struct {
	offset      uint32
	_           uint32
	descriptors uint64 // address of an int32
}

// RegisterFiles makes a table of count empty slots, for UpdateFile to fill. The
// kernel then doesn't look up the descriptor at each operation. It can be done
// once in the life of a ring.
func (r *Ring) RegisterFiles(count int) error {
	if err := r.owned(); err != nil {
		return err
	}
	if r.files != nil {
		return ErrRegistered
	}
	if count < 1 || count > FilesMax {
		return ErrRange
	}
	table := make([]int32, count)
	for i := range table {
		table[i] = -1
	}
	err := r.kernel.register(r.descriptor, abi.IORING_REGISTER_FILES, unsafe.Pointer(&table[0]), uint32(count))
	if err != nil {
		return callError(fmt.Sprintf("register a table of %d files", count), err)
	}
	r.files = make([]fileSlot, count)
	return nil
}

// UpdateFile puts f, which must not be a slot itself, into a slot, in place of
// what was there. ErrFileInUse: operations on the slot are queued or in flight;
// they would find the new file. The table holds the file open on its own: f may
// be closed, and the space of a removed file is freed only after ClearFile.
func (r *Ring) UpdateFile(slot int, f File) error {
	if f.slot || f.descriptor < 0 {
		return ErrRange
	}
	err := r.updateFile(slot, f.descriptor)
	runtime.KeepAlive(f.keep)
	return err
}

// ClearFile empties a slot. ErrFileInUse as in UpdateFile.
func (r *Ring) ClearFile(slot int) error { return r.updateFile(slot, -1) }

func (r *Ring) updateFile(slot int, descriptor int32) error {
	if err := r.owned(); err != nil {
		return err
	}
	if slot < 0 || slot >= len(r.files) {
		return ErrFileSlot
	}
	if r.files[slot].users > 0 {
		return ErrFileInUse
	}
	r.fileDescriptor = descriptor
	update := &filesUpdate{offset: uint32(slot), descriptors: addressOf(&r.fileDescriptor)}
	err := r.kernel.register(r.descriptor, abi.IORING_REGISTER_FILES_UPDATE, unsafe.Pointer(update), 1)
	if err != nil {
		return callError(fmt.Sprintf("put descriptor %d into file slot %d", descriptor, slot), err)
	}
	r.files[slot].filled = descriptor >= 0
	return nil
}

// useFile notes an operation on a slot of the table.
func (r *Ring) useFile(f File) error {
	if f.descriptor < 0 || int(f.descriptor) >= len(r.files) || !r.files[f.descriptor].filled {
		return ErrFileSlot
	}
	r.files[f.descriptor].users++
	return nil
}

// unregisterFiles lets go of the files in the table now, not some time after
// Close.
func (r *Ring) unregisterFiles() error {
	if r.files == nil {
		return nil
	}
	if err := r.kernel.register(r.descriptor, abi.IORING_UNREGISTER_FILES, nil, 0); err != nil {
		return callError("unregister files", err)
	}
	r.files = nil
	return nil
}
