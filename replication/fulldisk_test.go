package replication

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// counter counts completions.
type counter struct{ atomic.Int64 }

func (c *counter) Complete(*engine.Proposal) { c.Add(1) }

// fill proposes messages until the disk is full. Some may still wait for space.
func fill(t *testing.T, s *Single, q event.Queue, stored *counter) (accepted int64) {
	t.Helper()
	for {
		err := s.Propose(&engine.Proposal{Drafts: []event.Draft{message(q, string(make([]byte, 1000)))}, Completion: stored})
		if errors.Is(err, engine.ErrDiskFull) || errors.Is(err, engine.ErrBusy) {
			return accepted
		}
		if err != nil || accepted > 5000 {
			t.Fatalf("message %d: %v; the disk should fill up", accepted, err)
		}
		accepted++
	}
}

func TestAFullDiskTakesTheDecisionThatFreesIt(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir(), engine.CommitDurable)
	o.Engine.Log = commitlog.Options{SegmentBytes: 256 << 10, TailBytes: 128 << 10, HistoryBytes: 1 << 20,
		Disk: simdisk.New(1, simdisk.Options{CapacityBytes: 900 << 10})}
	o.Proposer.WaitingBytes = 16 << 10 // less than a segment, as in life
	s, q := open(t, o), event.Queue{Topic: 1, ID: 1}
	var stored counter
	accepted := fill(t, s, q, &stored)
	oldest := s.Engine().Log().Sealed()[0]
	done := make(waiter, 1)
	trim := event.AppendTrim(nil, event.Trim{Through: oldest.Last, Position: oldest.End, Cause: event.TrimBySpace})
	err := s.Propose(&engine.Proposal{Drafts: []event.Draft{{Kind: event.KindTrim, Payload: event.Bytes(trim)}}, Completion: done})
	if err != nil {
		t.Fatalf("the full disk refuses the decision: %v", err)
	}
	<-done
	deadline := time.Now().Add(30 * time.Second)
	for first, after := event.Offset(0), 0; first == 0 || after == 0; first, _ = s.Engine().Bounds(q) {
		err := s.Propose(&engine.Proposal{Drafts: []event.Draft{message(q, "is there room?")}, Completion: done})
		if err == nil {
			<-done
			after++
		}
		if err != nil && !errors.Is(err, engine.ErrDiskFull) && !errors.Is(err, engine.ErrBusy) || time.Now().After(deadline) {
			t.Fatalf("after the decision %d messages were stored, the oldest offset is %d: %v", after, first, err)
		}
	}
	if got := stored.Load(); got != accepted {
		t.Fatalf("%d of %d accepted messages are stored", got, accepted)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
