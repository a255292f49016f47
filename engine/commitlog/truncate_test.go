package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func appendMany(t testing.TB, l *Log, from, n, size int) (data [][]byte) {
	t.Helper()
	for i := range n {
		b := encoded(l.Seed(), from+i, size)
		mustAppend(t, l, b)
		data = append(data, b)
	}
	return data
}

func TestTruncateDropsTheEndForGoodAlsoAcrossSegments(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{1, 10, 900, 1999} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			t.Parallel()
			d := openPosix(t)
			l, _ := mustOpen(t, testOptions(t, d))
			data := appendMany(t, l, 0, 2000, 1000)
			if err := l.Truncate(event.Index(keep + 2)); err != nil {
				t.Fatal(err)
			}
			if m := l.Marks(); m.Appended != event.Index(keep+1) || m.Durable != m.Appended || m.Written != m.Appended {
				t.Fatalf("marks %+v after truncating to frame %d", m, keep+1)
			}
			compare(t, frames(t, l)[1:], data[:keep])
			more := appendMany(t, l, 5000, 40, 300)
			want := append(data[:keep:keep], more...)
			compare(t, frames(t, l)[1:], want)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, r := mustOpen(t, testOptions(t, d))
			if r.TornBytes != 0 {
				t.Errorf("reopen finds a torn tail: %+v", r)
			}
			compare(t, frames(t, l)[1:], want)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTruncatedFramesNeverComeBackAfterAPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200 / seedShare) {
		truncateAndCrash(t, seed+1)
	}
}

// truncateAndCrash cuts the power at some step of a Truncate. The log then has
// all frames, or those that stay; once Truncate returned, only those.
func truncateAndCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	d := simdisk.New(seed, simdisk.Options{})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 64<<10, 48<<10
	o.Fatal = func(error) {}
	l, _ := mustOpen(t, o)
	total := 20 + rng.IntN(150)
	data := appendMany(t, l, 0, total, 1500)
	l.Flush()
	if err := l.Wait(Ticket{Index: event.Index(total + 1)}, Durable); err != nil {
		t.Fatal(err)
	}
	keep := 1 + rng.IntN(total-1)
	d.CrashAfter(1 + rng.Uint64N(60))
	truncated := l.Truncate(event.Index(keep+2)) == nil
	var after [][]byte
	if truncated {
		for i := range rng.IntN(20) {
			b := encoded(l.Seed(), 9000+i, 700)
			if _, err := l.Append(Batch{Kind: FrameEvents, Term: 2, Events: 1, Data: b}); err != nil {
				break
			}
			after = append(after, b)
		}
	}
	_ = l.Close()
	o.Disk = d.Crash()
	l, r, err := Open(o)
	if err != nil {
		t.Fatalf("seed %d: open after a cut in Truncate: %v", seed, err)
	}
	got := frames(t, l)[1:]
	want := append(data[:keep:keep], after...)
	if !truncated && len(got) > keep {
		want = data
	}
	if len(got) > len(want) || len(got) < keep {
		t.Fatalf("seed %d: %d frames, %d to %d are possible; truncated %v, %+v", seed, len(got), keep, len(want), truncated, r)
	}
	compare(t, got, want[:len(got)])
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTruncateRefusesToGoBelowTheLog(t *testing.T) {
	t.Parallel()
	l, _ := mustOpen(t, testOptions(t, openPosix(t)))
	defer l.Close()
	if err := l.Truncate(1); err == nil {
		t.Error("the first frame was truncated")
	}
	if err := l.Truncate(100); err != nil {
		t.Errorf("truncating past the end: %v", err)
	}
}

