package faultdisk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/disktest"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func newDisk(t testing.TB, rules string) *faultdisk.Disk {
	t.Helper()
	return faultdisk.New(simdisk.New(1, simdisk.Options{}), parse(t, rules), faultdisk.SystemClock{})
}

func parse(t testing.TB, rules string) []faultdisk.Rule {
	t.Helper()
	list, err := faultdisk.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func create(t testing.TB, d disk.Disk, name string) disk.File {
	t.Helper()
	f, err := d.Open(name, disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestDiskWithoutRulesConforms(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(t *testing.T) disk.Disk { return newDisk(t, "") })
}

// Latency must change nothing but time. The clock runs the timers at once, on
// goroutines of their own.
func TestDiskWithLatencyConforms(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(t *testing.T) disk.Disk {
		rules := parse(t, "write:*:*=delay(1ms); sync:*:3..=delay(1ms)+delay(1ms)")
		return faultdisk.New(simdisk.New(1, simdisk.Options{}), rules, eagerClock{})
	})
}

type eagerClock struct{}

func (eagerClock) AfterFunc(_ time.Duration, f func()) { go f() }

func TestTheThirdSyncFailsAndNoOther(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "sync:*.log:3=EIO")
	log, other := create(t, d, "a.log"), create(t, d, "a.seg")
	var got []bool
	for range 5 {
		if err := other.Sync(); err != nil {
			t.Fatal(err)
		}
		got = append(got, errors.Is(log.SyncData(), syscall.EIO))
	}
	if want := []bool{false, false, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("failed: %v, want %v", got, want)
	}
	if got := d.Matches(); !slices.Equal(got, []uint64{5}) {
		t.Errorf("matches %d, want 5", got)
	}
}

func TestTheFirstRuleThatFailsAnOperationWins(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "sync:*:1=EIO; sync:*:1..2=ENOSPC; sync:*:1=hang")
	f := create(t, d, "file")
	if err := f.Sync(); !errors.Is(err, syscall.EIO) || errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("first sync: %v, want EIO alone", err)
	}
	if err := f.Sync(); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("second sync: %v, want ErrNoSpace", err)
	}
	if got := d.Matches(); !slices.Equal(got, []uint64{2, 2, 2}) {
		t.Errorf("matches %d: every rule counts for itself", got)
	}
}

func TestEveryOperationCanFail(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	f := create(t, d, "file")
	for operation, call := range map[string]func() error{
		"open":     func() error { _, err := d.Open("file", disk.Read); return err },
		"list":     func() error { _, err := d.List("."); return err },
		"mkdir":    func() error { return d.MakeDir("dir") },
		"rename":   func() error { return d.Rename("file", "other") },
		"remove":   func() error { return d.Remove("file") },
		"syncdir":  func() error { return d.SyncDir(".") },
		"free":     func() error { _, err := d.FreeBytes(); return err },
		"lock":     func() error { _, err := d.Lock("lock"); return err },
		"read":     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"write":    func() error { _, err := f.WriteAt(make([]byte, 1), 0); return err },
		"sync":     func() error { return errors.Join(f.Sync(), f.SyncData()) },
		"allocate": func() error { return f.Allocate(10) },
		"truncate": func() error { return f.Truncate(10) },
		"size":     func() error { _, err := f.Size(); return err },
	} {
		d.Set(parse(t, operation+":*:*=EROFS"))
		if err := call(); !errors.Is(err, disk.ErrReadOnly) || !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want ErrReadOnly and EROFS", operation, err)
		}
	}
	d.Set(nil)
	if names, err := d.List("."); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("files %q, %v: a failed operation must not reach the disk", names, err)
	}
	if size, err := f.Size(); size != 0 || err != nil {
		t.Errorf("size %d, %v: a failed operation must not reach the disk", size, err)
	}
}

func TestAShortWriteLeavesAPrefix(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "write:file:1=short(5)")
	f := create(t, d, "file")
	if n, err := f.WriteAt([]byte("some bytes"), 0); n != 5 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("write: %d bytes, %v; want 5 and ErrShortWrite", n, err)
	}
	got := make([]byte, 20)
	if n, err := f.ReadAt(got, 0); string(got[:n]) != "some " || !errors.Is(err, io.EOF) {
		t.Errorf("file holds %q, %v", got[:n], err)
	}
	d.Set(parse(t, "read:file:1=short(2)"))
	if n, err := f.ReadAt(got[:5], 0); n != 2 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read: %d bytes, %v; want 2 and ErrUnexpectedEOF", n, err)
	}
}

func wait(t *testing.T, q disk.Queue, room int) []disk.Completion {
	t.Helper()
	done := make([]disk.Completion, room)
	n, err := q.Wait(done)
	if err != nil {
		t.Fatal(err)
	}
	return done[:n]
}

