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

	// While somebody goes by what the table showed him since Watch:
	watching bool
	freed    map[event.Position]struct{} // of which that may not hold any more
	forgot   bool                        // they were too many to remember
}

type conclusion struct{ handle, at event.Position }

// freedMax bounds the handles that are remembered for who watches.
const freedMax = 1 << 16

// New makes a settlement. applied is the position after the last applied event.
func New(waiting Waiting, applied func() event.Position) *Settlement {
	return &Settlement{waiting: waiting, applied: applied, taken: make(map[event.Position]bool), freed: make(map[event.Position]struct{})}
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

// Watch says that the table is going to be read for BeginSeen. One goroutine at
// a time watches, until Unwatch.
func (s *Settlement) Watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetApplied()
	s.watching = true
}

// Unwatch says that what was read since Watch isn't used any more.
func (s *Settlement) Unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.freed) > 0 {
		s.freed = make(map[event.Position]struct{})
	}
	s.watching, s.forgot = false, false
	s.forgetApplied()
}

// BeginSeen is Begin for entries that the table has shown since Watch. It knows
// about which of them something was concluded meanwhile, so it doesn't ask the
// table again. It returns those that are taken now, in order and in the same
// memory.
func (s *Settlement) BeginSeen(entries []pending.Entry) ([]pending.Entry, error) {
	s.mu.Lock()
	if s.forgot {
		s.mu.Unlock()
		return s.beginEach(entries)
	}
	defer s.mu.Unlock()
	began := entries[:0]
	for _, e := range entries {
		if _, was := s.freed[e.Handle]; !was && !s.taken[e.Handle] {
			s.taken[e.Handle] = true
			began = append(began, e)
		}
	}
	return began, nil
}

func (s *Settlement) beginEach(entries []pending.Entry) ([]pending.Entry, error) {
	began := entries[:0]
	for _, e := range entries {
		entry, ok, err := s.Begin(e.Handle)
		if err != nil {
			s.WithdrawAll(began)
			return nil, err
		}
		if ok {
			began = append(began, entry)
		}
	}
	return began, nil
}

// forgetApplied frees the handles whose conclusions the table has. Conclusions
// are told nearly in log order; one that is told early waits for those before.
func (s *Settlement) forgetApplied() {
	applied, n := s.applied(), 0
	for n < len(s.queue) && s.queue[n].at < applied {
		s.free(s.queue[n].handle)
		n++
	}
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
}

func (s *Settlement) free(handle event.Position) {
	delete(s.taken, handle)
	if !s.watching || s.forgot {
		return
	}
	if s.freed[handle] = struct{}{}; len(s.freed) > freedMax {
		s.forgot = true
	}
}

// Concluded says that the event about a handle is stored at a position.
func (s *Settlement) Concluded(handle, at event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, conclusion{handle: handle, at: at})
}

// ConcludedAll says that the events about entries are stored, each at the
// position of its number.
func (s *Settlement) ConcludedAll(entries []pending.Entry, at []event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range entries {
		s.queue = append(s.queue, conclusion{handle: entries[i].Handle, at: at[i]})
	}
}

// Withdraw frees a handle about which nothing was stored.
func (s *Settlement) Withdraw(handle event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, handle)
}

// WithdrawAll frees the handles of entries about which nothing was stored.
func (s *Settlement) WithdrawAll(entries []pending.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range entries {
		delete(s.taken, entries[i].Handle)
	}
}

// Taken is the number of handles about which something is decided and, as far
// as is known, not applied.
func (s *Settlement) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetApplied()
	return len(s.taken)
}
