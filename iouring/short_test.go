//go:build linux

package iouring

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shorten makes the kernel of r report the results of the script instead of its
// own, one per completion of the owner's operations; 0 leaves a result as it is.
func shorten(r *Ring, script ...int32) {
	k := realKernel()
	seen := *r.completions.head
	r.kernel.enter = func(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error) {
		n, err := k.enter(descriptor, submit, complete, flags, argument)
		for ; seen != *r.completions.tail; seen++ {
			event := &r.completions.entries[seen&r.completions.mask]
			if event.UserData()&ownData != 0 || len(script) == 0 {
				continue
			}
			if script[0] != 0 {
				*(*int32)(unsafe.Add(unsafe.Pointer(event), 8)) = script[0]
			}
			script = script[1:]
		}
		return n, err
	}
}

func TestAShortWriteTellsHowFarItCame(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	defer writer.Close()
	capacity, err := unix.FcntlInt(writer.Fd(), unix.F_GETPIPE_SZ, 0)
	check(t, err)
	check(t, r.Write(Descriptor(int(writer.Fd())), make([]byte, 2*capacity), 0, 0, 1))
	if n := succeed(t, r); n != capacity {
		t.Errorf("wrote %d bytes, want the pipe's %d", n, capacity)
	}
}

func TestAWholeWriteGoesOnUntilTheEnd(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	data := filled(1<<20+123, 6) // many times the pipe
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(reader)
		got <- all
	}()
	check(t, r.Write(Descriptor(int(writer.Fd())), data, 0, Whole, 1))
	if n := succeed(t, r); n != len(data) {
		t.Errorf("wrote %d bytes, want %d", n, len(data))
	}
	check(t, writer.Close())
	if !bytes.Equal(<-got, data) {
		t.Error("the bytes that arrived differ")
	}
}

func TestAWholeWriteGoesOnAtTheRightPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  []int32 // results reported instead of the kernel's
		resumed []int   // where the entries begin that follow the first
		bytes   int
		err     error
	}{
		"at a block boundary":         {[]int32{2 * block, 0}, []int{2 * block}, 4 * block, nil},
		"back to the block boundary":  {[]int32{2*block + 700, 0}, []int{2 * block}, 4 * block, nil},
		"three times":                 {[]int32{block, block, block, 0}, []int{block, 2 * block, 3 * block}, 4 * block, nil},
		"after interruption":          {[]int32{-int32(unix.EINTR), 0}, []int{0}, 4 * block, nil},
		"after a shortage":            {[]int32{block, -int32(unix.EAGAIN), 0}, []int{block, block}, 4 * block, nil},
		"not without a block written": {[]int32{700}, nil, 700, io.ErrShortWrite},
		"not after an error":          {[]int32{block, -int32(unix.EIO)}, []int{block}, block, unix.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openRing(t, 4, Options{ResumeBytes: block})
			shorten(r, c.script...)
			f := newDirectFile(t, 8*block)
			data := newMemory(t, 4*block)
			fill(data, 7)
			check(t, r.Write(fileOf(t, f), data, 2*block, Whole|DataSync, 1))
			var into [1]Completion
			_, err := r.Wait(1, -1, into[:])
			check(t, err)
			if into[0].Bytes != c.bytes {
				t.Errorf("wrote %d bytes, want %d", into[0].Bytes, c.bytes)
			}
			if c.err != nil {
				wantError(t, into[0].Err, c.err)
			} else {
				check(t, into[0].Err)
			}
			wantEntries(t, r, data, 2*block, append([]int{0}, c.resumed...))
		})
	}
}

// wantEntries compares the writes in the submission queue with the parts of
// data, in bytes from its start, that they must begin at.
func wantEntries(t *testing.T, r *Ring, data []byte, offset int, starts []int) {
	t.Helper()
	var got []int
	for at := range r.submissions.next {
		if r.submissions.slots[at&r.submissions.mask] == noSlot {
			continue
		}
		// struct io_uring_sqe: offset at byte 8, address at 16, length at 24.
		entry := unsafe.Pointer(&r.submissions.entries[at&r.submissions.mask])
		start := int(*(*uint64)(unsafe.Add(entry, 8))) - offset
		address := *(*uint64)(unsafe.Add(entry, 16))
		length := int(*(*uint32)(unsafe.Add(entry, 24)))
		if address != addressOf(&data[start]) || start+length != len(data) {
			t.Errorf("the entry at %d has %d bytes from another place in memory", start, length)
		}
		got = append(got, start)
	}
	if !slices.Equal(got, starts) {
		t.Errorf("writes began at %v, want %v", got, starts)
	}
}

func TestSubmitHandsOverTheRestOfAShortWrite(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	shorten(r, 0, 4)
	file := fileOf(t, newFile(t, 0))
	check(t, r.Nop(0, 1))
	check(t, r.Write(file, make([]byte, 10), 0, Whole, 2))
	into := make([]Completion, 2)
	for seen := 0; len(r.resumed) == 0; { // Wait without waiting leaves the rest to the next call
		n, err := r.Wait(0, 0, into)
		check(t, err)
		if seen += n; seen > 1 {
			t.Fatal("the short write completed")
		}
	}
	taken, err := r.Submit()
	check(t, err)
	if taken != 1 {
		t.Errorf("Submit handed over %d, want the rest of the write", taken)
	}
	for _, c := range collect(t, r, r.InFlight()) {
		check(t, c.Err)
	}
}

func TestAWholeWriteThatStaysInterruptedGivesUp(t *testing.T) {
	t.Parallel()
	r := openRing(t, 4, Options{})
	script := make([]int32, triesMax)
	for i := range script {
		script[i] = -int32(unix.EAGAIN)
	}
	shorten(r, script...)
	check(t, r.Write(fileOf(t, newFile(t, 0)), make([]byte, 10), 0, Whole, 1))
	wantError(t, collect(t, r, 1)[1].Err, unix.EAGAIN)
}
