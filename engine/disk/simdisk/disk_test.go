package simdisk_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// workload does a bit of everything and stops at the first error. It calls
// acknowledged after each sync with the letter that is durable from there on.
func workload(t testing.TB, d *simdisk.Disk, acknowledged func(letter byte)) error {
	if err := errors.Join(d.MakeDir("logs"), d.SyncDir(".")); err != nil {
		return err
	}
	f, err := d.Open("logs/new", disk.DirectCreate)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Allocate(4*block), f.Sync(), d.Rename("logs/new", "logs/1"), d.SyncDir("logs")); err != nil {
		return err
	}
	memory := aligned(block)
	q, err := d.OpenQueue(2, memory)
	if err != nil {
		return err
	}
	defer q.Close()
	done := make([]disk.Completion, 2)
	for _, letter := range []byte("abc") {
		copy(memory, repeat(letter, block))
		q.Write(f, memory, 0, 1)
		if _, err := q.Wait(done); err != nil {
			return err
		}
		q.SyncData(f, 2)
		if _, err := q.Wait(done); err != nil {
			return err
		}
		acknowledged(letter)
	}
	return errors.Join(f.Close(), d.Remove("logs/1"))
}

func TestPowerCanBeCutInEveryStep(t *testing.T) {
	t.Parallel()
	whole := simdisk.New(0, simdisk.Options{})
	must(t, workload(t, whole, func(byte) {}))
	steps := whole.Steps()
	if steps < 15 {
		t.Fatalf("the workload has only %d steps", steps)
	}
	for seed := range uint64(50) {
		for n := uint64(1); n <= steps; n++ {
			d := simdisk.New(seed, simdisk.Options{})
			d.CrashAfter(n)
			promised := byte('0')
			err := workload(t, d, func(letter byte) { promised = letter })
			if !errors.Is(err, simdisk.ErrCrashed) || !d.Crashed() || d.Steps() != n {
				t.Fatalf("step %d: %v, crashed %v after %d steps", n, err, d.Crashed(), d.Steps())
			}
			if _, err := d.List("."); !errors.Is(err, simdisk.ErrCrashed) {
				t.Fatalf("step %d: list after the crash: %v", n, err)
			}
			after := d.Crash()
			state := letters(t, after, "logs/1")
			if lost := promised > '0' && (state == "gone" || state[0] < promised); lost && n < steps {
				t.Fatalf("%c was promised, %s was found:\n%s", promised, state, d.Replay())
			}
		}
	}
}

func TestTheSameSeedGivesTheSameDisk(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		d := simdisk.New(seed, simdisk.Options{TornSectors: true, StaleBytes: true})
		must(t, d.MakeDir("dir"))
		memory := aligned(8 * block)
		for i := range memory {
			memory[i] = byte(i / sector)
		}
		q, err := d.OpenQueue(8, memory)
		must(t, err)
		for i := range 8 {
			f := open(t, d, fmt.Sprintf("dir/%d", i), disk.Create)
			write(t, f, 5, []byte("text"))
			q.Write(f, memory[i*block:][:block], 0, uint64(i))
		}
		drain(t, q, 3)
		must(t, d.Remove("dir/5"))
		killed := d.Kill()
		must(t, killed.SyncDir("."))
		must(t, killed.Rename("dir/1", "dir/2"))
		crashed := killed.Crash()
		return strings.Join([]string{d.Replay(), dump(t, killed.Clone(), "dir"), crashed.Replay(), dump(t, crashed, "dir")}, "\n")
	}
	different := 0
	for seed := range uint64(20) {
		first, second := run(seed), run(seed)
		if first != second {
			t.Fatalf("seed %d gave two disks", seed)
		}
		if first != run(seed+1000) {
			different++
		}
	}
	if different == 0 {
		t.Error("all seeds give the same disk")
	}
}

func TestAFrozenDiskHasManyFutures(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	f := sizedFile(t, d, "file", repeat('a', sector))
	write(t, f, 0, repeat('b', sector))
	found := map[string]int{}
	for range seeds {
		found[letters(t, d.Crash(), "file")]++
	}
	onlyThese(t, found, "a", "b")
}

