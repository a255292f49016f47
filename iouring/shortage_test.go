//go:build linux

package iouring

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// kernelRefusing is the real kernel, but enter fails with errno as often as
// told when it is to hand something over.
func kernelRefusing(errno unix.Errno, times int) kernel {
	k := realKernel()
	k.enter = func(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error) {
		if submit > 0 && times > 0 {
			times--
			return 0, os.NewSyscallError("io_uring_enter", errno)
		}
		return enter(descriptor, submit, complete, flags, argument)
	}
	return k
}

func TestAShortageIsReportedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			r := openRingOn(t, 4, Options{}, kernelRefusing(errno, 2))
			f := newFile(t, 0)
			data := filled(100, 8)
			check(t, r.Write(fileOf(t, f), data, 0, 0, 1))
			taken, err := r.Submit()
			wantError(t, err, ErrBusy)
			if taken != 0 {
				t.Errorf("Submit handed over %d", taken)
			}
			_, err = r.Wait(1, -1, make([]Completion, 1))
			wantError(t, err, ErrBusy) // nothing in flight: waiting would never end
			if succeed(t, r) != len(data) {
				t.Error("the write came out short")
			}
			wantContents(t, f, data)
		})
	}
}

func TestAShortageEndsWithTheCompletionsInFlight(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			r := openRing(t, 4, Options{})
			check(t, r.Timeout(5*time.Millisecond, 1))
			_, err := r.Submit()
			check(t, err)
			r.kernel = kernelRefusing(errno, 2)
			check(t, r.Nop(0, 2))
			check(t, r.Nop(0, 3))
			for _, c := range collect(t, r, 3) {
				check(t, c.Err)
			}
		})
	}
}

func TestCompletionsThatFindNoRoomAreNotLost(t *testing.T) {
	t.Parallel()
	const operations = 200
	for _, flags := range []Flag{ladder[0], 0} {
		t.Run(flags.String(), func(t *testing.T) {
			t.Parallel()
			k := kernelAccepting(flags)
			setup := k.setup
			var flagsOffset uint32
			k.setup = func(entries uint32, p *abi.IOURingParams) (int, error) {
				p.CQEntries = 8 // of the 200 asked for
				descriptor, err := setup(entries, p)
				flagsOffset = p.SQOffset.Flags
				return descriptor, err
			}
			r := openRingOn(t, 7, Options{InFlight: operations}, k)
			overflowed := false
			for tag := range uint64(operations) {
				check(t, r.Nop(0, tag))
				_, err := r.Submit()
				check(t, err)
				word := (*uint32)(unsafe.Pointer(&r.queueMemory[flagsOffset]))
				overflowed = overflowed || atomic.LoadUint32(word)&abi.IORING_SQ_CQ_OVERFLOW != 0
			}
			if !overflowed {
				t.Error("the completion queue didn't overflow: the test proves nothing")
			}
			for _, c := range collect(t, r, operations) {
				check(t, c.Err)
			}
		})
	}
}

func TestARingThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	r.kernel = kernelRefusing(unix.EBADF, 2)
	check(t, r.Nop(0, 1))
	_, err := r.Submit()
	wantError(t, err, unix.EBADF)
	_, err = r.Wait(1, -1, make([]Completion, 1))
	wantError(t, err, unix.EBADF)
	wantError(t, callError("wait", unix.EBADR), unix.EBADR)
}