func TestTrimDropsWholeSegmentsAndRecyclesOne(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	o := testOptions(t, d)
	o.SegmentBytes = 256 << 10
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 1500, 1000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	ends := l.SegmentEnds()
	if len(ends) < 4 {
		t.Fatalf("only %d sealed segments", len(ends))
	}
	through := ends[2]
	if err := l.Trim(through - 1); err != nil {
		t.Fatal(err)
	}
	if first, _ := l.First(); first != ends[1]+1 {
		t.Fatalf("trimmed inside a segment: log begins with %d, want %d", first, ends[1]+1)
	}
	if err := l.Trim(through); err != nil {
		t.Fatal(err)
	}
	first, _ := l.First()
	compare(t, frames(t, l), data[first-2:])
	err := l.NewReader().Find(200, func(Event) error { return nil })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("read of a trimmed position: %v, want ErrNotFound", err)
	}
	more := appendMany(t, l, 2000, 600, 1000)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, r := mustOpen(t, o)
	if r.TornBytes != 0 {
		t.Errorf("old bytes in a recycled segment count as torn: %+v", r)
	}
	compare(t, frames(t, l), append(data[first-2:len(data):len(data)], more...))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadsOfTrimmedSegmentsEndBeforeTheFileIsReused(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	o.SegmentBytes = 256 << 10
	l, _ := mustOpen(t, o)
	defer l.Close()
	for round := range 20 {
		appendMany(t, l, round*300, 300, 1000)
		done := make(chan error)
		go func() {
			first, _ := l.First()
			end, _, _ := l.End()
			done <- l.CursorFrom(first).Visit(end, func(f Frame) error {
				if !bytes.Contains(f.Data[:40], []byte("event ")) && f.Kind == FrameEvents {
					return fmt.Errorf("frame %d holds something else", f.Index)
				}
				return nil
			})
		}()
		if ends := l.SegmentEnds(); len(ends) > 0 {
			if err := l.Trim(ends[len(ends)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskRefusesAppendsInTimeAndRecoversByItself(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{CapacityBytes: 900 << 10})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 256<<10, 128<<10
	l, _ := mustOpen(t, o)
	n := 0
	for {
		ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: encoded(l.Seed(), n, 1000)})
		if errors.Is(err, ErrDiskFull) {
			break
		}
		if err == nil {
			err = l.Wait(ticket, Durable)
		}
		if err != nil || n > 2000 {
			t.Fatalf("append %d: %v; the disk should fill up", n, err)
		}
		n++
	}
	if room := l.Room(); room > int64(o.SegmentBytes) {
		t.Errorf("the full log claims to have room for %d bytes", room)
	}
	if got := len(frames(t, l)); got != n+1 {
		t.Fatalf("%d frames can be read from the full log, want %d", got, n+1)
	}
	d.SetCapacity(10 << 20)
	l.Tick()
	for range 400 {
		mustAppend(t, l, encoded(l.Seed(), n, 1000))
		n++
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	if got := len(frames(t, l)); got != n+1 {
		t.Fatalf("%d frames after reopening, want %d", got, n+1)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBatchesOfSeveralSegmentsMakeSureOfEachSegmentsFile: the one file that is
// ready is not counted on twice.
func TestBatchesOfSeveralSegmentsMakeSureOfEachSegmentsFile(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{CapacityBytes: 700 << 10})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 128<<10, 96<<10
	l, _ := mustOpen(t, o)
	var batches []Batch
	for n := range 60 {
		batches = append(batches, Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: encoded(l.Seed(), n, 20<<10)})
	}
	last, err := l.AppendAll(batches)
	if !errors.Is(err, ErrDiskFull) {
		t.Fatalf("1.2 MB on a disk of 700 KiB: %v", err)
	}
	if err := l.Wait(last, Durable); err != nil {
		t.Fatal(err)
	}
	if got := event.Index(len(frames(t, l))); got != last.Index || got < 10 {
		t.Errorf("%d frames can be read, %d were accepted", got, last.Index)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

var _ disk.Disk = (*simdisk.Disk)(nil)

func TestTheNextSegmentIsPreparedBeforeItIsNeeded(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	logged := &strings.Builder{}
	o.Log = slog.New(slog.NewTextHandler(logged, nil))
	l, _ := mustOpen(t, o)
	mustAppend(t, l, encoded(l.Seed(), 1, 1001)) // an end that isn't on a block
	prepared := func() bool {
		l.keeper.spareMu.Lock()
		defer l.keeper.spareMu.Unlock()
		if l.keeper.spare == nil {
			return false
		}
		to := l.keeper.spare.fill.progress()
		return to == o.SegmentBytes
	}
	deadline := time.After(20 * time.Second)
	for !prepared() {
		l.Tick()
		select {
		case <-deadline:
			t.Fatalf("no segment is prepared: %s", logged)
		case <-time.After(time.Millisecond):
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged)
	}
}
