package spool

import (
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// recorder writes what is done into the log: one event at a time with all marks
// that moved while the one before was written.
type recorder struct {
	spool *Spool
	wake  chan struct{}
	ended chan struct{}

	committing sync.Mutex // held while marks are on their way, so that none goes back

	mu     sync.Mutex
	marked []*Stream
}

// recordMax is how many marks one event has at most.
const recordMax = 4096

// recordPause is the time between two tries.
const recordPause = time.Second

func newRecorder(s *Spool) *recorder {
	return &recorder{spool: s, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (r *recorder) add(s *Stream) {
	r.mu.Lock()
	r.marked = append(r.marked, s)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// again marks streams once more.
func (r *recorder) again(streams []*Stream) {
	for _, s := range streams {
		s.mu.Lock()
		s.markLocked()
		s.mu.Unlock()
	}
}

// run works until stop is closed, and then once more.
func (r *recorder) run(stop <-chan struct{}) {
	defer close(r.ended)
	for {
		select {
		case <-r.wake:
			r.rounds()
		case <-stop:
			r.rounds()
			return
		}
	}
}

func (r *recorder) rounds() {
	for {
		r.mu.Lock()
		n := min(len(r.marked), recordMax)
		streams := r.marked[:n:n]
		r.marked = r.marked[n:]
		r.mu.Unlock()
		if n == 0 {
			return
		}
		if err := r.record(streams); err != nil {
			r.spool.options.Log.Warn("what was delivered can't be noted: after a restart it is delivered again; the next try is in a second", "cause", err)
			time.AfterFunc(recordPause, func() { r.again(streams) })
			return
		}
	}
}

// record writes the marks of streams.
func (r *recorder) record(streams []*Stream) error {
	r.committing.Lock()
	defer r.committing.Unlock()
	commits := make([]event.OffsetCommit, len(streams))
	for i, s := range streams {
		commits[i] = s.record()
	}
	if err := r.spool.propose(engine.WaitWritten, commitDraft(commits)); err != nil {
		return err
	}
	for i, s := range streams {
		s.settled(commits[i].Offset)
	}
	return nil
}

func commitDraft(commits []event.OffsetCommit) event.Draft {
	return event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, commits))}
}

// wait is a Completion for callers that wait.
type wait struct {
	outcome chan engine.Outcome
}

// Complete implements engine.Completion.
func (w wait) Complete(p *engine.Proposal) { w.outcome <- p.Outcome }

// propose stores drafts and waits for that.
func (s *Spool) propose(mark engine.Wait, drafts ...event.Draft) error {
	w := wait{make(chan engine.Outcome, 1)}
	if err := s.single.Propose(&engine.Proposal{Drafts: drafts, Wait: mark, Completion: w}); err != nil {
		return err
	}
	if o := <-w.outcome; o == engine.OutcomeUnknown {
		return errUnknown
	}
	return nil
}
