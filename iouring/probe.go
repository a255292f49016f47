//go:build linux

package iouring

import (
	"errors"
	"runtime"
	"time"
)

// probeLimit is how long Probe waits for an operation that takes a microsecond.
const probeLimit = 5 * time.Second

var errSilent = errors.New("it completes nothing")

// Probe makes a small ring for such an owner, uses it once and closes it again.
// The report says what is available. An error that wraps ErrUnavailable says why io_uring can't
// be used, in one sentence.
func Probe(owner Owner) (Report, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return probe(owner, realKernel())
}

func probe(owner Owner, k kernel) (Report, error) {
	ring, err := newRing(1, Options{Owner: owner}, k)
	if err != nil {
		return Report{Kernel: kernelRelease()}, err
	}
	report := ring.Report()
	if err := ring.tryOut(); err != nil {
		// Close would wait for what doesn't come. The kernel has no memory of
		// ours but the ring itself.
		return report, refused(errors.Join(err, ring.wake.close(), ring.release()), k.facts())
	}
	return report, ring.Close()
}

// tryOut sends one operation through the kernel.
func (r *Ring) tryOut() error {
	if err := r.Nop(0, 0); err != nil {
		return err
	}
	var done [1]Completion
	count, err := r.Wait(1, probeLimit, done[:])
	switch {
	case err != nil:
		return err
	case count == 0:
		return errSilent
	default:
		return done[0].Err
	}
}
