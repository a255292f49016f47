//go:build linux

package iouring

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

func TestARingOwnedByAGoroutineIsUsedFromManyThreads(t *testing.T) {
	t.Parallel()
	r, err := New(4, Options{Owner: OwnerGoroutine, ResumeBytes: block})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	check(t, err)
	if tied := r.flags & (SingleIssuer | DeferTaskRun | CooperativeTaskRun); tied != 0 {
		t.Errorf("the ring is tied to its thread by %v", tied)
	}
	memory := newMemory(t, 8*block)
	data := newMemory(t, 8*block)
	for i := range data {
		data[i] = byte(i / block)
	}
	copy(memory, data)
	f := newDirectFile(t, len(memory))
	// Each step is on a thread of its own: half an operation here, half there.
	onAnotherThread(func() { check(t, r.RegisterBuffers([][]byte{memory})) })
	for i := range 8 {
		onAnotherThread(func() {
			check(t, r.WriteFixed(fileOf(t, f), 0, memory[i*block:(i+1)*block], int64(i*block), Whole, uint64(i)))
			_, err := r.Submit()
			check(t, err)
		})
		onAnotherThread(func() {
			var done [1]Completion
			n, err := r.Wait(1, time.Minute, done[:])
			check(t, err)
			if n != 1 || done[0].Err != nil || done[0].Tag != uint64(i) {
				t.Errorf("write %d: %d completions, %+v", i, n, done[0])
			}
		})
	}
	wantContents(t, f, data)
	onAnotherThread(func() { check(t, r.Close()) })
}

// onAnotherThread runs a function on a thread that the caller isn't on.
func onAnotherThread(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		f()
	}()
	<-done
}
