package replication

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

// watchAt is a master's view of one slave, by a clock of its own.
type watchAt struct {
	slaveWatch
	match   uint64
	contact time.Time
	now     time.Time
}

func newWatch() *watchAt {
	w := &watchAt{now: time.Unix(1_700_000_000, 0)}
	w.kind = &MasterSlave{InSync: 1, ReplicaTimeout: time.Second, Reach: 2 * time.Second, CatchUp: 15 * time.Second}
	w.of = func(raft.ServerID) (uint64, time.Time) { return w.match, w.contact }
	w.begin(nil, 0, w.now)
	return w
}

// after looks some time later, at a slave that has just answered.
func (w *watchAt) after(d time.Duration, committed, end uint64) (counts bool) {
	w.now = w.now.Add(d)
	w.contact = w.now
	return w.silent(0, committed, end)
}

// silent looks some time later, at a slave that has not answered meanwhile.
func (w *watchAt) silent(d time.Duration, committed, end uint64) (counts bool) {
	w.now = w.now.Add(d)
	w.look([]raft.ServerID{"slave"}, event.Index(committed), event.Index(end), w.now)
	return w.counting("slave")
}

func TestASlaveCountsFromWhenItHasWhatIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWatch()
	w.match = 90
	if w.after(0, 100, 110); w.after(time.Second, 100, 110) {
		t.Error("a slave counts that lacks what others have seen")
	}
	w.match = 120
	w.after(time.Second, 120, 120)
	if !w.after(time.Second, 120, 130) {
		t.Error("a slave that has everything doesn't count")
	}
	if !w.after(time.Second, 125, 140) {
		t.Error("a slave that has counted no longer does, though it answers: nobody waits for it")
	}
}

func TestASlaveCountsWhileItAnswersAndSeesTheEndNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWatch()
	w.match = 100
	w.after(0, 100, 100)
	if !w.after(time.Second, 100, 100) {
		t.Fatal("a slave that has everything doesn't count")
	}
	if !w.silent(1900*time.Millisecond, 100, 100) || w.silent(200*time.Millisecond, 100, 100) {
		t.Error("a slave counts for two seconds of silence, and no longer")
	}
	if !w.after(0, 100, 100) {
		t.Error("it doesn't count when it answers again")
	}
	end := uint64(100)
	for range 14 { // it gets more, but never what was the end
		end += 100
		w.match = end - 110
		if !w.after(time.Second, w.match, end) {
			t.Fatal("a slave that has been behind for less than 15 s doesn't count")
		}
	}
	for range 3 {
		end += 100
		w.match = end - 110
		w.after(time.Second, w.match-1, end)
	}
	if w.counting("slave") {
		t.Error("a slave counts that hasn't seen the end of the log for 15 s")
	}
}
