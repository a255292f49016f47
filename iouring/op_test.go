//go:build linux

package iouring

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	f := newDirectFile(t, 8*block)
	file := fileOf(t, f)
	data, back := newMemory(t, 2*block), newMemory(t, 2*block)
	fill(data, 2)
	for _, flags := range []Flags{0, Whole, DataSync, Whole | DataSync} {
		check(t, r.Write(file, data, 4*block, flags, 1))
		if n := succeed(t, r); n != len(data) {
			t.Fatalf("Write with flags %d wrote %d bytes, want %d", flags, n, len(data))
		}
	}
	check(t, r.Sync(file, 0, 2))
	succeed(t, r)
	check(t, r.Read(file, back, 4*block, 0, 3))
	if n := succeed(t, r); n != len(back) || !bytes.Equal(back, data) {
		t.Fatalf("Read %d bytes that differ from those written", n)
	}
	want := make([]byte, 8*block)
	copy(want[4*block:], data)
	wantContents(t, f, want)
}

func TestPiecesAreWrittenSideBySide(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	f := newFile(t, 0)
	var pieces [][]byte
	var want []byte
	for i := range VectorMax {
		pieces = append(pieces, filled(i*7, uint64(i)))
		want = append(want, pieces[i]...)
	}
	check(t, r.Writev(fileOf(t, f), pieces, 0, DataSync, 1))
	clear(pieces) // the slice is the caller's again
	runtime.GC()  // the pieces are held by the ring alone
	if n := succeed(t, r); n != len(want) {
		t.Fatalf("Writev wrote %d bytes, want %d", n, len(want))
	}
	wantContents(t, f, want)
	wantError(t, r.Writev(fileOf(t, f), make([][]byte, VectorMax+1), 0, 0, 1), ErrRange)
}

func TestReadAtTheEndOfAFileReturnsFewerBytes(t *testing.T) {
	t.Parallel()
	r := openRing(t, 2, Options{})
	file := fileOf(t, newFile(t, 10))
	check(t, r.Read(file, make([]byte, 8), 6, 0, 1))
	if n := succeed(t, r); n != 4 {
		t.Errorf("read %d bytes, want 4", n)
	}
	check(t, r.Read(file, make([]byte, 8), 10, 0, 1))
	if n := succeed(t, r); n != 0 {
		t.Errorf("read %d bytes past the end, want 0", n)
	}
}

func TestAnInvalidDescriptorFailsTheOperationAlone(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	f := newFile(t, 0)
	data := filled(100, 3)
	check(t, r.Write(fileOf(t, f), data, 0, 0, 1))
	check(t, r.Write(Descriptor(-1), data, 0, 0, 2))
	check(t, r.SyncData(Descriptor(1<<30), 0, 3))
	check(t, r.Write(fileOf(t, f), data, 100, 0, 4))
	done := collect(t, r, 4)
	wantError(t, done[2].Err, unix.EBADF)
	wantError(t, done[3].Err, unix.EBADF)
	check(t, done[1].Err)
	check(t, done[4].Err)
	wantContents(t, f, append(data, data...))
	var failed *OperationError
	if !errors.As(done[3].Err, &failed) || failed.Operation != OperationSyncData {
		t.Errorf("error %v isn't fdatasync's", done[3].Err)
	}
	if text := done[3].Err.Error(); text != "iouring: fdatasync failed: bad file descriptor" {
		t.Errorf("error text is %q", text)
	}
}

func TestMisuseIsRefusedAndQueuesNothing(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	file, buffer := fileOf(t, newFile(t, 0)), make([]byte, 8)
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"negative offset", r.Write(file, buffer, -1, 0, 1), ErrRange},
		{"negative timeout", r.Timeout(-1, 1), ErrRange},
		{"whole write in a chain", r.Write(file, buffer, 0, Whole|Link, 1), ErrFlags},
		{"whole read", r.Read(file, buffer, 0, Whole, 1), ErrFlags},
		{"durable read", r.Read(file, buffer, 0, DataSync, 1), ErrFlags},
		{"durable sync", r.Sync(file, DataSync, 1), ErrFlags},
		{"unknown flag", r.Nop(1<<7, 1), ErrFlags},
		{"no such buffer", r.WriteFixed(file, 0, buffer, 0, 0, 1), ErrBuffer},
		{"no such file slot", r.Write(FileSlot(0), buffer, 0, 0, 1), ErrFileSlot},
		{"nothing to cancel", r.Cancel(77, 1), ErrNotFound},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: error %v, want %v", c.what, c.err, c.want)
		}
	}
	if r.InFlight() != 0 || r.Room() != 4 {
		t.Errorf("InFlight %d, Room %d; want 0, 4", r.InFlight(), r.Room())
	}
}

func TestATimeoutCompletesWhenItsTimeHasPassed(t *testing.T) {
	t.Parallel()
	r := openRing(t, 2, Options{})
	const after = 20 * time.Millisecond
	start := time.Now()
	check(t, r.Timeout(after, 1))
	succeed(t, r)
	if passed := time.Since(start); passed < after {
		t.Errorf("completed after %v, want %v at least", passed, after)
	}
}

func TestACanceledOperationCompletesAsCanceled(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	defer writer.Close()
	check(t, r.Timeout(time.Hour, 1))
	check(t, r.Read(Descriptor(int(reader.Fd())), make([]byte, 8), 0, 0, 2))
	_, err = r.Submit()
	check(t, err)
	check(t, r.Cancel(1, 11))
	check(t, r.Cancel(2, 12))
	done := collect(t, r, 4)
	wantError(t, done[1].Err, unix.ECANCELED)
	wantError(t, done[2].Err, unix.ECANCELED)
	check(t, done[11].Err)
	check(t, done[12].Err)
}

func TestACancellationThatComesTooLateSaysSo(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	check(t, r.Nop(0, 1))
	_, err := r.Submit()
	check(t, err)
	check(t, r.Cancel(1, 2)) // completed in the kernel, not yet given out
	done := collect(t, r, 2)
	check(t, done[1].Err)
	wantError(t, done[2].Err, unix.ENOENT)
}

func TestAWaitWithATimeoutEnds(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	check(t, r.Timeout(time.Hour, 1))
	check(t, r.Nop(0, 2))
	var into [4]Completion
	const limit = 20 * time.Millisecond
	start := time.Now()
	n, err := r.Wait(2, limit, into[:])
	check(t, err)
	if n != 1 || into[0].Tag != 2 {
		t.Errorf("Wait returned %d completions %v, want the nop's", n, into[:n])
	}
	if passed := time.Since(start); passed < limit {
		t.Errorf("Wait gave up after %v, want %v at least", passed, limit)
	}
	n, err = r.Wait(1, 0, into[:])
	check(t, err)
	if n != 0 {
		t.Errorf("Wait without waiting returned %d completions", n)
	}
}

func TestBuffersStayReachableUntilTheCompletion(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	collected := make(chan struct{})
	func() {
		buffer := make([]byte, 1<<20)
		runtime.AddCleanup(&buffer[0], func(c chan struct{}) { close(c) }, collected)
		check(t, r.Read(Descriptor(int(reader.Fd())), buffer, 0, 0, 1))
	}()
	_, err = r.Submit()
	check(t, err)
	for range 3 {
		runtime.GC()
	}
	select {
	case <-collected:
		t.Fatal("the buffer was collected while the kernel may write to it")
	default:
	}
	check(t, writer.Close())
	succeed(t, r)
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-t.Context().Done():
			t.Fatal("the buffer is held after the completion")
		default:
		}
	}
}
