package engine

import (
	"context"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// TestADeathAtAnyStepOfIndexBuildCheckpointAndTrimLeavesTheStateOfTheLog ends
// the process at each step of a life that writes runs and checkpoints, merges,
// renames and trims. The two ways to die take turns.
func TestADeathAtAnyStepOfIndexBuildCheckpointAndTrimLeavesTheStateOfTheLog(t *testing.T) {
	t.Parallel()
	step := 1 + *crashSeed%stepShare
	for !dieAtStep(t, step) {
		step += stepShare
	}
	if step < 100 {
		t.Errorf("the life had %d steps only", step)
	}
}

// dieAtStep reports whether the life was over before the step came.
func dieAtStep(t *testing.T, step uint64) (over bool) {
	d := simdisk.New(step, simdisk.Options{StaleBytes: step%2 == 0})
	o := testOptions(d, 21)
	d.CrashAfter(step)
	acked, over := eventfulLife(t, o)
	if !over && !d.Crashed() {
		t.Fatalf("step %d: the life ended without a death", step)
	}
	if step/stepShare%2 == 0 {
		d = d.Kill()
	} else {
		d = d.Crash()
	}
	o.Log.Disk = d
	e := mustOpen(t, o)
	if _, _, end := e.log.End(); end < acked {
		t.Fatalf("step %d: the log ends at %d, applied was %d", step, end, acked)
	}
	found := dumpRepaired(t, e)
	mustClose(t, e)
	alone := d.Clone()
	deleteIndex(t, alone)
	o.Log.Disk = alone
	e = mustOpen(t, o)
	if rebuilt := dump(t, e); rebuilt != found {
		t.Fatalf("step %d: %s\n%s", step, firstDifference(rebuilt, found), d.Replay())
	}
	mustClose(t, e)
	return over
}

// eventfulLife fills some segments, trims, goes on and closes. It returns up to
// where it was promised that events are there.
func eventfulLife(t *testing.T, o Options) (acked event.Position, over bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o.Log.SegmentBytes, o.Log.TailBytes, o.RunBytes = 64<<10, 0, 24<<10
	o.Log.Fatal = func(error) { cancel() }
	e, _, err := Open(o)
	if err != nil {
		return 0, false
	}
	w, ok := newWorkload(21), true
	for range 3 {
		last, err := w.run(e, 40)
		if ok = ok && err == nil && e.WaitApplied(ctx, last) == nil; !ok {
			break
		}
		acked = last
		e.indexer.do(func() {})
		if ends := e.log.SegmentEnds(); len(ends) > 1 {
			ok = trimNow(ctx, e, ends[len(ends)-2]) == nil
		}
		e.indexer.tick()
	}
	return acked, e.Close() == nil && ok
}
