package engine

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// Crash tests: an engine on a simulated disk loses power, or its process is
// killed, at a random step: in the write of a run, in a merge, a rename, a
// checkpoint, a trim, or while it starts. Whatever is found then, the engine
// that uses it must be the same as one that has nothing but the log.
//
// A failing seed prints the command that runs it alone.

var (
	crashSeed  = flag.Uint64("crash.seed", 0, "run this seed alone")
	crashSeeds = flag.Uint64("crash.seeds", 6, "how many seeds to run")
)

func TestWhateverACrashLeavesTheIndexIsThatOfTheLog(t *testing.T) {
	t.Parallel()
	if *crashSeed != 0 {
		liveAndDie(t, *crashSeed)
		return
	}
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for seed := range seeds {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { liveAndDie(t, seed) })
			}
		})
	}
	for seed := uint64(1); seed <= *crashSeeds; seed++ {
		seeds <- seed
	}
	close(seeds)
	workers.Wait()
}

func liveAndDie(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 99))
	d, w := simdisk.New(seed, simdisk.Options{StaleBytes: seed%3 == 0}), newWorkload(seed)
	w.reborn = true
	for life := range 4 {
		d.CrashAfter(1 + rng.Uint64N(900))
		live(t, d, seed, w, rng)
		if rng.IntN(3) == 0 {
			d = d.Kill()
		} else {
			d = d.Crash()
		}
		o := testOptions(d, seed)
		e := mustOpen(t, o)
		found := dumpRepaired(t, e)
		mustClose(t, e)
		alone := d.Clone()
		deleteIndex(t, alone)
		o.Log.Disk = alone
		e = mustOpen(t, o)
		if rebuilt := dump(t, e); rebuilt != found {
			t.Fatalf("after crash %d: %s\nreplay: go test ./engine -run TestWhatever -crash.seed=%d\n%s",
				life+1, firstDifference(rebuilt, found), seed, d.Replay())
		}
		mustClose(t, e)
	}
}

// live runs an engine until the disk dies.
func live(t *testing.T, d *simdisk.Disk, seed uint64, w *workload, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o := testOptions(d, seed)
	o.Log.Fatal = func(error) { cancel() }
	if seed%2 == 0 {
		// Frames are applied that a power cut takes back.
		o.CommitAt, o.FlushInterval = CommitWritten, time.Minute
	}
	e, _, err := Open(o)
	if err != nil {
		if !d.Crashed() {
			t.Fatalf("open: %v", err)
		}
		return
	}
	for range 40 {
		last, err := w.run(e, 25)
		if err != nil || e.WaitApplied(ctx, last) != nil {
			break
		}
		if ends := e.log.SegmentEnds(); rng.IntN(4) == 0 && len(ends) > 3 {
			if err := trimNow(ctx, e, ends[len(ends)-2]); err != nil {
				break
			}
		}
	}
	if err := e.Close(); err != nil && !d.Crashed() {
		t.Fatalf("close: %v", err)
	}
}

// TestAStartThatIsCutShortAnywhereLosesNothing crashes a start at every step of
// building the index, writing the state, and renaming both, and lets the next
// start go on with what that left.
func TestAStartThatIsCutShortAnywhereLosesNothing(t *testing.T) {
	t.Parallel()
	d := simdisk.New(41, simdisk.Options{})
	e, w := mustOpen(t, testOptions(d, 41)), newWorkload(41)
	if _, err := w.run(e, 250); err != nil {
		t.Fatal(err)
	}
	want := dump(t, e)
	mustClose(t, e)
	deleteIndex(t, d)
	for step, whole := uint64(1), false; !whole; step++ {
		died := d.Clone()
		died.CrashAfter(step)
		o := testOptions(died, 41)
		o.Log.Fatal = func(error) {}
		if e, _, err := Open(o); err == nil {
			_ = e.Dump(io.Discard)
			_ = e.Close()
		}
		whole = !died.Crashed()
		if step%2 == 0 {
			died = died.Kill()
		} else {
			died = died.Crash()
		}
		e := mustOpen(t, testOptions(died, 41))
		if got := dumpRepaired(t, e); got != want {
			t.Fatalf("after a crash at step %d: %s", step, firstDifference(want, got))
		}
		mustClose(t, e)
	}
}
