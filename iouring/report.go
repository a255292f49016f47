package iouring

import (
	"errors"
	"strings"
)

// ErrUnavailable marks errors of Probe and New that mean: this process cannot
// use io_uring here. The error's text says why; plain system calls do the same
// work.
var ErrUnavailable = errors.New("io_uring is unavailable")

// unavailable is an ErrUnavailable with its reason and the kernel's answer.
type unavailable struct {
	reason string
	cause  error
}

func (u *unavailable) Error() string { return ErrUnavailable.Error() + ": " + u.reason }

func (u *unavailable) Unwrap() []error { return []error{ErrUnavailable, u.cause} }

// Owner says who calls the methods of a ring.
type Owner uint8

const (
	// OwnerThread: one goroutine that is locked to its thread. Completions cost
	// the least.
	OwnerThread Owner = iota
	// OwnerGoroutine: one goroutine at a time, on whatever thread it runs. The
	// scheduler moves it without a switch of threads, which at low depth is worth
	// more than what completions cost.
	OwnerGoroutine
)

// Flag is one set-up flag of a ring, by its kernel bit.
type Flag uint32

// Set-up flags that New asks for.
const (
	// SubmitAll: one bad entry doesn't stop the entries behind it (Linux 5.18).
	SubmitAll Flag = 1 << 7
	// CooperativeTaskRun: completions don't interrupt the owner (Linux 5.19).
	// Used where DeferTaskRun is refused.
	CooperativeTaskRun Flag = 1 << 8
	// SingleIssuer: only the owner's thread submits (Linux 6.0).
	SingleIssuer Flag = 1 << 12
	// DeferTaskRun: completions are worked off inside Wait (Linux 6.1).
	DeferTaskRun Flag = 1 << 13
)

// Feature is one bit of what the kernel says about its io_uring.
type Feature uint32

// Features by their kernel bits. New needs the first four.
const (
	// SingleMap: both queues are in one mapping (Linux 5.4).
	SingleMap Feature = 1 << 0
	// NoDrop: completions that find no room are kept, not lost (Linux 5.5).
	NoDrop Feature = 1 << 1
	// SubmitStable: arguments are read during submission (Linux 5.5).
	SubmitStable Feature = 1 << 2
	// EnterArgument: a wait may have a time limit (Linux 5.11).
	EnterArgument Feature = 1 << 8
	// NativeWorkers: kernel threads act as the process's own (Linux 5.12).
	NativeWorkers Feature = 1 << 9
	// LinkedFile: a linked operation finds its file when it starts (Linux 5.18).
	LinkedFile Feature = 1 << 12
)

// name is a bit and what people call it.
type name struct {
	bit  uint32
	text string
}

var flagNames = []name{
	{uint32(SingleIssuer), "SINGLE_ISSUER"},
	{uint32(DeferTaskRun), "DEFER_TASKRUN"},
	{uint32(CooperativeTaskRun), "COOP_TASKRUN"},
	{uint32(SubmitAll), "SUBMIT_ALL"},
}

var featureNames = []name{
	{uint32(SingleMap), "SINGLE_MMAP"},
	{uint32(NoDrop), "NODROP"},
	{uint32(SubmitStable), "SUBMIT_STABLE"},
	{uint32(EnterArgument), "EXT_ARG"},
	{uint32(NativeWorkers), "NATIVE_WORKERS"},
	{uint32(LinkedFile), "LINKED_FILE"},
}

// namesOf lists the known bits of set, in the order of names.
func namesOf(set uint32, names []name) string {
	var found []string
	for _, n := range names {
		if set&n.bit != 0 {
			found = append(found, n.text)
		}
	}
	return strings.Join(found, ", ")
}

// String lists the flags in the kernel's names, "" for none.
func (f Flag) String() string { return namesOf(uint32(f), flagNames) }

// String lists the features that this package knows, in the kernel's names.
func (f Feature) String() string { return namesOf(uint32(f), featureNames) }

// Report says what a ring on this machine can do.
type Report struct {
	// Kernel is the release as uname tells it.
	Kernel string
	// Owner says what the ring is tied to.
	Owner Owner
	// Flags are the set-up flags the kernel accepted.
	Flags Flag
	// Features are the feature bits the kernel announced, unknown ones too.
	Features Feature
	// Buffers says why registered buffers are not in use; "" when they are, or
	// when none were asked for.
	Buffers string
}

// wanted are the flags of a ring on a kernel that has them all.
func (o Owner) wanted() Flag {
	if o == OwnerGoroutine {
		return SubmitAll
	}
	return SingleIssuer | DeferTaskRun | SubmitAll
}

// String is one line for a log: what is in use, and what is not and why.
func (r Report) String() string {
	var text strings.Builder
	text.WriteString("io_uring of Linux " + r.Kernel)
	if r.Flags != 0 {
		text.WriteString(" with " + r.Flags.String())
	}
	if missing := r.Owner.wanted() &^ r.Flags; missing != 0 {
		text.WriteString(", without " + missing.String() + " (refused by the kernel)")
	}
	if r.Buffers != "" {
		text.WriteString(", without registered buffers (" + r.Buffers + ")")
	}
	return text.String()
}
