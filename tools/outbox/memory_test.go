package outbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// memory is the simplest thing that is a Spool, but for a disk.
type memory struct {
	room int

	mu          sync.Mutex
	changed     chan struct{} // closed with each change
	entries     []*Entry
	due         map[string]time.Time // of streams
	taken       map[string]bool
	quarantined []string
	last        uint64
}

func newMemory(room int) *memory {
	return &memory{room: room, changed: make(chan struct{}), due: map[string]time.Time{}, taken: map[string]bool{}}
}

func (s *memory) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *memory) Append(m *Message, inDoubt bool) (err error) {
	s.change(func() {
		if len(s.entries) == s.room {
			err = ErrFull
			return
		}
		s.last++
		kept := *m
		s.entries = append(s.entries, &Entry{Number: s.last, Message: &kept, InDoubt: inDoubt, Spooled: time.Now()})
	})
	return err
}

func (s *memory) Holds(m *Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.entries, func(e *Entry) bool { return e.Message.Stream() == m.Stream() })
}

func (s *memory) Take(ctx context.Context) (Entry, error) {
	for {
		e, wait, changed := s.next()
		if e != nil {
			return *e, nil
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// next takes an entry that is due, or says after what wait or what change
// there may be one.
func (s *memory) next() (e *Entry, wait time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Hour
	seen := map[string]bool{}
	for _, e := range s.entries {
		stream := e.Message.Stream()
		if seen[stream] || s.taken[stream] {
			continue
		}
		seen[stream] = true
		due := time.Until(s.due[stream])
		if due <= 0 {
			s.taken[stream] = true
			copied := *e
			return &copied, 0, nil
		}
		wait = min(wait, due)
	}
	return nil, wait, s.changed
}

func (s *memory) forget(e Entry) {
	s.taken[e.Message.Stream()] = false
	s.entries = slices.DeleteFunc(s.entries, func(kept *Entry) bool { return kept.Number == e.Number })
}

func (s *memory) Done(e Entry) error {
	s.change(func() { s.forget(e) })
	return nil
}

func (s *memory) Quarantine(e Entry, reason string) error {
	s.change(func() {
		s.forget(e)
		s.quarantined = append(s.quarantined, string(e.Message.Body)+": "+reason)
	})
	return nil
}

func (s *memory) Return(e Entry, due time.Time, inDoubt bool) {
	s.change(func() {
		i := slices.IndexFunc(s.entries, func(kept *Entry) bool { return kept.Number == e.Number })
		s.entries[i].Attempts++
		s.entries[i].InDoubt = s.entries[i].InDoubt || inDoubt
		s.due[e.Message.Stream()] = due
		s.taken[e.Message.Stream()] = false
	})
}

func (s *memory) Stats() SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SpoolStats{Entries: int64(len(s.entries)), Quarantined: int64(len(s.quarantined))}
}

func (s *memory) Close() error { return nil }
