package commitlog

import (
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// TestADeathAtAnyStepOfRollTrimAndRecycleLosesNothing walks through the life of
// a log that rolls, trims, recycles, truncates and closes, and ends it at each
// step that changes the disk: by kill -9 and by a power cut.
func TestADeathAtAnyStepOfRollTrimAndRecycleLosesNothing(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name string
		die  func(*simdisk.Disk) *simdisk.Disk
	}{{"kill", (*simdisk.Disk).Kill}, {"power cut", (*simdisk.Disk).Crash}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			step := uint64(1)
			for !dieAtStep(t, step, way.die) {
				step += seedShare
			}
			if step < 60 {
				t.Errorf("the life had %d steps only", step)
			}
		})
	}
}

// dieAtStep reports whether the life was over before the step came.
func dieAtStep(t *testing.T, step uint64, die func(*simdisk.Disk) *simdisk.Disk) (over bool) {
	r := &crashRun{t: t, seed: step, rng: rand.New(rand.NewPCG(step, 3)), replay: t.Name()}
	d := simdisk.New(step, simdisk.Options{StaleBytes: step%2 == 0})
	r.opts = testOptions(t, d)
	r.opts.SegmentBytes, r.opts.TailBytes, r.opts.Fatal = 64<<10, 48<<10, r.fail
	d.CrashAfter(step)
	over = r.eventfulLife()
	if !over && !d.Crashed() {
		r.fatalf("step %d: the life ended without a death: %v", step, r.failure)
	}
	r.opts.Disk = die(d)
	l, _, err := Open(r.opts)
	if err != nil {
		r.fatalf("step %d: open: %v", step, err)
	}
	r.check(l)
	r.appendSome(l, 20)
	if err := l.Close(); err != nil {
		r.fatalf("step %d: close: %v", step, err)
	}
	return over
}

// eventfulLife rolls, trims and recycles; it truncates what it appended last.
func (r *crashRun) eventfulLife() bool {
	l, _, err := Open(r.opts)
	if err != nil {
		return false
	}
	ok := true
	for range 3 {
		ok = ok && r.appendSome(l, 27) && l.Trim(r.sealed(l)) == nil
		l.Tick()
	}
	ok = ok && r.truncate(l, 5) && r.appendSome(l, 3)
	return l.Close() == nil && ok
}

// sealed is the last frame of the newest sealed segment, now the trim's limit.
func (r *crashRun) sealed(l *Log) event.Index {
	ends := l.SegmentEnds()
	if len(ends) == 0 {
		return 0
	}
	r.trimmed = ends[len(ends)-1]
	return r.trimmed
}

// appendSome appends in small groups and waits until each is promised.
func (r *crashRun) appendSome(l *Log, n int) bool {
	for i := range n {
		data := encoded(l.Seed(), len(r.appended)+int(r.seed)*1000, 4000)
		ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Timestamp: int64(len(r.appended)), Data: data})
		if err != nil {
			return false
		}
		r.appended = append(r.appended, data)
		if i%4 < 3 && i+1 < n {
			continue
		}
		if l.Wait(ticket, Durable) != nil {
			return false
		}
		r.acked = len(r.appended)
	}
	return true
}

// truncate drops the last n frames. Until it has returned they may be there.
func (r *crashRun) truncate(l *Log, n int) bool {
	r.acked -= n
	if l.Truncate(event.Index(len(r.appended)-n+2)) != nil {
		return false
	}
	r.appended = r.appended[:r.acked]
	return true
}
