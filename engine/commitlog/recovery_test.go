package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestTheRecoveryTableDecidesEveryFinding(t *testing.T) {
	t.Parallel()
	const last = 10
	for _, evidence := range []event.Index{0, last, last + 1, last + 5} {
		for _, later := range []bool{false, true} {
			for _, rest := range []bool{false, true} {
				f := finding{evidence: evidence, later: later, bytes: rest}
				want := verdictClean
				if later || rest {
					want = verdictTorn
				}
				if evidence > last {
					want = verdictCorrupt
				}
				if got := decide(f, last); got != want {
					t.Errorf("%+v: verdict %d, want %d", f, got, want)
				}
			}
		}
	}
}

// written makes a log of n frames, closes it and returns the folder, the data
// of each frame and the file offset at which each begins.
func written(t *testing.T, n int) (dir string, data [][]byte, offsets []int64) {
	t.Helper()
	d := openPosix(t)
	l, _ := mustOpen(t, testOptions(t, d))
	for i := range n {
		b := encoded(l.Seed(), i, 500)
		data = append(data, b)
		ticket := mustAppend(t, l, b)
		if err := l.Wait(ticket, Durable); err != nil {
			t.Fatal(err)
		}
	}
	end, _, _ := l.End()
	err := l.CursorFrom(2).Visit(end, func(f Frame) error {
		offsets = append(offsets, f.Offset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return d.Path(), data, offsets
}

func patch(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, dir string) (*Log, Recovery, error) {
	t.Helper()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Open(testOptions(t, d))
}

func TestATornLastFrameIsCutKeptAsideAndWrittenOver(t *testing.T) {
	t.Parallel()
	for _, cut := range []int64{1, 40, headerBytes, headerBytes + 100} {
		t.Run(fmt.Sprint("bytes left ", cut), func(t *testing.T) {
			t.Parallel()
			dir, data, offsets := written(t, 20)
			removeMark(t, dir)
			last := offsets[19]
			patch(t, filepath.Join(dir, segmentName(0)), last+cut, make([]byte, 600-cut))
			l, r, err := reopen(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if r.TornBytes == 0 || r.End != 20 {
				t.Fatalf("recovery %+v, want 20 frames and a torn tail", r)
			}
			if kept, err := os.ReadFile(filepath.Join(dir, r.TornFile)); err != nil || len(kept) == 0 {
				t.Fatalf("torn bytes kept: %d, %v", len(kept), err)
			}
			compare(t, frames(t, l)[1:], data[:19])
			again := encoded(l.Seed(), 100, 50)
			mustAppend(t, l, again)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, r, err = reopen(t, dir)
			if err != nil || r.TornBytes != 0 {
				t.Fatalf("second reopen: %+v, %v", r, err)
			}
			compare(t, frames(t, l)[1:], append(data[:19:19], again))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// removeMark leaves recovery with the Durable marks in the frames alone.
func removeMark(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, markName)); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedFrameThatWasDurableRefusesToOpenAndNamesThePlace(t *testing.T) {
	t.Parallel()
	dir, _, offsets := written(t, 20)
	patch(t, filepath.Join(dir, segmentName(0)), offsets[9]+headerBytes+30, []byte{0xff, 0xfe})
	_, r, err := reopen(t, dir)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %+v, %v, want ErrCorrupt", r, err)
	}
	if want := fmt.Sprintf("%s at %d", segmentName(0), offsets[9]); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q doesn't name %q", err, want)
	}
}

func TestALostLastFrameIsCorruptionIfTheMarkFileSaysItWasDurable(t *testing.T) {
	t.Parallel()
	dir, _, offsets := written(t, 20)
	patch(t, filepath.Join(dir, segmentName(0)), offsets[19], make([]byte, 600))
	if _, _, err := reopen(t, dir); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v, want ErrCorrupt", err)
	}
}

func TestAHoleThatNoSyncCoveredIsATornTailEvenWithGoodFramesBehind(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	o := testOptions(t, d)
	o.Policy = FlushOnRequest // nothing is durable before Close
	l, _ := mustOpen(t, o)
	var offsets []int64
	for i := range 10 {
		if err := l.Wait(mustAppend(t, l, encoded(l.Seed(), i, 5000)), Written); err != nil {
			t.Fatal(err)
		}
	}
	end, _, _ := l.End()
	if err := l.CursorFrom(2).Visit(end, func(f Frame) error { offsets = append(offsets, f.Offset); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	removeMark(t, d.Path())
	patch(t, filepath.Join(d.Path(), segmentName(0)), offsets[4], bytes.Repeat([]byte{0}, 4096))
	l, r, err := reopen(t, d.Path())
	if err != nil {
		t.Fatal(err)
	}
	if r.End != 5 || r.TornBytes == 0 {
		t.Fatalf("recovery %+v, want the end at frame 5", r)
	}
	if got := len(frames(t, l)); got != 5 {
		t.Fatalf("%d frames, want 5", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	l, _ := mustOpen(t, testOptions(t, d))
	defer l.Close()
	if _, _, err := reopen(t, d.Path()); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("second open: %v", err)
	}
}

func TestSegmentsOfAnotherLogAreRefused(t *testing.T) {
	t.Parallel()
	dir, _, _ := written(t, 3)
	d := openPosix(t)
	o := testOptions(t, d)
	o.Create.Meta.Log = event.LogID{9}
	l, _ := mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, metaName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), metaName), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := reopen(t, d.Path()); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v, want ErrCorrupt", err)
	}
}

func TestAnUnfinishedCreationIsRepeated(t *testing.T) {
	t.Parallel()
	dir, _, _ := written(t, 0)
	if err := os.Remove(filepath.Join(dir, metaName)); err != nil {
		t.Fatal(err)
	}
	l, r, err := reopen(t, dir)
	if err != nil || !r.Created {
		t.Fatalf("open: %+v, %v", r, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALogWithoutItsMetaFileIsNotTakenForAnEmptyFolder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 100} {
		dir, _, _ := written(t, n)
		if err := os.Remove(filepath.Join(dir, metaName)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := reopen(t, dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("log of %d frames without a meta file: %v, want ErrCorrupt", n, err)
		}
		if _, err := os.Stat(filepath.Join(dir, segmentName(0))); err != nil {
			t.Errorf("its segment is gone: %v", err)
		}
	}
}

func TestAppendIsRefusedWhenTheDiskFailsWhileTheTailIsFull(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 256<<10, 64<<10
	o.Fatal = func(error) {}
	l, _ := mustOpen(t, o)
	d.CrashAfter(40)
	var err error
	for n := 0; err == nil && n < 10000; n++ {
		_, err = l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: encoded(l.Seed(), n, 10000)})
	}
	if !errors.Is(err, ErrFailed) {
		t.Errorf("append: %v, want ErrFailed", err)
	}
	_ = l.Close()
}
