package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// Not parallel: it sets GOMAXPROCS.
func TestGrownReopenedAndRebuiltEnginesAreTheSameByteForByte(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := simdisk.New(seed, simdisk.Options{})
			o := testOptions(d, seed)
			e, w := mustOpen(t, o), newWorkload(seed)
			w.reborn = true
			for step := range 4 {
				if _, err := w.run(e, 300); err != nil {
					t.Fatal(err)
				}
				if ends := e.log.SegmentEnds(); step%2 == 1 && len(ends) > 3 {
					if err := trimNow(t.Context(), e, ends[1]); err != nil {
						t.Fatal(err)
					}
					w.check(t, e)
				}
			}
			if first, _ := e.log.First(); first == 1 || w.recreated < 3 || w.setBack < 10 {
				t.Fatalf("begins at frame %d, %d topics came again, %d consumers were set back", first, w.recreated, w.setBack)
			}
			if n := len(e.indexer.files); n < 4 {
				t.Fatalf("the index has %d files only", n)
			}
			grown := dump(t, e)
			mustClose(t, e)

			same := func(what string) {
				e := mustOpen(t, o)
				defer mustClose(t, e)
				if got := dump(t, e); got != grown {
					t.Fatalf("%s: %s", what, firstDifference(grown, got))
				}
			}
			same("reopened")
			if deleteIndex(t, d) == 0 {
				t.Fatal("there was no index to delete")
			}
			same("rebuilt")
			same("rebuilt and reopened")
			deleteIndex(t, d)
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			same("rebuilt on one processor")
		})
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%.300s\nexpected\n%.300s", i+1, b[i], a[i])
		}
	}
	return fmt.Sprintf("%d lines, expected %d", len(b), len(a))
}

func TestAStartReplaysNoMoreThanTwoRuns(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	o := testOptions(d, 1)
	e, w := mustOpen(t, o), newWorkload(1)
	if _, err := w.run(e, 1200); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	mustClose(t, e)
	e = mustOpen(t, o)
	defer mustClose(t, e)
	// Frames are smaller than 4 KiB; a run that begins late in a segment ends
	// with it.
	if end, _, _ := e.log.End(); e.queuesAt+40 < end || e.stateAt < e.queuesAt-40 || e.queuesAt == 0 {
		t.Fatalf("queues from frame %d, state from %d, the log ends with %d", e.queuesAt, e.stateAt, end)
	}
	w.check(t, e)
}

func TestSealedSegmentsHaveOneIndexFileEach(t *testing.T) {
	t.Parallel()
	e, w := mustOpen(t, testOptions(simdisk.New(2, simdisk.Options{}), 2)), newWorkload(2)
	defer mustClose(t, e)
	if _, err := w.run(e, 1200); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	segments := make(map[event.Position]int)
	e.indexer.do(func() {
		for _, f := range e.indexer.files {
			segments[f.Segment]++
		}
	})
	ends := e.log.SegmentEnds()
	many := 0
	for _, n := range segments {
		if n > 1 {
			many++
		}
	}
	if len(ends) < 4 || len(segments) < len(ends) || many > 1 {
		t.Fatalf("%d sealed segments; files by segment: %v", len(ends), segments)
	}
	if got := e.queues.RunsInMemory(); got > 2 {
		t.Fatalf("%d runs are still in memory", got)
	}
}

func TestEveryDamageOfAnIndexFileIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	d := simdisk.New(3, simdisk.Options{})
	o := testOptions(d, 3)
	e, w := mustOpen(t, o), newWorkload(3)
	if _, err := w.run(e, 300); err != nil {
		t.Fatal(err)
	}
	grown := dump(t, e)
	mustClose(t, e)
	names, err := d.List(indexDir)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		damage(t, d, indexDir+"/"+name, i)
		e := mustOpen(t, o)
		if got := dumpRepaired(t, e); got != grown {
			t.Fatalf("%s damaged: %s", name, firstDifference(grown, got))
		}
		mustClose(t, e)
	}
}

