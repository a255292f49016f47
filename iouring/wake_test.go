//go:build linux

package iouring

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// countWaits counts how often the owner enters the kernel to wait, and how often
// a signal gets it out.
func countWaits(r *Ring, waits *atomic.Int64, interrupted *atomic.Int64) {
	k := r.kernel
	r.kernel.enter = func(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error) {
		if complete > 0 {
			waits.Add(1)
		}
		n, err := k.enter(descriptor, submit, complete, flags, argument)
		if errors.Is(err, unix.EINTR) {
			interrupted.Add(1)
		}
		return n, err
	}
}

func TestWakeEndsAWaitThatNothingElseWouldEnd(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	var waits, interrupted atomic.Int64
	countWaits(r, &waits, &interrupted)
	into := make([]Completion, 4)
	for round := range int64(50) {
		go func() {
			for waits.Load() <= round { // mostly, the owner is in the kernel by now
				runtime.Gosched()
			}
			r.Wake()
		}()
		n, err := r.Wait(3, -1, into)
		check(t, err)
		if n != 0 {
			t.Fatalf("woken with %d completions", n)
		}
	}
}

func TestAWakeBeforeTheWaitIsNotLost(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	check(t, r.Timeout(time.Hour, 1))
	into := make([]Completion, 1)
	for range 3 {
		r.Wake()
		r.Wake()
		n, err := r.Wait(1, -1, into)
		check(t, err)
		if n != 0 {
			t.Fatalf("woken with %d completions", n)
		}
	}
	start := time.Now()
	_, err := r.Wait(1, 10*time.Millisecond, into)
	check(t, err)
	if passed := time.Since(start); passed < 10*time.Millisecond {
		t.Errorf("Wait returned after %v though all wakes were used up", passed)
	}
}

func TestWhatWasHandedOverBeforeAWakeIsSeenAfterTheWait(t *testing.T) {
	t.Parallel()
	const producers, each = 4, 2000
	r := openRing(t, 8, Options{})
	var inbox atomic.Int64
	var work sync.WaitGroup
	for range producers {
		work.Go(func() {
			for range each {
				inbox.Add(1)
				r.Wake()
			}
		})
	}
	into := make([]Completion, 8)
	for seen := int64(0); seen < producers*each; {
		if r.Room() > 0 {
			check(t, r.Nop(0, 0)) // completions and wakes mixed
		}
		_, err := r.Wait(2, -1, into) // blocks for good if a wake is lost
		check(t, err)
		seen += inbox.Swap(0)
	}
	work.Wait()
}

func TestWakeIsHarmlessDuringAndAfterClose(t *testing.T) {
	t.Parallel()
	for range 20 {
		r := openRing(t, 4, Options{})
		var stop atomic.Bool
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() {
				for !stop.Load() {
					r.Wake()
				}
			})
		}
		into := make([]Completion, 1)
		for range 20 {
			_, err := r.Wait(1, -1, into)
			check(t, err)
		}
		check(t, r.Close())
		stop.Store(true)
		work.Wait()
		r.Wake()
		_, err := r.Wait(1, -1, into)
		wantError(t, err, ErrClosed)
	}
}

func TestSignalsDoNotEndAWait(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	var waits, interrupted atomic.Int64
	countWaits(r, &waits, &interrupted)
	const signals = 5
	var woken atomic.Bool
	go func() {
		for interrupted.Load() < signals {
			// What Go's scheduler sends to threads that run too long.
			_ = unix.Tgkill(os.Getpid(), r.thread, unix.SIGURG)
			runtime.Gosched()
		}
		woken.Store(true)
		r.Wake()
	}()
	n, err := r.Wait(1, -1, make([]Completion, 1))
	check(t, err)
	if n != 0 || !woken.Load() {
		t.Errorf("Wait returned %d completions after %d interruptions, woken %v",
			n, interrupted.Load(), woken.Load())
	}
}
