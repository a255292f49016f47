package local

import (
	"context"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// Take implements outbox.Spool.
func (s *Spool) Take(ctx context.Context) (outbox.Entry, error) {
	for {
		q, changed := s.nextReady()
		if q == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return outbox.Entry{}, ctx.Err()
			}
		}
		e, err := s.takeFrom(q)
		if err != nil {
			return outbox.Entry{}, err
		}
		if e != nil {
			return e.Entry, nil
		}
		if ctx.Err() != nil {
			return outbox.Entry{}, ctx.Err()
		}
	}
}

// nextReady removes the first stream from ready, or returns what is closed
// when there is one.
func (s *Spool) nextReady() (*queue, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return nil, s.changed
	}
	q := s.ready[0]
	s.ready = s.ready[1:]
	q.queued = false
	return q, nil
}

// takeFrom takes an entry of a stream, after reading more of it where there is
// need to. The stream is ready again if there may be more to take.
func (s *Spool) takeFrom(q *queue) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	e, due := q.pickLocked(now)
	if e != nil {
		e.state = underWay
		s.taken[e.Number] = item{q, e}
		s.readyLocked(q)
		return e, nil
	}
	if !due.IsZero() {
		s.wakeLocked(q, now, due)
		return nil, nil
	}
	limits, reads := q.readsLocked()
	if !reads {
		return nil, nil
	}
	q.reading, q.unread = true, false
	from := q.next
	s.mu.Unlock()
	entries, next, err := q.read(from, limits)
	s.mu.Lock()
	q.reading, q.next = false, next
	q.unread = q.unread || len(entries) > 0 || err != nil
	settles := false
	for _, e := range entries {
		q.window = append(q.window, e)
		s.bytes += e.bytes()
		settles = settles || e.state == refused
	}
	if q.unread {
		s.readyLocked(q)
	}
	if err != nil {
		return nil, fmt.Errorf("read the outbox's spool: %w", err)
	}
	if !settles {
		return nil, nil
	}
	s.mu.Unlock()
	err = s.settle(q)
	s.mu.Lock()
	return nil, err
}

// wakeLocked makes a stream ready again at a time, unless that is arranged.
func (s *Spool) wakeLocked(q *queue, now, due time.Time) {
	if q.wakes.After(now) && !q.wakes.After(due) {
		return
	}
	q.wakes = due
	time.AfterFunc(due.Sub(now), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.readyLocked(q)
	})
}

// giveBack ends the taking of an entry.
func (s *Spool) giveBack(e outbox.Entry, change func(*entry)) *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, found := s.taken[e.Number]
	if !found {
		panic(fmt.Sprintf("BUG: entry %d of the outbox's spool comes back and was not taken", e.Number))
	}
	delete(s.taken, e.Number)
	change(taken.entry)
	return taken.queue
}

// Done implements outbox.Spool.
func (s *Spool) Done(e outbox.Entry) error {
	return s.settle(s.giveBack(e, func(e *entry) { e.state = done }))
}

// Quarantine implements outbox.Spool.
func (s *Spool) Quarantine(e outbox.Entry, reason string) error {
	return s.settle(s.giveBack(e, func(e *entry) { e.state, e.reason = refused, reason }))
}

// Return implements outbox.Spool.
func (s *Spool) Return(e outbox.Entry, due time.Time, inDoubt bool) {
	q := s.giveBack(e, func(e *entry) {
		e.state, e.due = waiting, due
		e.Attempts++
		e.InDoubt = e.InDoubt || inDoubt
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readyLocked(q)
}
