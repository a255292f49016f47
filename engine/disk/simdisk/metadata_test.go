package simdisk_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func listing(t *testing.T, dirs ...string) func(*simdisk.Disk) string {
	return func(after *simdisk.Disk) string {
		text := ""
		for _, dir := range append([]string{"."}, dirs...) {
			names, err := after.List(dir)
			if err != nil && !errors.Is(err, disk.ErrNotFound) {
				t.Fatal(err)
			}
			if err == nil {
				text += fmt.Sprint(names)
			}
		}
		return text
	}
}

func TestACreatedNameSurvivesOnlyASyncOfItsDirectory(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		must(t, open(t, d, "file", disk.Create).Sync())
	}, listing(t))
	onlyThese(t, found, "[]", "[file]")
	found = outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) { created(t, d, "file") }, listing(t))
	onlyThese(t, found, "[file]")
}

func TestNamesLandIndependently(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		open(t, d, "a", disk.Create)
		open(t, d, "b", disk.Create)
	}, listing(t))
	onlyThese(t, found, "[]", "[a]", "[b]", "[a b]")
}

func TestARemovedFileMayComeBackUntilItsDirectoryIsSynced(t *testing.T) {
	t.Parallel()
	prepare := func(d *simdisk.Disk) {
		sizedFile(t, d, "file", repeat('a', sector))
		must(t, d.Remove("file"))
	}
	onlyThese(t, outcomes(t, simdisk.Options{}, prepare, stateOf(t, "file")), "a", "gone")
	onlyThese(t, outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		prepare(d)
		must(t, d.SyncDir("."))
	}, stateOf(t, "file")), "gone")
}

func TestARenameIsAtomic(t *testing.T) {
	t.Parallel()
	look := func(after *simdisk.Disk) string { return letters(t, after, "from") + " " + letters(t, after, "to") }
	prepare := func(d *simdisk.Disk) {
		sizedFile(t, d, "from", repeat('a', sector))
		sizedFile(t, d, "to", repeat('b', sector))
		must(t, d.Rename("from", "to"))
	}
	onlyThese(t, outcomes(t, simdisk.Options{}, prepare, look), "a b", "gone a")
	onlyThese(t, outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		prepare(d)
		must(t, d.SyncDir("."))
	}, look), "gone a")
}

// The classic mistake: write a temporary file, rename it, forget its sync.
func TestARenamedFileMayBeEmptyIfItsDataWasNotSynced(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		sizedFile(t, d, "to", repeat('b', sector))
		write(t, open(t, d, "from", disk.Create), 0, repeat('a', sector))
		must(t, d.Rename("from", "to"))
		must(t, d.SyncDir("."))
	}, stateOf(t, "to"))
	onlyThese(t, found, "", "0", "a")
}

func TestARenameAcrossDirectoriesNeedsOneSync(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"a", "b"} {
		found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
			must(t, d.MakeDir("a"))
			must(t, d.MakeDir("b"))
			must(t, d.SyncDir("."))
			open(t, d, "a/x", disk.Create)
			must(t, d.Rename("a/x", "b/y"))
			must(t, d.SyncDir(dir))
		}, listing(t, "a", "b"))
		onlyThese(t, found, "[][][y]")
	}
}

func TestADirectoryNeedsASyncOfItsParent(t *testing.T) {
	t.Parallel()
	prepare := func(d *simdisk.Disk) {
		must(t, d.MakeDir("a/b"))
		open(t, d, "a/b/file", disk.Create)
		must(t, d.SyncDir("a/b"))
		must(t, d.SyncDir("a"))
	}
	onlyThese(t, outcomes(t, simdisk.Options{}, prepare, listing(t, "a/b")), "[]", "[][file]")
	onlyThese(t, outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		prepare(d)
		must(t, d.SyncDir("."))
	}, listing(t, "a/b")), "[][file]")
}

func TestLaterEditsOfANameNeverLandWithoutEarlierOnes(t *testing.T) {
	t.Parallel()
	look := func(after *simdisk.Disk) string { return letters(t, after, "a") + " " + letters(t, after, "b") }
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		sizedFile(t, d, "a", repeat('1', sector))
		must(t, d.Rename("a", "b"))
		f := open(t, d, "a", disk.Create)
		write(t, f, 0, repeat('2', sector))
		must(t, f.Sync())
		must(t, d.Rename("a", "b"))
	}, look)
	onlyThese(t, found, "1 gone", "gone 1", "2 1", "gone 2")
}

