//go:build linux

package iouring

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// facts are what the system says about itself, read when something was refused.
type facts struct {
	// disabled is the sysctl kernel.io_uring_disabled: 0, 1, 2, or -1 if it
	// doesn't exist.
	disabled int
	// filtered: a seccomp filter is active for this thread.
	filtered bool
	// memlockBytes is the soft limit RLIMIT_MEMLOCK; memlockUnlimited for none.
	memlockBytes uint64
}

const memlockUnlimited = ^uint64(0)

// readFacts reads them from /proc. What can't be read counts as not there.
func readFacts() facts {
	found := facts{disabled: -1, memlockBytes: memlockUnlimited}
	if text, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled"); err == nil {
		if level, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			found.disabled = level
		}
	}
	if text, err := os.ReadFile("/proc/thread-self/status"); err == nil {
		found.filtered = strings.Contains(string(text), "\nSeccomp:\t2")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil {
		found.memlockBytes = limit.Cur
	}
	return found
}

// refused turns the refusal of a set-up call into an ErrUnavailable that says
// why in one sentence.
func refused(err error, found facts) error {
	return &unavailable{reason: reasonOf(err, found), cause: err}
}

func reasonOf(err error, found facts) string {
	switch {
	case errors.Is(err, unix.ENOSYS) && found.filtered:
		return "a seccomp filter hides it: allow io_uring_setup, io_uring_enter and io_uring_register"
	case errors.Is(err, unix.ENOSYS):
		return "the kernel was built without it or is older than Linux 5.1"
	case (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) && found.disabled == 2:
		return "the sysctl kernel.io_uring_disabled is 2: nobody may use it"
	case errors.Is(err, unix.EPERM) && found.filtered:
		return "a seccomp filter forbids it: allow io_uring_setup, io_uring_enter and io_uring_register"
	case errors.Is(err, unix.EPERM) && found.disabled == 1:
		return "the sysctl kernel.io_uring_disabled is 1: " +
			"only root and the group kernel.io_uring_group may use it"
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return "the kernel forbids it, by a security module or a container's profile"
	case errors.Is(err, unix.ENOMEM):
		return "not enough memory for the ring: " + describeMemlock(found)
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		return "no file descriptor is free: raise RLIMIT_NOFILE"
	default:
		return "the kernel refuses it: " + err.Error()
	}
}

// describeMemlock says what the limit on locked memory is.
func describeMemlock(found facts) string {
	if found.memlockBytes == memlockUnlimited {
		return "RLIMIT_MEMLOCK is unlimited, so memory itself is short"
	}
	return fmt.Sprintf("RLIMIT_MEMLOCK is %d KiB: raise it or grant CAP_IPC_LOCK", found.memlockBytes>>10)
}

// kernelRelease is the release of the running kernel as uname tells it.
func kernelRelease() string {
	var names unix.Utsname
	if err := unix.Uname(&names); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(names.Release[:])
}
