package engine

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// leaderOfTrimmedLog returns an engine whose log was trimmed, and its base checkpoint.
func leaderOfTrimmedLog(t *testing.T, seed uint64) (*Engine, []byte) {
	t.Helper()
	d := simdisk.New(seed, simdisk.Options{})
	e, w := mustOpen(t, testOptions(d, seed)), newWorkload(seed)
	for range 2 {
		if _, err := w.run(e, 250); err != nil {
			t.Fatal(err)
		}
		settle(t, e)
		if err := trimNow(t.Context(), e, e.log.SegmentEnds()[0]); err != nil {
			t.Fatal(err)
		}
	}
	base, err := disk.ReadWhole(d, baseName, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return e, base
}

// replicaOptions are those of a replica of the logs of testOptions.
func replicaOptions(d disk.Disk, seed uint64) Options {
	o := testOptions(d, seed)
	o.Log.Create.Configuration = nil
	o.CommitAt = CommitExternal
	return o
}

// catchUp gives a replica what it lacks and commits it.
func catchUp(t *testing.T, leader, replica *Engine) {
	t.Helper()
	copyFrames(t, leader, replica, func() {
		end, _, _ := replica.log.End()
		replica.Commit(end)
	})
}

func TestANewReplicaInstallsTheBaseAndFollows(t *testing.T) {
	t.Parallel()
	leader, base := leaderOfTrimmedLog(t, 31)
	if h, err := checkpoint.Verify(bytes.NewReader(base), leader.log.Meta().Log); err != nil || string(h.Configuration) != "one voter" {
		t.Fatalf("the base has the configuration %q; %v", h.Configuration, err)
	}
	want := dump(t, leader)
	o := replicaOptions(simdisk.New(32, simdisk.Options{}), 31)
	replica := mustOpen(t, o)
	if err := replica.Install(bytes.NewReader(base), replica.log.Reset); err != nil {
		t.Fatal(err)
	}
	if err := replica.Install(bytes.NewReader(base), nil); err != nil {
		t.Fatalf("installed again: %v", err)
	}
	catchUp(t, leader, replica)
	for _, life := range []string{"followed", "started again", "rebuilt"} {
		if got := dump(t, replica); got != want {
			t.Fatalf("%s: %s", life, firstDifference(want, got))
		}
		mustClose(t, replica)
		if life == "started again" {
			deleteIndex(t, o.Log.Disk)
		}
		replica = mustOpen(t, o)
		catchUp(t, leader, replica)
	}
	mustClose(t, replica)
	mustClose(t, leader)
}

func TestABaseReplacesALogThatIsFarBehindWhereverACrashCutsThatShort(t *testing.T) {
	t.Parallel()
	leader, base := leaderOfTrimmedLog(t, 33)
	want := dump(t, leader)
	// The replica has the beginning of the log, in files and in memory.
	behind := simdisk.New(34, simdisk.Options{})
	e, w := mustOpen(t, replicaOptions(behind, 33)), newWorkload(35)
	for range 60 {
		if err := appendAs(e, w.now, w.frame()); err != nil {
			t.Fatal(err)
		}
	}
	end, _, _ := e.log.End()
	e.Commit(end)
	settle(t, e)
	mustClose(t, e)
	for step, whole := uint64(1), false; !whole; step++ {
		d := behind.Clone().Kill()
		d.CrashAfter(step)
		o := replicaOptions(d, 33)
		o.Log.Fatal = func(error) {}
		if e, _, err := Open(o); err == nil {
			_ = e.Install(bytes.NewReader(base), e.log.Reset)
			_ = e.Close()
		}
		whole = !d.Crashed()
		o = replicaOptions(d.Crash(), 33)
		e := mustOpen(t, o)
		if err := e.Install(bytes.NewReader(base), e.log.Reset); err != nil {
			t.Fatalf("after a crash at step %d: %v", step, err)
		}
		catchUp(t, leader, e)
		if got := dump(t, e); got != want {
			t.Fatalf("after a crash at step %d: %s", step, firstDifference(want, got))
		}
		mustClose(t, e)
	}
	mustClose(t, leader)
}

func TestABaseThatDoesNotFitALogWithoutReplicasIsRefused(t *testing.T) {
	t.Parallel()
	leader, base := leaderOfTrimmedLog(t, 36)
	mustClose(t, leader)
	d := simdisk.New(37, simdisk.Options{})
	o := testOptions(d, 36)
	e := mustOpen(t, o)
	if err := e.Install(bytes.NewReader(base), e.log.Reset); err == nil || !strings.Contains(err.Error(), "not replicated") {
		t.Fatalf("installed: %v", err)
	}
	mustClose(t, e)
	if err := disk.WriteWhole(d, baseName, base); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("opened: %v", err)
	}
}

func TestADamagedCheckpointIsNotInstalled(t *testing.T) {
	t.Parallel()
	leader, base := leaderOfTrimmedLog(t, 38)
	mustClose(t, leader)
	e := mustOpen(t, replicaOptions(simdisk.New(39, simdisk.Options{}), 38))
	before := dump(t, e)
	for at := 0; at < len(base); at += 1 + len(base)/50 {
		bad := bytes.Clone(base)
		bad[at] ^= 4
		if err := e.Install(bytes.NewReader(bad), nil); err == nil {
			t.Fatalf("installed with a flipped bit at %d", at)
		}
	}
	if err := e.Install(bytes.NewReader(base[:len(base)-1]), nil); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Fatalf("installed what is cut off: %v", err)
	}
	if after := dump(t, e); after != before {
		t.Fatal(firstDifference(before, after))
	}
	mustClose(t, e)
}
