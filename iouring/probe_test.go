//go:build linux

package iouring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

func TestProbeReportsOrExplains(t *testing.T) {
	t.Parallel()
	report, err := Probe(OwnerThread)
	if err != nil {
		wantError(t, err, ErrUnavailable)
		t.Skip(err)
	}
	if report.Features&featuresNeeded != featuresNeeded || report.Kernel == "" {
		t.Errorf("report %+v", report)
	}
	t.Log(report, "| features:", report.Features)
}

func TestARefusalIsExplainedInOneSentence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		errno unix.Errno
		facts facts
		want  string
	}{
		{unix.ENOSYS, facts{disabled: -1}, "the kernel was built without it or is older than Linux 5.1"},
		{unix.ENOSYS, facts{filtered: true}, "a seccomp filter hides it"},
		{unix.EPERM, facts{disabled: 2, filtered: true}, "kernel.io_uring_disabled is 2"},
		{unix.EPERM, facts{disabled: 1}, "kernel.io_uring_disabled is 1"},
		{unix.EPERM, facts{filtered: true}, "a seccomp filter forbids it"},
		{unix.EPERM, facts{disabled: -1}, "security module"},
		{unix.EACCES, facts{}, "security module"},
		{unix.ENOMEM, facts{memlockBytes: 64 << 10}, "RLIMIT_MEMLOCK is 64 KiB"},
		{unix.ENOMEM, facts{memlockBytes: memlockUnlimited}, "memory itself is short"},
		{unix.EMFILE, facts{}, "RLIMIT_NOFILE"},
		{unix.EFAULT, facts{}, "the kernel refuses it"},
	} {
		k := realKernel()
		k.setup = func(uint32, *abi.IOURingParams) (int, error) {
			return -1, os.NewSyscallError("io_uring_setup", c.errno)
		}
		k.facts = func() facts { return c.facts }
		_, err := probe(OwnerThread, k)
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v with %+v: %v, want %q", c.errno, c.facts, err, c.want)
		}
	}
}

func TestAnOldKernelIsExplained(t *testing.T) {
	t.Parallel()
	real := realKernel()
	for want, change := range map[string]func(*kernel){
		"lacks EXT_ARG": func(k *kernel) {
			k.setup = func(entries uint32, p *abi.IOURingParams) (int, error) {
				descriptor, err := real.setup(entries, p)
				p.Features &^= uint32(EnterArgument)
				return descriptor, err
			}
		},
		"refuses even the plainest ring": func(k *kernel) {
			k.setup = func(uint32, *abi.IOURingParams) (int, error) {
				return -1, os.NewSyscallError("io_uring_setup", unix.EINVAL)
			}
		},
		fmt.Sprintf("lacks operation %d", abi.IORING_OP_ASYNC_CANCEL): func(k *kernel) {
			k.register = func(descriptor int, opcode uint8, argument unsafe.Pointer, count uint32) error {
				err := real.register(descriptor, opcode, argument, count)
				(*operationProbe)(argument).operations[abi.IORING_OP_ASYNC_CANCEL].flags = 0
				return err
			}
		},
		"completes nothing": func(k *kernel) {
			k.enter = func(int, uint32, uint32, uint32, *waitArgument) (int, error) { return 0, errTime }
		},
	} {
		if _, err := Probe(OwnerGoroutine); err != nil {
			t.Skip(err)
		}
		k := realKernel()
		change(&k)
		_, err := probe(OwnerThread, k)
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// forbid installs a seccomp filter for the calling thread, for good: the system
// call fails with EPERM.
func forbid(number uint32) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
}

func TestASeccompFilterIsNamed(t *testing.T) {
	t.Parallel()
	if _, err := Probe(OwnerGoroutine); err != nil {
		t.Skip(err)
	}
	for _, number := range []uint32{abi.SYS_IO_URING_SETUP, abi.SYS_IO_URING_ENTER, abi.SYS_IO_URING_REGISTER} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			if err := forbid(number); err != nil {
				done <- nil
				return
			}
			_, err := Probe(OwnerThread)
			done <- err
		}()
		err := <-done
		if err == nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "seccomp filter forbids") {
			t.Errorf("call %d forbidden: error %v", number, err)
		}
	}
}