func TestQueuedOperationsFailOneByOne(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "write:file:2=ENOSPC; sync:file:1=EIO; write:file:3=short(6000)")
	f, err := d.Open("file", disk.DirectCreate)
	if err != nil {
		t.Fatal(err)
	}
	const block = 4096
	memory := aligned(6*block, block)
	for i := range memory {
		memory[i] = 'x'
	}
	q, err := d.OpenQueue(4, memory)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		q.Write(f, memory[2*i*block:][:2*block], int64(2*i*block), uint64(i)+100)
	}
	q.SyncData(f, 200)
	failed := map[uint64]error{}
	for count := 0; count < 4; {
		for _, c := range wait(t, q, 2) {
			failed[c.Tag] = c.Err
			count++
		}
	}
	if failed[100] != nil || !errors.Is(failed[101], disk.ErrNoSpace) ||
		!errors.Is(failed[102], io.ErrShortWrite) || !errors.Is(failed[200], syscall.EIO) {
		t.Errorf("errors by tag: %v", failed)
	}
	got := make([]byte, 6*block)
	n, _ := f.(io.ReaderAt).ReadAt(aligned(6*block, block), 0)
	if n != 5*block {
		t.Errorf("file has %d bytes, want %d: the short write gets one whole block through", n, 5*block)
	}
	readBack(t, d, "file", got[:n])
	want := slices.Concat(bytes.Repeat([]byte("x"), 2*block), make([]byte, 2*block), bytes.Repeat([]byte("x"), block))
	if !bytes.Equal(got[:n], want) {
		t.Error("the file holds other bytes than those that got through")
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func readBack(t *testing.T, d disk.Disk, name string, p []byte) {
	t.Helper()
	f, err := d.Open(name, disk.Read)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
}

func TestADelayTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "read:file:*=delay(20ms); *:file:*=delay(5ms)")
		start := time.Now()
		f := create(t, d, "file")
		f.ReadAt(make([]byte, 1), 0)
		if got := time.Since(start); got != 30*time.Millisecond {
			t.Errorf("open and read took %v, want 5 and 25 ms", got)
		}
		memory := make([]byte, 100)
		q, err := d.OpenQueue(2, memory)
		if err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		q.Write(f, memory[:50], 0, 1)
		if got := wait(t, q, 1); len(got) != 1 || got[0].Err != nil || time.Since(start) != 5*time.Millisecond {
			t.Errorf("%v after %v; want one write after 5 ms", got, time.Since(start))
		}
		q.Write(f, memory[50:], 50, 2)
		if err := q.Close(); err != nil || time.Since(start) != 10*time.Millisecond {
			t.Errorf("close: %v after %v; want to wait for the write", err, time.Since(start))
		}
	})
}

func TestAHangingSyncGoesOnAfterRelease(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := newDisk(t, "sync:*:*=hang; sync:*:2=EIO")
	f := create(t, d, "file")
	results := make(chan error, 2)
	var syncs sync.WaitGroup
	for range 2 {
		syncs.Go(func() { results <- f.Sync() })
	}
	if err := d.WaitHanging(ctx, 2); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-results:
		t.Fatalf("a sync ended before release: %v", err)
	default:
	}
	d.Release()
	syncs.Wait()
	first, second := <-results, <-results
	if failures := errors.Join(first, second); !errors.Is(failures, syscall.EIO) || first != nil && second != nil {
		t.Errorf("results %v and %v; want one EIO", first, second)
	}
}

func TestAHangingQueueStillWakesAndCompletesOthers(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "sync:*:1=hang")
	f := create(t, d, "file")
	memory := make([]byte, 10)
	q, err := d.OpenQueue(2, memory)
	if err != nil {
		t.Fatal(err)
	}
	q.SyncData(f, 1)
	q.Write(f, memory, 0, 2)
	if got := wait(t, q, 2); len(got) != 1 || got[0].Tag != 2 || got[0].Err != nil {
		t.Fatalf("%v; want the write", got)
	}
	q.Wake()
	if got := wait(t, q, 2); len(got) != 0 {
		t.Fatalf("%v; want to be woken", got)
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		d.Release()
	}()
	if got := wait(t, q, 2); len(got) != 1 || got[0].Tag != 1 || got[0].Err != nil {
		t.Fatalf("%v; want the sync after release", got)
	}
	<-released
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func TestAWakeBesideAFailureIsSeenAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "sync:*:*=EIO")
		f := create(t, d, "file")
		q, err := d.OpenQueue(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.SyncData(f, 1)
		q.Wake()
		if got := wait(t, q, 2); len(got) != 1 || !errors.Is(got[0].Err, syscall.EIO) {
			t.Fatalf("%v; want the failure", got)
		}
		if got := wait(t, q, 2); len(got) != 0 {
			t.Fatalf("%v; want to be woken", got)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAHangingSyncCoversNothingWhenThePowerGoes(t *testing.T) {
	t.Parallel()
	lost := false
	for seed := range uint64(50) {
		inner := simdisk.New(seed, simdisk.Options{})
		d := faultdisk.New(inner, nil, faultdisk.SystemClock{})
		f := create(t, d, "file")
		if err := errors.Join(f.Sync(), d.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		memory := []byte("bytes")
		q, err := d.OpenQueue(1, memory)
		if err != nil {
			t.Fatal(err)
		}
		q.Write(f, memory, 0, 1)
		wait(t, q, 1)
		d.Set(parse(t, "sync:*:*=hang"))
		q.SyncData(f, 2)
		after := inner.Crash()
		if n, err := q.Wait(make([]disk.Completion, 1)); n != 0 || !errors.Is(err, simdisk.ErrCrashed) {
			t.Fatalf("wait on a dead disk: %d, %v", n, err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		d.Release()
		again, err := after.Open("file", disk.Read)
		if err != nil {
			t.Fatal(err)
		}
		size, err := again.Size()
		if err != nil {
			t.Fatal(err)
		}
		lost = lost || size == 0
	}
	if !lost {
		t.Error("50 power cuts during a hanging sync never lost the write")
	}
}

// A log's segments are made under another name and stay open.
func TestAnOpenFileGoesByTheNameThatItHasNow(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "sync:*.seg:*=EIO")
	f := create(t, d, "spare.tmp")
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename("spare.tmp", "0.seg"); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync of the renamed file: %v, want EIO", err)
	}
	if err := d.Rename("0.seg", "old.tmp"); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		t.Errorf("a sync under the third name: %v", err)
	}
}
