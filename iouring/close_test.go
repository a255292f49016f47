//go:build linux

package iouring

import (
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCloseCompletesWhatIsQueuedAndInFlight(t *testing.T) {
	t.Parallel()
	r := openRing(t, 16, Options{})
	f := newDirectFile(t, 16*block)
	data := newMemory(t, 16*block)
	fill(data, 9)
	for i := range 16 {
		check(t, r.Write(fileOf(t, f), data[i*block:(i+1)*block], int64(i)*block, Whole, uint64(i)))
		if i == 7 {
			_, err := r.Submit()
			check(t, err)
		}
	}
	check(t, r.Close())
	wantContents(t, f, data)
	wantError(t, r.Close(), ErrClosed)
	wantError(t, r.Nop(0, 1), ErrClosed)
	_, err := r.Submit()
	wantError(t, err, ErrClosed)
}

func TestCloseCancelsWhatWouldNeverEnd(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{InFlight: 16})
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	defer writer.Close()
	check(t, r.RegisterBuffers([][]byte{newMemory(t, block)}))
	for i := range uint64(4) {
		check(t, r.Timeout(time.Hour, 3*i))
		check(t, r.Read(Descriptor(int(reader.Fd())), make([]byte, 8), 0, 0, 3*i+1))
		check(t, r.ReadFixed(Descriptor(int(reader.Fd())), 0, r.buffers[0], 0, 0, 3*i+2))
		n, err := r.Wait(1, time.Millisecond, make([]Completion, 1)) // arms the wake-up too
		check(t, err)
		if n != 0 {
			t.Fatal("an endless operation ended")
		}
	}
	check(t, r.Nop(Link, 100)) // a chain left open
	check(t, r.Close())
}

func TestCloseWaitsForAWriteThatBlocks(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	closing, closed := make(chan struct{}), make(chan error, 1)
	var reading atomic.Bool
	var early atomic.Bool
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		r, err := New(4, Options{})
		if err == nil {
			err = r.Write(Descriptor(int(writer.Fd())), make([]byte, 1<<20), 0, Whole, 1)
		}
		if err == nil {
			_, err = r.Submit()
		}
		close(closing)
		if err == nil {
			err = r.Close()
		}
		early.Store(!reading.Load())
		_ = writer.Close()
		closed <- err
	}()
	<-closing
	for range 100 {
		runtime.Gosched() // lets a Close that doesn't wait return
	}
	reading.Store(true)
	all, err := io.ReadAll(reader)
	check(t, err)
	check(t, <-closed)
	if early.Load() || len(all) != 1<<20 {
		t.Errorf("Close returned early: %v; %d bytes arrived", early.Load(), len(all))
	}
}

func TestAClosedRingLeavesNoDescriptorAndNoMapping(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	_, err := r.Wait(1, time.Millisecond, make([]Completion, 1))
	check(t, err)
	check(t, r.Close())
	if r.descriptor != -1 || r.wake.descriptor != -1 || r.queueMemory != nil || r.entryMemory != nil {
		t.Errorf("left: descriptors %d and %d, mappings %v and %v",
			r.descriptor, r.wake.descriptor, r.queueMemory != nil, r.entryMemory != nil)
	}
}

func TestCloseDoesNotUnmapWhatTheKernelMayUse(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	check(t, r.Nop(0, 1))
	r.kernel = kernelRefusing(unix.EBADF, 1)
	wantError(t, r.Close(), unix.EBADF)
	if r.queueMemory == nil || r.entryMemory == nil {
		t.Fatal("unmapped although an operation is queued")
	}
	check(t, r.release())
	check(t, r.wake.close())
}
