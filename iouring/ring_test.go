//go:build linux

package iouring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

const block = 4096

// openRing makes a ring owned by the test, and closes it at its end.
func openRing(t testing.TB, entries int, options Options) *Ring {
	t.Helper()
	return openRingOn(t, entries, options, realKernel())
}

func openRingOn(t testing.TB, entries int, options Options, k kernel) *Ring {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	r, err := newRing(entries, options, k)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	check(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// kernelAccepting is the real kernel, but as if it knew only these flags.
func kernelAccepting(known Flag) kernel {
	k := realKernel()
	setup := k.setup
	k.setup = func(entries uint32, p *abi.IOURingParams) (int, error) {
		if Flag(p.Flags)&^(known|Flag(abi.IORING_SETUP_CQSIZE)) != 0 {
			return 0, os.NewSyscallError("io_uring_setup", unix.EINVAL)
		}
		return setup(entries, p)
	}
	return k
}

func check(t testing.TB, err error) {
	if err != nil { // Helper is costly, and benchmarks come through here
		t.Helper()
		t.Fatal(err)
	}
}

// wantError fails unless err wraps want.
func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// collect waits for exactly count completions and returns them by tag.
func collect(t testing.TB, r *Ring, count int) map[uint64]Completion {
	t.Helper()
	byTag := make(map[uint64]Completion, count)
	into := make([]Completion, count)
	for len(byTag) < count {
		n, err := r.Wait(1, -1, into[:count-len(byTag)])
		check(t, err)
		for _, c := range into[:n] {
			if _, twice := byTag[c.Tag]; twice {
				t.Fatalf("tag %d completed twice", c.Tag)
			}
			byTag[c.Tag] = c
		}
	}
	return byTag
}

// succeed waits for one completion, which must be a success, and returns its bytes.
func succeed(t testing.TB, r *Ring) int {
	t.Helper()
	var into [1]Completion
	n, err := r.Wait(1, -1, into[:])
	check(t, err)
	if n != 1 {
		t.Fatalf("Wait returned %d completions, want 1", n)
	}
	check(t, into[0].Err)
	return into[0].Bytes
}

// newFile makes a file of this size in the test's directory.
func newFile(t testing.TB, sizeBytes int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	check(t, err)
	t.Cleanup(func() { _ = f.Close() })
	check(t, f.Truncate(int64(sizeBytes)))
	return f
}

// newDirectFile is newFile past the page cache, where the file system can.
func newDirectFile(t testing.TB, sizeBytes int) *os.File {
	t.Helper()
	path := newFile(t, sizeBytes).Name()
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	check(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func fileOf(t testing.TB, f *os.File) File {
	t.Helper()
	file, err := FileOf(f)
	check(t, err)
	return file
}

// newMemory maps memory outside the Go heap, page-aligned.
func newMemory(t testing.TB, sizeBytes int) []byte {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, sizeBytes, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	check(t, err)
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	return memory
}

// fill writes bytes that tell seeds and places apart.
func fill(buffer []byte, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	var word [8]byte
	for rest := buffer; len(rest) > 0; rest = rest[min(8, len(rest)):] {
		binary.NativeEndian.PutUint64(word[:], random.Uint64())
		copy(rest, word[:])
	}
}

func filled(sizeBytes int, seed uint64) []byte {
	buffer := make([]byte, sizeBytes)
	fill(buffer, seed)
	return buffer
}

// wantContents compares the whole file, read by other means than the ring.
func wantContents(t testing.TB, f *os.File, want []byte) {
	t.Helper()
	got, err := os.ReadFile(f.Name())
	check(t, err)
	if !bytes.Equal(got, want) {
		at := 0
		for at < len(got) && at < len(want) && got[at] == want[at] {
			at++
		}
		t.Fatalf("file has %d bytes, want %d; first difference at byte %d", len(got), len(want), at)
	}
}

func TestAnImpossibleSizeIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		entries int
		options Options
	}{
		{0, Options{}}, {-1, Options{}}, {EntriesMax + 1, Options{}},
		{8, Options{InFlight: 7}}, {8, Options{InFlight: 4*EntriesMax + 1}}, {8, Options{InFlight: -8}},
		{8, Options{ResumeBytes: 3}}, {8, Options{ResumeBytes: -4096}},
	} {
		_, err := New(c.entries, c.options)
		if !errors.Is(err, ErrRange) {
			t.Errorf("New(%d, %+v): error %v, want ErrRange", c.entries, c.options, err)
		}
	}
}

func TestARingWorksOnEveryRungOfTheLadder(t *testing.T) {
	t.Parallel()
	for _, flags := range ladder {
		t.Run(fmt.Sprintf("flags %q", flags), func(t *testing.T) {
			t.Parallel()
			r := openRingOn(t, 8, Options{}, kernelAccepting(flags))
			if got := r.Report().Flags; got != flags {
				t.Skipf("this kernel accepts only %q", got)
			}
			f := newFile(t, 0)
			data := filled(3*block, 1)
			check(t, r.Write(fileOf(t, f), data, 0, Link, 1))
			check(t, r.SyncData(fileOf(t, f), 0, 2))
			for tag, c := range collect(t, r, 2) {
				if c.Err != nil {
					t.Errorf("operation %d: %v", tag, c.Err)
				}
			}
			wantContents(t, f, data)
			check(t, r.Close())
		})
	}
}

func TestCallsFromAnotherThreadAreRefused(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	if r.flags&SingleIssuer == 0 {
		t.Skip("this kernel doesn't tie a ring to its thread")
	}
	check(t, r.Nop(0, 1))
	errs := make(chan error, 4)
	go func() {
		runtime.LockOSThread() // ours is locked too, so this is another one
		defer runtime.UnlockOSThread()
		_, err := r.Submit()
		errs <- err
		_, err = r.Wait(0, 0, make([]Completion, 1))
		errs <- err
		errs <- r.RegisterFiles(1)
		errs <- r.Close()
	}()
	for range cap(errs) {
		wantError(t, <-errs, ErrNotOwner)
	}
	if succeed(t, r) != 0 {
		t.Error("the owner's operation was disturbed")
	}
}

func TestOneFullQueueDoesNotLoseOperations(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{InFlight: 6})
	if r.Room() != 4 {
		t.Fatalf("Room of a new ring is %d, want 4", r.Room())
	}
	for tag := range uint64(4) {
		check(t, r.Nop(0, tag))
	}
	wantError(t, r.Nop(0, 99), ErrQueueFull)
	taken, err := r.Submit()
	check(t, err)
	if taken != 4 {
		t.Fatalf("Submit handed over %d, want 4", taken)
	}
	check(t, r.Nop(0, 4))
	check(t, r.Nop(0, 5))
	wantError(t, r.Nop(0, 99), ErrInFlight)
	if r.InFlight() != 6 || r.Room() != 0 {
		t.Fatalf("InFlight %d, Room %d; want 6, 0", r.InFlight(), r.Room())
	}
	done := collect(t, r, 6)
	for tag := range uint64(6) {
		if c, found := done[tag]; !found || c.Err != nil {
			t.Errorf("operation %d: found %v, error %v", tag, found, c.Err)
		}
	}
	if r.InFlight() != 0 || r.Room() != 4 {
		t.Errorf("InFlight %d, Room %d after all; want 0, 4", r.InFlight(), r.Room())
	}
}

func TestACompletionOfTheSameSlotsPastIsABug(t *testing.T) {
	t.Parallel()
	table := newSlotTable(2)
	index := table.take(request{})
	old := table.data(index)
	table.release(index)
	table.take(request{})
	defer func() {
		if recover() == nil {
			t.Error("user_data of an operation that had completed was accepted")
		}
	}()
	table.find(old)
}