func TestAStateThatIsAheadOfTheIndexKeepsItsPlace(t *testing.T) {
	t.Parallel()
	d := simdisk.New(10, simdisk.Options{})
	o := testOptions(d, 10)
	e, w := mustOpen(t, o), newWorkload(10)
	if _, err := w.run(e, 500); err != nil {
		t.Fatal(err)
	}
	grown := dump(t, e)
	mustClose(t, e)
	remove := func(end string, which func(i, n int) bool) {
		names, err := d.List(indexDir)
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, end) })
		for i, name := range names {
			if which(i, len(names)) {
				if err := d.Remove(indexDir + "/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	newest := func(i, n int) bool { return i == n-1 }
	remove(".idx", func(i, _ int) bool { return i > 0 })
	remove(stateEnd, func(i, n int) bool { return !newest(i, n) })
	e = mustOpen(t, o)
	settle(t, e)
	mustClose(t, e)
	// What was written meanwhile, if anything, is the state at an earlier place.
	remove(stateEnd, newest)
	e = mustOpen(t, o)
	defer mustClose(t, e)
	if got := dump(t, e); got != grown {
		t.Fatal(firstDifference(grown, got))
	}
}

func TestFilesThatBreakWhileTheyAreInUseAreRebuilt(t *testing.T) {
	t.Parallel()
	d := simdisk.New(4, simdisk.Options{})
	o := testOptions(d, 4)
	o.IndexCacheBytes = 1 // so that every read meets the disk
	e, w := mustOpen(t, o), newWorkload(4)
	defer mustClose(t, e)
	if _, err := w.run(e, 700); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	if err := trimNow(t.Context(), e, e.log.SegmentEnds()[1]); err != nil {
		t.Fatal(err)
	}
	grown := dump(t, e)
	names, err := d.List(indexDir)
	if err != nil || len(names) < 4 {
		t.Fatalf("%v, %v", names, err)
	}
	whole := contents(t, d, names)
	for round := range 3 {
		for i, name := range names {
			if !strings.HasSuffix(name, stateEnd) {
				damage(t, d, indexDir+"/"+name, (round+i)%3)
			}
		}
		if got := dumpRepaired(t, e); got != grown {
			t.Fatalf("round %d: %s", round, firstDifference(grown, got))
		}
		// Reads need not have met every damaged block. Now all are rebuilt.
		e.indexer.do(func() {
			for _, f := range e.indexer.files {
				e.indexer.noteDamage(f)
			}
		})
		e.indexer.do(func() {})
		e.indexer.do(func() {})
		for name, want := range whole {
			if got := contents(t, d, names)[name]; got != want {
				t.Fatalf("round %d: %s was rebuilt to %d bytes that differ from the %d before", round, name, len(got), len(want))
			}
		}
	}
}

func contents(t *testing.T, d disk.Disk, names []string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range names {
		b, err := disk.ReadWhole(d, indexDir+"/"+name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

// damage breaks a file in one of several ways.
func damage(t *testing.T, d *simdisk.Disk, name string, way int) {
	t.Helper()
	if way%4 == 3 {
		if err := d.Remove(name); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := d.Open(name, disk.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err == nil {
		switch way % 4 {
		case 0:
			_, err = f.WriteAt([]byte{0xaa, 0x55}, 100)
		case 1:
			_, err = f.WriteAt(slices.Repeat([]byte{0}, int(size/2)), 0)
		case 2:
			err = f.Truncate(size / 2)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// repaired reads until the index is whole again.
func repaired(t *testing.T, e *Engine, read func() error) {
	t.Helper()
	for range 50 {
		err := read()
		if err == nil {
			return
		}
		if !errors.Is(err, indexfile.ErrDamaged) {
			t.Fatal(err)
		}
		e.indexer.do(func() {}) // a damaged file is rebuilt after the requests
		e.indexer.do(func() {})
	}
	t.Fatalf("not repaired: %v", read())
}
