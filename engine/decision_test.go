package engine

import (
	"testing"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// decided returns a disk with a log in which the decision to drop the first two
// segments is the last event, and nothing more has happened; and the last frame
// that goes.
func decided(t *testing.T, seed uint64) (*simdisk.Disk, event.Index, *workload) {
	t.Helper()
	d := simdisk.New(seed, simdisk.Options{})
	e, w := mustOpen(t, testOptions(d, seed)), newWorkload(seed)
	if _, err := w.run(e, 300); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	end := e.log.SegmentEnds()[1]
	e.trimming.Lock() // the trimmer waits
	if err := decideTrim(t.Context(), e, end); err != nil {
		t.Fatal(err)
	}
	found := d.Clone()
	e.trimming.Unlock()
	mustClose(t, e)
	return found.Kill(), end, w
}

func TestADecisionToTrimIsCarriedOutAfterACrashAtAnyStep(t *testing.T) {
	t.Parallel()
	d, end, w := decided(t, 21)
	want := ""
	for step := uint64(1); ; step++ {
		died := d.Clone()
		died.CrashAfter(step)
		o := testOptions(died, 21)
		o.Log.Fatal = func(error) {}
		if e, _, err := Open(o); err == nil {
			_ = e.carryOutTrim()
			_ = e.Close()
		}
		over := !died.Crashed()
		died = died.Crash()
		e := mustOpen(t, testOptions(died, 21))
		got := dumpRepaired(t, e)
		if first, _ := e.log.First(); first != end+1 || e.Marks().Trimmed != end {
			t.Fatalf("after a crash at step %d the log begins with frame %d, trimmed %d, expected %d", step, first, e.Marks().Trimmed, end+1)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("after a crash at step %d: %s", step, firstDifference(want, got))
		}
		if step%10 == 1 {
			w.check(t, e)
		}
		mustClose(t, e)
		if over {
			break
		}
	}
}

func TestTheOldestOffsetsFollowFromTheDecisionWhereverSegmentsWereCut(t *testing.T) {
	t.Parallel()
	leader, w := mustOpen(t, testOptions(simdisk.New(22, simdisk.Options{}), 22)), newWorkload(22)
	leader.trimming.Lock() // so that the replica can have every frame
	for i := range 3 {
		if _, err := w.run(leader, 300); err != nil {
			t.Fatal(err)
		}
		settle(t, leader)
		if err := decideTrim(t.Context(), leader, leader.log.SegmentEnds()[i]); err != nil {
			t.Fatal(err)
		}
	}
	o := testOptions(simdisk.New(23, simdisk.Options{}), 22)
	o.Log.SegmentBytes = 8 << 20 // everything is in one
	replica := mustOpen(t, o)
	copyFrames(t, leader, replica, func() {})
	leader.trimming.Unlock()
	want := dump(t, leader)
	for _, life := range []string{"followed", "started again", "rebuilt"} {
		if got := dump(t, replica); got != want {
			t.Fatalf("%s: %s", life, firstDifference(want, got))
		}
		if first, _ := replica.log.First(); first != 1 {
			t.Fatalf("the replica's log begins with frame %d", first)
		}
		w.check(t, replica)
		mustClose(t, replica)
		if life == "started again" {
			deleteIndex(t, o.Log.Disk)
		}
		replica = mustOpen(t, o)
	}
	mustClose(t, replica)
	mustClose(t, leader)
}

// copyFrames appends what one log has and the other lacks, and waits until it
// is applied; commit commits it.
func copyFrames(t *testing.T, from, to *Engine, commit func()) {
	t.Helper()
	next, _, _ := to.log.End()
	end, _, _ := from.log.End()
	err := from.log.CursorFrom(next+1).Visit(end, func(f commitlog.Frame) error {
		_, err := to.log.Append(commitlog.Batch{Kind: f.Kind, Term: f.Term, Events: int(f.Events), Timestamp: f.Timestamp, Data: f.Data})
		to.log.Wake()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	settle(t, to)
}

// appendAs appends a frame as somebody who replicates the log does.
func appendAs(e *Engine, timestamp int64, drafts []event.Draft) error {
	var data []byte
	for i := range drafts {
		b := make([]byte, drafts[i].EncodedBytes())
		drafts[i].Encode(b, e.log.Seed())
		data = append(data, b...)
	}
	_, err := e.log.Append(commitlog.Batch{Kind: commitlog.FrameEvents, Term: 1, Events: len(drafts), Timestamp: timestamp, Data: data})
	e.log.Wake()
	return err
}