func TestAKilledProcessLosesNothingThatCompleted(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	lock, err := d.Lock("lock")
	must(t, err)
	f := open(t, d, "old", disk.Create)
	write(t, f, 0, repeat('a', 2*sector))
	must(t, d.Rename("old", "file"))
	next := d.Kill()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, simdisk.ErrCrashed) {
		t.Errorf("write of the dead process: %v, want ErrCrashed", err)
	}
	must(t, errors.Join(lock.Close(), f.Close()))
	if state := letters(t, next, "file"); state != "aa" {
		t.Errorf("state %q, want aa", state)
	}
	if _, err := next.Lock("lock"); err != nil {
		t.Errorf("the lock of a dead process: %v", err)
	}
	// What completed is no more durable than before.
	found := map[string]int{}
	for range seeds {
		found[letters(t, next.Crash(), "file")]++
	}
	if found["gone"] == 0 || found["aa"] == 0 {
		t.Errorf("states after a power cut: %v; want gone and aa among them", found)
	}
}

func TestACloneGoesItsOwnWay(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{CapacityBytes: 10 * block})
	f := sizedFile(t, d, "file", repeat('a', 2*block))
	clone := d.Clone()
	write(t, f, 0, repeat('b', block))
	write(t, open(t, clone, "file", disk.ReadWrite), block, repeat('c', 2*block))
	must(t, clone.SyncDir("."))
	for d, want := range map[*simdisk.Disk]string{d: "bbbbbbbbaaaaaaaa", clone: "aaaaaaaacccccccccccccccc"} {
		if state := letters(t, d, "file"); state != want {
			t.Errorf("state %q, want %q", state, want)
		}
	}
	if free, err := clone.FreeBytes(); free != 7*block || err != nil {
		t.Errorf("clone has %d bytes free, %v", free, err)
	}
}

func TestChosenReadsFail(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	f := sizedFile(t, d, "file", repeat('a', 3*block))
	must(t, d.FailReads("file", block, block+1))
	must(t, d.Rename("file", "moved"))
	check := func(f disk.File, at, length int64, fails bool) {
		t.Helper()
		if _, err := f.ReadAt(make([]byte, length), at); errors.Is(err, syscall.EIO) != fails || !fails && err != nil {
			t.Errorf("read [%d, %d): %v; fails: want %v", at, at+length, err, fails)
		}
	}
	check(f, 0, block, false)
	check(f, 0, block+1, true)
	check(f, block, 1, true)
	check(f, block+1, 10, false)
	must(t, d.SyncDir("."))
	after := d.Crash()
	check(open(t, after, "moved", disk.Read), 0, 3*block, true)
	after.HealReads("moved")
	check(open(t, after, "moved", disk.Read), 0, 3*block, false)
	if err := after.FailReads("missing", 0, 1); err == nil {
		t.Error("a missing file: no error")
	}
}

func TestACrashEndsAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := simdisk.New(1, simdisk.Options{})
		q, err := d.OpenQueue(1, nil)
		must(t, err)
		result := make(chan error, 1)
		go func() {
			_, err := q.Wait(make([]disk.Completion, 1))
			result <- err
		}()
		synctest.Wait()
		d.Crash()
		if err := <-result; !errors.Is(err, simdisk.ErrCrashed) {
			t.Errorf("wait: %v, want ErrCrashed", err)
		}
		must(t, q.Close())
	})
}

