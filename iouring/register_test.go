//go:build linux

package iouring

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

func TestRegisteredBuffersCarryReadsAndWrites(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	first, second := newMemory(t, 4*block), newMemory(t, 4*block)
	check(t, r.RegisterBuffers([][]byte{first, second}))
	wantError(t, r.RegisterBuffers([][]byte{first}), ErrRegistered)
	if note := r.Report().Buffers; note != "" {
		t.Skip(note)
	}
	wantFixedTransfers(t, r, first, second)
}

// wantFixedTransfers writes from the first registered buffer and reads into the
// second.
func wantFixedTransfers(t *testing.T, r *Ring, first, second []byte) {
	t.Helper()
	f := newDirectFile(t, 4*block)
	file := fileOf(t, f)
	fill(first, 10)
	check(t, r.WriteFixed(file, 0, first[block:3*block], block, Whole, 1))
	if n := succeed(t, r); n != 2*block {
		t.Fatalf("wrote %d bytes, want %d", n, 2*block)
	}
	check(t, r.SyncData(file, 0, 2))
	succeed(t, r)
	check(t, r.ReadFixed(file, 1, second[:2*block], block, 0, 3))
	if n := succeed(t, r); n != 2*block || !bytes.Equal(second[:2*block], first[block:3*block]) {
		t.Fatalf("read %d bytes that differ from those written", n)
	}
	want := make([]byte, 4*block)
	copy(want[block:], first[block:3*block])
	wantContents(t, f, want)
}

func TestMemoryOutsideItsRegisteredBufferIsRefused(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	memory := newMemory(t, 4*block)
	check(t, r.RegisterBuffers([][]byte{memory[block : 2*block], memory[2*block : 3*block]}))
	file := fileOf(t, newFile(t, 0))
	for _, c := range []struct {
		what   string
		index  int
		buffer []byte
		want   error
	}{
		{"the buffer itself", 0, memory[block : 2*block], nil},
		{"a byte too far", 0, memory[block+1 : 2*block+1], ErrBuffer},
		{"a byte too early", 0, memory[block-1 : block+1], ErrBuffer},
		{"the neighbor", 0, memory[2*block : 3*block], ErrBuffer},
		{"far behind", 0, memory[3*block:], ErrBuffer},
		{"memory of the heap", 1, make([]byte, 8), ErrBuffer},
		{"index too high", 2, memory[block : 2*block], ErrBuffer},
		{"negative index", -1, memory[block : 2*block], ErrBuffer},
	} {
		if err := r.WriteFixed(file, c.index, c.buffer, 0, 0, 1); err != c.want {
			t.Errorf("%s: error %v, want %v", c.what, err, c.want)
		}
	}
}

func TestImpossibleBuffersAreRefused(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	wantError(t, r.RegisterBuffers(nil), ErrRange)
	wantError(t, r.RegisterBuffers(make([][]byte, BuffersMax+1)), ErrRange)
	wantError(t, r.RegisterBuffers([][]byte{{}}), ErrRange)
	wantError(t, r.RegisterFiles(0), ErrRange)
	wantError(t, r.RegisterFiles(FilesMax+1), ErrRange)
}

func TestAMemlockLimitDegradesFixedOperationsToPlainOnes(t *testing.T) {
	t.Parallel()
	k := realKernel()
	register := k.register
	k.register = func(descriptor int, opcode uint8, argument unsafe.Pointer, count uint32) error {
		if opcode == abi.IORING_REGISTER_BUFFERS {
			return os.NewSyscallError("io_uring_register", unix.ENOMEM)
		}
		return register(descriptor, opcode, argument, count)
	}
	k.facts = func() facts { return facts{memlockBytes: 8 << 20} }
	r := openRingOn(t, 8, Options{}, k)
	first, second := newMemory(t, 4*block), newMemory(t, 4*block)
	check(t, r.RegisterBuffers([][]byte{first, second}))
	if text := r.Report().String(); !strings.Contains(text, "RLIMIT_MEMLOCK is 8192 KiB") {
		t.Errorf("the report doesn't name the limit: %s", text)
	}
	wantFixedTransfers(t, r, first, second)
	check(t, r.Close())
}

