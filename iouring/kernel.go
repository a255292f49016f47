//go:build linux

package iouring

import (
	"os"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// Kernel constants that the iouring-go module doesn't have.
const (
	enterExtendedArgument uint32 = 1 << 3 // IORING_ENTER_EXT_ARG

	registerProbe  = abi.IORING_REGISTER_PROBE
	probeSupported = 1 << 0 // IO_URING_OP_SUPPORTED
)

// kernel is the seam to the three system calls, where tests put refusals,
// interruptions and shortages.
type kernel struct {
	setup    func(entries uint32, parameters *abi.IOURingParams) (descriptor int, err error)
	enter    func(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error)
	register func(descriptor int, opcode uint8, argument unsafe.Pointer, count uint32) error
	facts    func() facts
}

// realKernel makes the system calls.
func realKernel() kernel {
	return kernel{
		setup: func(entries uint32, parameters *abi.IOURingParams) (int, error) {
			return abi.IOURingSetup(uint(entries), parameters)
		},
		enter:    enter,
		register: abi.IOURingRegister,
		facts:    readFacts,
	}
}

// kernelTimespec is struct __kernel_timespec: 64-bit on every architecture.
type kernelTimespec struct {
	seconds     int64
	nanoseconds int64
}

// waitArgument is struct io_uring_getevents_arg: a time limit for a wait.
type waitArgument struct {
	signalMask      uint64
	signalMaskBytes uint32
	_               uint32
	timespec        uint64 // address of a kernelTimespec
}

// enter hands over submit entries and, with IORING_ENTER_GETEVENTS, waits for
// complete completions. A nil argument means no time limit. The module's own
// call has no room for the argument.
func enter(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error) {
	if argument == nil {
		return abi.IOURingEnter(descriptor, submit, complete, flags, nil)
	}
	count, _, errno := unix.Syscall6(abi.SYS_IO_URING_ENTER, uintptr(descriptor), uintptr(submit),
		uintptr(complete), uintptr(flags|enterExtendedArgument),
		uintptr(unsafe.Pointer(argument)), unsafe.Sizeof(*argument))
	switch errno {
	case 0:
		return int(count), nil
	case unix.ETIME:
		return 0, errTime // the common one: without an allocation
	default:
		return 0, os.NewSyscallError("io_uring_enter", errno)
	}
}

var errTime error = os.NewSyscallError("io_uring_enter", unix.ETIME)

// operationProbe is struct io_uring_probe with room for the operations of
// every kernel so far.
type operationProbe struct {
	last       uint8
	count      uint8
	_          [14]byte
	operations [probeOperations]struct {
		opcode uint8
		_      uint8
		flags  uint16
		_      uint32
	}
}

const probeOperations = 128

// supports tells whether the kernel can do opcode.
func (p *operationProbe) supports(opcode uint8) bool {
	return opcode <= p.last && opcode < p.count && p.operations[opcode].flags&probeSupported != 0
}
