package settlement

import (
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

// Waiting is the table of waiting messages as applied.
type Waiting interface {
	Get(handle event.Position) (pending.Entry, bool, error)
}

// Settlement knows the waiting messages about which something was decided that
// is not applied yet. Any goroutine may use it.
type Settlement struct {
	waiting Waiting
	applied func() event.Position // the log is applied up to here

	mu    sync.Mutex
	taken map[event.Position]bool
	queue []conclusion // stored and perhaps not applied, in the order of Concluded
}

type conclusion struct{ handle, at event.Position }

// New makes a settlement. applied is the position after the last applied event.
func New(waiting Waiting, applied func() event.Position) *Settlement {
	return &Settlement{waiting: waiting, applied: applied, taken: make(map[event.Position]bool)}
}

// Reset forgets all decisions: those of an earlier leadership are applied, or
// will never be. Nobody who has begun under it concludes any more.
func (s *Settlement) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.taken)
	s.queue = nil
}

// Begin takes a handle and returns what waits under it. It returns false where
// nothing waits any more, or where something else is decided already. Who
// begins calls Concluded or Withdraw.
func (s *Settlement) Begin(handle event.Position) (pending.Entry, bool, error) {
	if !s.take(handle) {
		return pending.Entry{}, false, nil
	}
	entry, found, err := s.waiting.Get(handle)
	if err != nil || !found {
		s.Withdraw(handle)
	}
	if err != nil {
		return pending.Entry{}, false, fmt.Errorf("decide about the waiting message %d: %w", handle, err)
	}
	return entry, found, nil
}

func (s *Settlement) take(handle event.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetApplied()
	if s.taken[handle] {
		return false
	}
	s.taken[handle] = true
	return true
}

// forgetApplied frees the handles whose conclusions the table has. Conclusions
// are told nearly in log order; one that is told early waits for those before.
func (s *Settlement) forgetApplied() {
	applied, n := s.applied(), 0
	for n < len(s.queue) && s.queue[n].at < applied {
		delete(s.taken, s.queue[n].handle)
		n++
	}
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
}

// Concluded says that the event about a handle is stored at a position.
func (s *Settlement) Concluded(handle, at event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, conclusion{handle: handle, at: at})
}

// Withdraw frees a handle about which nothing was stored.
func (s *Settlement) Withdraw(handle event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, handle)
}

// Taken is the number of handles about which something is decided and, as far
// as is known, not applied.
func (s *Settlement) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetApplied()
	return len(s.taken)
}