func TestASizeSurvivesSyncButNotSyncDataAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(disk.File) error
		before string
		after  string
	}{
		"truncate": {func(f disk.File) error { return f.Truncate(sector) }, "aa", "a"},
		"grow":     {func(f disk.File) error { return f.Truncate(3 * sector) }, "aa", "aa0"},
		"allocate": {func(f disk.File) error { return f.Allocate(3 * sector) }, "aa", "aa0"},
	} {
		run := func(sync func(disk.File) error) map[string]int {
			return outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
				f := sizedFile(t, d, "file", repeat('a', 2*sector))
				must(t, c.change(f))
				must(t, sync(f))
			}, stateOf(t, "file"))
		}
		t.Log(name)
		onlyThese(t, run(disk.File.SyncData), c.before, c.after)
		onlyThese(t, run(disk.File.Sync), c.after)
	}
}

func TestSyncDataKeepsTheSizeThatDataNeeds(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		f := created(t, d, "file")
		must(t, f.Allocate(3*sector))
		write(t, f, sector, repeat('a', sector))
		must(t, f.SyncData())
	}, stateOf(t, "file"))
	onlyThese(t, found, "0a0")
	// Bytes behind a shrinking that only memory knows would be lost with it.
	found = outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		f := sizedFile(t, d, "file", repeat('a', 4*sector))
		must(t, f.Truncate(sector))
		write(t, f, 2*sector, repeat('b', sector))
		must(t, f.SyncData())
	}, stateOf(t, "file"))
	onlyThese(t, found, "a0b")
}

func TestUnsyncedTruncationAndNewBytesStayInOrder(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		f := sizedFile(t, d, "file", repeat('a', 2*sector))
		must(t, f.Truncate(0))
		write(t, f, 0, repeat('b', 2*sector))
	}, stateOf(t, "file"))
	onlyThese(t, found, "aa", "", "00", "b0", "0b", "bb")
}

func TestSpaceRunsOutAndComesBack(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{CapacityBytes: 10 * block})
	free := func(want int64) {
		t.Helper()
		if got, err := d.FreeBytes(); got != want*block || err != nil {
			t.Fatalf("free: %d, %v; want %d blocks", got, err, want)
		}
	}
	f := open(t, d, "file", disk.Create)
	must(t, f.Allocate(6*block))
	free(4)
	write(t, f, 0, repeat('a', 6*block))
	free(4)
	if err := open(t, d, "other", disk.Create).Allocate(5 * block); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("allocate: %v, want ErrNoSpace", err)
	}
	write(t, f, 8*block, repeat('a', block))
	free(3)
	if n, err := f.WriteAt(repeat('a', 5*block), 9*block); n != 0 || !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("write: %d, %v, want ErrNoSpace", n, err)
	}
	memory := aligned(4 * block)
	q, err := d.OpenQueue(1, memory)
	must(t, err)
	q.Write(f, memory, 20*block, 1)
	done := make([]disk.Completion, 1)
	if n, err := q.Wait(done); n != 1 || err != nil || !errors.Is(done[0].Err, disk.ErrNoSpace) {
		t.Errorf("queued write: %d, %v, %v; want ErrNoSpace", n, err, done[0].Err)
	}
	must(t, f.Truncate(block+1))
	free(8)
	must(t, d.Remove("file"))
	free(8)
	must(t, f.Close())
	free(10)
	d.SetCapacity(0)
	free(0)
}

func TestSpaceIsCountedAnewAfterACrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds) {
		d := simdisk.New(seed, simdisk.Options{CapacityBytes: 100 * block})
		f := created(t, d, "file")
		must(t, f.Allocate(6*block))
		write(t, f, 3*block, repeat('a', 5*block))
		must(t, d.Remove("file"))
		after := d.Crash()
		size := int64(0)
		if data, found := contents(t, after, "file"); found {
			size = int64(len(data))
			must(t, after.Remove("file"))
		}
		if size < 0 || size > 8*block {
			t.Fatalf("seed %d: size %d", seed, size)
		}
		if free, err := after.FreeBytes(); free != 100*block || err != nil {
			t.Fatalf("seed %d: %d bytes free of an empty disk, %v", seed, free, err)
		}
	}
}
