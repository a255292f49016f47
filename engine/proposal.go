package engine

import "github.com/apogeemq/apogee/engine/event"

// Outcome is what became of a proposal. All but OutcomeUnknown mean stored.
type Outcome uint8

const (
	// OutcomeCommitted: the mark that the configuration names has passed.
	OutcomeCommitted Outcome = iota
	// OutcomeFlushTimeout: stored, but the flush is not back in time
	// (RocketMQ's FLUSH_DISK_TIMEOUT).
	OutcomeFlushTimeout
	// OutcomeNoReplica: stored here; no replica is in reach (SLAVE_NOT_AVAILABLE).
	OutcomeNoReplica
	// OutcomeReplicaTimeout: stored here; replicas are late (FLUSH_SLAVE_TIMEOUT).
	OutcomeReplicaTimeout
	// OutcomeUnknown: the node lost its leadership, or stopped, with the
	// proposal in doubt. The proposer of the message should send it again.
	OutcomeUnknown
)

// Wait is the mark at which a proposal completes.
type Wait uint8

const (
	// WaitCommitted: the mark that the configuration names.
	WaitCommitted Wait = iota
	// WaitWritten: the write has completed here. It survives the death of this
	// process and nothing worse (RocketMQ's waitStoreMsgOK=false).
	WaitWritten
)

// Proposal asks for events to be stored: all or nothing, side by side in one
// frame. The caller owns it and may use it again after Complete returned.
type Proposal struct {
	// Drafts to store.
	Drafts []event.Draft
	// Wait says what Completion waits for.
	Wait Wait
	// Completion is told the outcome, once, unless Propose returned an error.
	Completion Completion
	// Gathered: the Completion collects what it is told and works when nothing
	// more of its kind follows at once.
	Gathered bool

	// Results, valid in Complete.
	Outcome   Outcome
	Position  event.Position // of Drafts[0]
	Offset    event.Offset   // queue offset of the first draft that enters a queue, those of that queue follow; -1 where none does
	Timestamp int64          // of the frame, Unix milliseconds
	Following int            // with Gathered: gathered completions that come right after this one, on the same goroutine
}

// EncodedBytes is the room that the proposal takes in a frame.
func (p *Proposal) EncodedBytes() int {
	n := 0
	for i := range p.Drafts {
		n += p.Drafts[i].EncodedBytes()
	}
	return n
}

// PositionOf is the position of Drafts[i], valid in Complete.
func (p *Proposal) PositionOf(i int) event.Position {
	at := p.Position
	for j := range i {
		at += event.Position(p.Drafts[j].EncodedBytes())
	}
	return at
}

// Completion receives the outcome of a proposal.
type Completion interface {
	// Complete is called by one goroutine at a time and must not block. The
	// proposals with the same Wait complete in log order.
	Complete(p *Proposal)
}
