package replication

import (
	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// lossTold is a completion.
type lossTold chan engine.Outcome

// Complete implements engine.Completion.
func (t lossTold) Complete(p *engine.Proposal) { t <- p.Outcome }

// tellLoss puts into the log that events may be missing, and reports whether
// that is committed. It waits for that.
func (p *Proposer) tellLoss(loss commitlog.Loss, stop <-chan struct{}) bool {
	lost := event.Lost{Kept: loss.Kept, Position: loss.Position, Had: loss.Had, Cause: loss.Cause}
	if lost.Validate() != nil { // the note was damaged, and says only that there is one
		lost = event.Lost{Kept: loss.Kept, Position: loss.Position, Cause: event.LostByDamage}
	}
	told := make(lossTold, 1)
	err := p.Propose(&engine.Proposal{
		Drafts:     []event.Draft{{Kind: event.KindLost, Payload: event.Bytes(event.AppendLost(nil, lost))}},
		Completion: told,
	})
	if err != nil {
		return false
	}
	select {
	case outcome := <-told:
		return outcome == engine.OutcomeCommitted
	case <-stop:
		return false
	}
}
