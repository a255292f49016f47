package replication

import (
	"slices"
	"testing"

	"github.com/apogeemq/apogee/engine"
)

// told keeps what a batch tells of what follows.
type told struct{ following []int }

func (o *told) Complete(p *engine.Proposal) { o.following = append(o.following, p.Following) }

// TestTheLastGatheredCompletionIsToldThatNoneFollows puts other proposals
// behind it: whoever gathers would wait for them in vain.
func TestTheLastGatheredCompletionIsToldThatNoneFollows(t *testing.T) {
	t.Parallel()
	gathers, other := &told{}, &told{}
	b := &batch{}
	add := func(c *told, wait engine.Wait) {
		b.parts = append(b.parts, part{proposal: &engine.Proposal{Completion: c, Gathered: c == gathers, Wait: wait}})
	}
	for _, wait := range []engine.Wait{engine.WaitWritten, engine.WaitCommitted, engine.WaitWritten, engine.WaitCommitted} {
		add(other, engine.WaitCommitted)
		add(gathers, wait)
	}
	add(other, engine.WaitWritten)
	b.complete(b.parts, engine.OutcomeCommitted, waitsForWritten)
	if !slices.Equal(gathers.following, []int{1, 0}) {
		t.Errorf("at Written: %v follow", gathers.following)
	}
	b.complete(b.parts, engine.OutcomeCommitted, everyProposal)
	if !slices.Equal(gathers.following, []int{1, 0, 1, 0}) || !slices.Equal(other.following, []int{0, 0, 0, 0, 0}) {
		t.Errorf("%v and %v follow", gathers.following, other.following)
	}
}
