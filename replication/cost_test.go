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
	o.Engine.Log.TailBytes = 1 << 20 // wraps during the warm-up
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
	// 64 messages a run: an allocation per message would show as 64, one per
	// batch as several. What is left are chunks of the queue index, one per
	// 1,024 entries of a queue, and timers.
	if n := testing.AllocsPerRun(200, round); n > 4 {
		t.Errorf("%v allocations for 64 messages, 4 are allowed", n)
	}
}
