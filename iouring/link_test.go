//go:build linux

package iouring

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFailedLinkCancelsItsFollowers(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	f := newFile(t, 0)
	file, data := fileOf(t, f), filled(100, 4)
	check(t, r.Write(file, data, 0, Link, 1))
	check(t, r.Write(Descriptor(-1), data, 100, Link, 2))
	check(t, r.Write(file, data, 100, Link, 3))
	check(t, r.SyncData(file, 0, 4))
	check(t, r.Write(file, data, 200, 0, 5)) // not of the chain
	done := collect(t, r, 5)
	wantError(t, done[2].Err, unix.EBADF)
	wantError(t, done[3].Err, unix.ECANCELED)
	wantError(t, done[4].Err, unix.ECANCELED)
	check(t, done[5].Err)
	want := make([]byte, 300)
	copy(want[200:], data)
	if done[1].Err == nil { // the kernel may refuse a chain with a bad entry as a whole
		copy(want, data)
	}
	wantContents(t, f, want)
}

func TestAShortReadEndsItsChain(t *testing.T) {
	t.Parallel()
	r := openRing(t, 8, Options{})
	file := fileOf(t, newFile(t, 10))
	check(t, r.Read(file, make([]byte, 20), 0, Link, 1))
	check(t, r.Nop(0, 2))
	done := collect(t, r, 2)
	if done[1].Err != nil || done[1].Bytes != 10 {
		t.Errorf("read: %d bytes, error %v; want 10", done[1].Bytes, done[1].Err)
	}
	wantError(t, done[2].Err, unix.ECANCELED)
}

func TestAChainWithoutItsEndIsNotHandedOver(t *testing.T) {
	t.Parallel()
	r := openRing(t, 3, Options{})
	check(t, r.Nop(0, 1))
	check(t, r.Nop(Link, 2))
	_, err := r.Submit()
	wantError(t, err, ErrChainOpen)
	_, err = r.Wait(0, 0, nil)
	wantError(t, err, ErrChainOpen)
	wantError(t, r.Nop(Link, 9), ErrQueueFull) // would leave no room for the end
	check(t, r.Nop(0, 3))
	collect(t, r, 3)
}

// kernelTaking is the real kernel, but its first calls of enter read only so
// many entries each.
func kernelTaking(limits ...uint32) kernel {
	k := realKernel()
	k.enter = func(descriptor int, submit, complete, flags uint32, argument *waitArgument) (int, error) {
		if submit > 0 && len(limits) > 0 {
			limit := limits[0]
			limits = limits[1:]
			if limit < submit {
				return enter(descriptor, limit, 0, 0, nil)
			}
		}
		return enter(descriptor, submit, complete, flags, argument)
	}
	return k
}

func TestAChainTheKernelCutDoesNotRunItsSecondPart(t *testing.T) {
	t.Parallel()
	r := openRingOn(t, 8, Options{}, kernelTaking(2))
	f := newFile(t, 0)
	file, data := fileOf(t, f), filled(100, 5)
	check(t, r.Nop(0, 1))
	check(t, r.Write(Descriptor(-1), data, 0, Link, 2)) // fails; here the kernel stops
	check(t, r.Write(file, data, 0, Link, 3))
	check(t, r.SyncData(file, 0, 4))
	check(t, r.Nop(0, 5))
	done := collect(t, r, 5)
	wantError(t, done[2].Err, unix.EBADF)
	wantError(t, done[3].Err, unix.ECANCELED)
	wantError(t, done[4].Err, unix.ECANCELED)
	check(t, done[1].Err)
	check(t, done[5].Err)
	wantContents(t, f, nil)
}

func TestEntriesTheKernelLeftBehindAreHandedOverNext(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"Submit", "Wait", "Wait without waiting"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			r := openRingOn(t, 8, Options{}, kernelTaking(1, 2, 1))
			f := newFile(t, 0)
			var want []byte
			for i := range uint64(8) {
				data := filled(100, i)
				want = append(want, data...)
				check(t, r.Write(fileOf(t, f), data, int64(i)*100, 0, i))
			}
			switch call {
			case "Submit":
				taken, err := r.Submit()
				check(t, err)
				if taken != 8 {
					t.Fatalf("Submit handed over %d, want 8", taken)
				}
			case "Wait without waiting":
				_, err := r.Wait(0, 0, nil)
				check(t, err)
				if left := r.submissions.pending(); left != 0 {
					t.Fatalf("Wait left %d entries behind", left)
				}
			}
			collect(t, r, 8)
			wantContents(t, f, want)
		})
	}
}

func TestAnEntryRefusedByAnOldKernelDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	r := openRingOn(t, 8, Options{}, kernelAccepting(0)) // without SUBMIT_ALL
	reader, writer, err := os.Pipe()
	check(t, err)
	defer reader.Close()
	defer writer.Close()
	for tag := range uint64(6) {
		if tag%2 == 0 {
			check(t, r.Nop(0, tag))
			continue
		}
		check(t, r.Write(fileOf(t, writer), []byte("x"), 0, 0, tag))
		entry := &r.submissions.entries[(r.submissions.next-1)&r.submissions.mask]
		entry.SetIoprio(1 << 15) // no such priority class: refused as it is read
	}
	for tag, c := range collect(t, r, 6) {
		if tag%2 == 0 {
			check(t, c.Err)
		} else {
			wantError(t, c.Err, unix.EINVAL)
		}
	}
}
