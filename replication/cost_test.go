package replication

import (
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// TestProposingAllocatesNothingInSteadyState counts allocations of the whole
// process: proposer, flusher and apply together. It doesn't run in parallel.
func TestProposingAllocatesNothingInSteadyState(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	o := options(t, t.TempDir(), engine.CommitWritten)
	o.Engine.Log.TailBytes = 8 << 20 // wraps during the warm-up; the applier keeps up with it, so it reads no history
	s := open(t, o)
	defer s.Close()
	done := make(signal, 64)
	proposals := make([]engine.Proposal, 64)
	for i := range proposals {
		proposals[i].Completion = done
		proposals[i].Drafts = []event.Draft{message(event.Queue{Topic: 1, ID: uint32(i % 8)}, "")}
		proposals[i].Drafts[0].Payload = event.Bytes(make([]byte, 1024))
	}
	round := func() {
		for i := range proposals {
			if err := s.Propose(&proposals[i]); err != nil {
				t.Fatal(err)
			}
		}
		for range proposals {
			<-done
		}
	}
	for range 300 {
		round()
	}
	// 64 messages a run: one allocation per message would show as 64. What is
	// left is the index's own growth (chunks of queue entries, a note per batch),
	// and how many batches 64 messages make depends on the machine's load: so the
	// least of a few measurements counts, far below one per message.
	least := testing.AllocsPerRun(200, round)
	for range 4 {
		least = min(least, testing.AllocsPerRun(200, round))
	}
	if least > 4 {
		t.Errorf("%v allocations for 64 messages, 4 are allowed", least)
	}
}