func TestTheRealMemlockLimitDegradesToo(t *testing.T) {
	t.Parallel()
	// Capabilities belong to threads: this one loses CAP_IPC_LOCK and ends with
	// the goroutine, which never unlocks it.
	type result struct {
		note string
		err  error
	}
	limit := readFacts().memlockBytes
	if limit > 64<<20 {
		t.Skipf("RLIMIT_MEMLOCK is %d KiB: too much to exceed", limit>>10)
	}
	memory := newMemory(t, int(limit)+1<<20)
	file := fileOf(t, newFile(t, 0))
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		var out result
		defer func() { done <- out }()
		if out.err = dropLockCapability(); out.err != nil {
			return
		}
		r, err := New(4, Options{})
		if err != nil {
			out.err = err
			return
		}
		if out.err = r.RegisterBuffers([][]byte{memory}); out.err == nil {
			out.err = r.WriteFixed(file, 0, memory[:block], 0, 0, 1)
		}
		if out.err == nil {
			var into [1]Completion
			_, out.err = r.Wait(1, -1, into[:])
			if out.err == nil {
				out.err = into[0].Err
			}
		}
		out.note = r.Report().Buffers
		if err := r.Close(); out.err == nil {
			out.err = err
		}
	}()
	out := <-done
	check(t, out.err)
	if !strings.Contains(out.note, "RLIMIT_MEMLOCK") {
		t.Errorf("%d KiB were registered in spite of a limit of %d KiB (note %q)",
			len(memory)>>10, limit>>10, out.note)
	}
}

func dropLockCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	return unix.Capset(&header, &data[0])
}

func TestFileSlotsHoldTheFilePutIntoThem(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	check(t, r.RegisterFiles(3))
	wantError(t, r.RegisterFiles(3), ErrRegistered)
	one, two := newFile(t, 0), newFile(t, 0)
	check(t, r.UpdateFile(0, fileOf(t, one)))
	check(t, r.UpdateFile(2, fileOf(t, two)))
	check(t, one.Close()) // the table keeps it open
	ofOne, ofTwo := filled(50, 11), filled(70, 12)
	check(t, r.Write(FileSlot(0), ofOne, 0, Link, 1))
	check(t, r.SyncData(FileSlot(0), 0, 2))
	check(t, r.Write(FileSlot(2), ofTwo, 0, 0, 3))
	for _, c := range collect(t, r, 3) {
		check(t, c.Err)
	}
	wantContents(t, one, ofOne)
	wantContents(t, two, ofTwo)
	wantError(t, r.Write(FileSlot(1), ofOne, 0, 0, 4), ErrFileSlot)
	wantError(t, r.Write(FileSlot(-1), ofOne, 0, 0, 4), ErrFileSlot)
	wantError(t, r.UpdateFile(3, fileOf(t, two)), ErrFileSlot)
	wantError(t, r.UpdateFile(1, FileSlot(0)), ErrRange)
	wantError(t, r.UpdateFile(1, Descriptor(1<<30)), unix.EBADF)
	wantError(t, r.Write(FileSlot(1), ofOne, 0, 0, 4), ErrFileSlot)
}

func TestASlotIsNotRefilledUnderOperationsInFlight(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	check(t, r.RegisterFiles(1))
	old, fresh := newFile(t, 0), newFile(t, 0)
	check(t, r.UpdateFile(0, fileOf(t, old)))
	data := filled(50, 13)
	check(t, r.Write(FileSlot(0), data, 0, 0, 1))
	wantError(t, r.UpdateFile(0, fileOf(t, fresh)), ErrFileInUse)
	wantError(t, r.ClearFile(0), ErrFileInUse)
	succeed(t, r)
	check(t, r.UpdateFile(0, fileOf(t, fresh)))
	check(t, r.Write(FileSlot(0), data[:20], 0, 0, 2))
	succeed(t, r)
	wantContents(t, old, data)
	wantContents(t, fresh, data[:20])
	check(t, r.ClearFile(0))
	wantError(t, r.Write(FileSlot(0), data, 0, 0, 3), ErrFileSlot)
}
