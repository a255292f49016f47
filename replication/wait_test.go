package replication

import (
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// patience bounds the waits of tests.
const patience = 20 * time.Second

// openOnFaults opens a node whose disk obeys rules from now on.
func openOnFaults(t *testing.T, flushTimeout time.Duration) (*Single, *faultdisk.Disk) {
	t.Helper()
	o := options(t, t.TempDir(), engine.CommitDurable)
	faults := faultdisk.New(o.Engine.Log.Disk, nil, faultdisk.SystemClock{})
	o.Engine.Log.Disk = faults
	o.Proposer.FlushTimeout = flushTimeout
	s := open(t, o)
	t.Cleanup(func() {
		faults.Set(nil)
		faults.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, faults
}

func breakDisk(t *testing.T, d *faultdisk.Disk, rules string) {
	t.Helper()
	parsed, err := faultdisk.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	d.Set(parsed)
}

func propose(t *testing.T, s *Single, wait engine.Wait) waiter {
	t.Helper()
	done := make(waiter, 1)
	p := &engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, "body")}, Wait: wait, Completion: done}
	if err := s.Propose(p); err != nil {
		t.Fatal(err)
	}
	return done
}

func outcomeOf(t *testing.T, w waiter) engine.Proposal {
	t.Helper()
	select {
	case p := <-w:
		return p
	case <-time.After(patience):
		t.Fatal("the proposal doesn't complete")
		return engine.Proposal{}
	}
}

func TestAProposalThatWaitsForWrittenDoesNotWaitForTheSync(t *testing.T) {
	t.Parallel()
	s, d := openOnFaults(t, patience)
	outcomeOf(t, propose(t, s, engine.WaitCommitted))
	breakDisk(t, d, "sync:*.seg:*=hang")
	check := func(want event.Offset) {
		t.Helper()
		got := outcomeOf(t, propose(t, s, engine.WaitWritten))
		if got.Outcome != engine.OutcomeCommitted || got.Offset != want || got.Position == 0 || got.Timestamp == 0 {
			t.Errorf("offset %d: %+v", want, got)
		}
	}
	check(1)
	strong := propose(t, s, engine.WaitCommitted)
	if strings.HasPrefix(d.Describe(), "io_uring") {
		check(3) // elsewhere nothing is written during a sync
	}
	select {
	case got := <-strong:
		t.Fatalf("a proposal that waits for the sync completed while it hung: %+v", got)
	default:
	}
	if m := s.Engine().Marks(); m.Durable >= m.Written {
		t.Errorf("durable up to %d, written up to %d while the sync hangs", m.Durable, m.Written)
	}
	breakDisk(t, d, "")
	d.Release()
	if got := outcomeOf(t, strong); got.Outcome != engine.OutcomeCommitted || got.Offset != 2 {
		t.Errorf("after the sync: %+v", got)
	}
}

func TestALateFlushIsAnsweredAfterTheTimeoutWithThePlace(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	s, d := openOnFaults(t, timeout)
	outcomeOf(t, propose(t, s, engine.WaitCommitted))
	breakDisk(t, d, "write|sync:*.seg:*=hang")
	began := time.Now()
	for _, wait := range []engine.Wait{engine.WaitCommitted, engine.WaitWritten} {
		late := propose(t, s, wait)
		got := outcomeOf(t, late)
		if waited := time.Since(began); waited < timeout {
			t.Errorf("answered after %v, before %v have passed", waited, timeout)
		}
		// The second may come while the log's own thread hangs in the first's
		// write: then it is not in the log yet.
		if got.Outcome != engine.OutcomeFlushTimeout && (wait == engine.WaitCommitted || got.Outcome != engine.OutcomeUnknown) {
			t.Errorf("outcome %v", got.Outcome)
		}
		if got.Outcome == engine.OutcomeFlushTimeout && (got.Position == 0 || got.Timestamp == 0) {
			t.Errorf("the place is missing: %+v", got)
		}
		began = time.Now()
	}
	breakDisk(t, d, "")
	d.Release()
	// A busy disk may be late once more, but not for ever; no offset is lost or
	// given twice meanwhile.
	deadline := time.Now().Add(patience)
	for want := event.Offset(3); ; want++ {
		got := outcomeOf(t, propose(t, s, engine.WaitCommitted))
		if got.Offset != want {
			t.Fatalf("offset %d, want %d", got.Offset, want)
		}
		if got.Outcome == engine.OutcomeCommitted {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the disk is back and proposals are late still: %+v", got)
		}
	}
}

func TestWhatCannotBeAppendedInTimeIsInDoubt(t *testing.T) {
	t.Parallel()
	now := int64(1_000_000)
	p := newProposer(ProposerOptions{FlushTimeout: time.Second, Now: func() int64 { return now }})
	completed := make(waiter, 10)
	proposal := &engine.Proposal{Drafts: []event.Draft{{Kind: event.KindOffsets, Payload: event.Bytes("x")}}, Completion: completed}
	p.open.data, p.open.parts, p.waiting = []byte("x"), []part{{proposal: proposal, since: now}}, 1
	now += 1000
	p.expire()
	if len(completed) != 0 {
		t.Error("a proposal is late before its time")
	}
	now++
	p.expire()
	if got := outcomeOf(t, completed); got.Outcome != engine.OutcomeUnknown || len(p.closed) != 1 || len(p.open.parts) != 0 {
		t.Errorf("outcome %v, %d closed batches, %d proposals in the open one", got.Outcome, len(p.closed), len(p.open.parts))
	}
	if err := p.drain(closedTimer()); err == nil {
		t.Error("what waits for the disk was forgotten")
	}
}

func closedTimer() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}