func TestDirectIOMustBeAligned(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	f := open(t, d, "file", disk.DirectCreate)
	memory := aligned(3 * block)
	q, err := d.OpenQueue(1, memory)
	must(t, err)
	done := make([]disk.Completion, 1)
	for name, c := range map[string]struct {
		buffer []byte
		at     int64
	}{
		"offset":  {memory[:block], sector},
		"length":  {memory[:sector], 0},
		"address": {memory[sector:][:block], 0},
	} {
		if _, err := f.WriteAt(c.buffer, c.at); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: write: %v, want EINVAL", name, err)
		}
		if _, err := f.ReadAt(c.buffer, c.at); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: read: %v, want EINVAL", name, err)
		}
		q.Write(f, c.buffer, c.at, 1)
		if n, err := q.Wait(done); n != 1 || err != nil || !errors.Is(done[0].Err, syscall.EINVAL) {
			t.Errorf("%s: queued write: %v, %v, want EINVAL", name, err, done[0].Err)
		}
	}
	write(t, f, block, memory[:block])
	if n, err := f.ReadAt(memory[block:], block); n != block || !errors.Is(err, io.EOF) {
		t.Errorf("read across the end: %d, %v; want one block and EOF", n, err)
	}
}

func TestNamesOutsideTheTreeAreRefused(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	for _, name := range []string{"", ".", "..", "/a", "a/", "a//b", "../a", "a/../b"} {
		if _, err := d.Open(name, disk.Create); err == nil {
			t.Errorf("create %q: no error", name)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	t.Parallel()
	for name, misuse := range map[string]func(d *simdisk.Disk, f disk.File, q disk.Queue, memory []byte){
		"two writes in flight on one block": func(_ *simdisk.Disk, f disk.File, q disk.Queue, memory []byte) {
			q.Write(f, memory[:sector], 0, 1)
			q.Write(f, memory[sector:2*sector], sector, 2)
			q.Wait(make([]disk.Completion, 1))
		},
		"was changed before it completed": func(_ *simdisk.Disk, f disk.File, q disk.Queue, memory []byte) {
			q.Write(f, memory[:block], 0, 1)
			q.Write(f, memory[block:], block, 2)
			done := make([]disk.Completion, 1)
			q.Wait(done)
			memory[0]++
			memory[block]++
			q.Wait(done)
		},
		"outside the arena": func(_ *simdisk.Disk, f disk.File, q disk.Queue, _ []byte) {
			q.Write(f, make([]byte, block), 0, 1)
		},
		"depth of the queue": func(_ *simdisk.Disk, f disk.File, q disk.Queue, _ []byte) {
			for tag := range uint64(3) {
				q.SyncData(f, tag)
			}
		},
		"not of the disk": func(d *simdisk.Disk, _ disk.File, q disk.Queue, _ []byte) {
			q.SyncData(open(t, d.Clone(), "file", disk.Read), 1)
		},
		"queued after Close": func(_ *simdisk.Disk, f disk.File, q disk.Queue, _ []byte) {
			must(t, q.Close())
			q.SyncData(f, 1)
		},
		"without room": func(_ *simdisk.Disk, _ disk.File, q disk.Queue, _ []byte) { q.Wait(nil) },
		"power of two": func(*simdisk.Disk, disk.File, disk.Queue, []byte) {
			simdisk.New(1, simdisk.Options{BlockBytes: 1000})
		},
	} {
		d := simdisk.New(1, simdisk.Options{})
		f := open(t, d, "file", disk.Create)
		memory := aligned(2 * block)
		q, err := d.OpenQueue(2, memory)
		must(t, err)
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "BUG:") || !strings.Contains(text, name) {
					t.Errorf("panic %q; want BUG: and %q", text, name)
				}
			}()
			misuse(d, f, q, memory)
		}()
	}
}

func TestReplayTellsSeedAndSteps(t *testing.T) {
	t.Parallel()
	d := simdisk.New(42, simdisk.Options{})
	f := open(t, d, "file", disk.Create)
	for range 300 {
		write(t, f, sector, repeat('a', sector))
	}
	must(t, d.Rename("file", "other"))
	text := d.Replay()
	for _, want := range []string{"seed 42", "302 steps", "#301 write file [512, 1024)\n", "#302 rename file to other\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("replay lacks %q:\n%s", want, text)
		}
	}
	if n := len(d.Trace()); n != 256 {
		t.Errorf("trace of %d operations, want the last 256", n)
	}
	if text := d.Crash().Describe(); !strings.Contains(text, "seed 42, power cut (number 1) after step 302") {
		t.Errorf("description %q", text)
	}
}
