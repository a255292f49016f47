package spool

import (
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// used is how many bytes the log has.
func (s *Spool) used() int64 {
	_, _, end := s.engine.Log().End()
	_, begin := s.engine.Log().First()
	return int64(end - begin)
}

// marksShare is the part of a segment that is kept for marks, and for entries
// that are on their way while the room is measured.
const marksShare = 4

// look measures what room there is.
func (s *Spool) look() {
	s.room.Store(s.options.BytesMax - s.options.SegmentBytes/marksShare - s.used())
}

// admit takes room for an entry.
func (s *Spool) admit(n int64) error {
	if s.room.Add(-n) >= 0 {
		return nil
	}
	s.look() // what was taken for others is in the log by now, or soon
	if s.room.Add(-n) >= 0 {
		return nil
	}
	s.refused.Add(1)
	return fmt.Errorf("spool %s: %w: %d bytes of at most %d wait or can't be removed yet; nothing was stored",
		s.options.Dir, ErrFull, s.used(), s.options.BytesMax)
}

// keepHouse removes what is done.
func (s *Spool) keepHouse() {
	ticker := time.NewTicker(housekeeping)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.settleQuarantine()
			if err := s.trim(); err != nil {
				s.options.Log.Warn("spool: what is done isn't removed; the next try is in a second", "cause", err)
			}
			s.look()
		}
	}
}

// trim drops the oldest segments, as far as everything in them is done.
func (s *Spool) trim() error {
	trimmed := s.engine.Marks().Trimmed
	sealed := s.engine.Log().Sealed()
	for len(sealed) > 0 && sealed[0].Last <= trimmed {
		sealed = sealed[1:]
	}
	if len(sealed) == 0 {
		return nil
	}
	clear, err := s.clear(sealed[0].End)
	if err != nil {
		return err
	}
	last := -1
	for i, segment := range sealed {
		if segment.End <= clear && segment.Last <= s.engine.Marks().Applied {
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	t := event.Trim{Through: sealed[last].Last, Position: sealed[last].End, Cause: event.TrimBySize}
	if err := t.Validate(); err != nil {
		return err
	}
	return s.propose(engine.WaitCommitted, event.Draft{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, t))})
}

// clear is the position before which nothing waits. It looks no further when
// something waits before least.
func (s *Spool) clear(least event.Position) (event.Position, error) {
	clear := s.engine.Marks().AppliedPosition
	look := func(st *Stream) error {
		at, waits, err := st.firstPosition()
		if waits {
			clear = min(clear, at)
		}
		if clear < least {
			s.blocker = st
		}
		return err
	}
	if s.blocker != nil {
		if err := look(s.blocker); err != nil || clear < least {
			return clear, err
		}
		s.blocker = nil
	}
	s.mu.RLock()
	all := make([]*Stream, 0, len(s.streams))
	for _, st := range s.streams {
		all = append(all, st)
	}
	s.mu.RUnlock()
	for _, st := range all {
		if st.Waiting() == 0 {
			continue
		}
		if err := look(st); err != nil || clear < least {
			return clear, err
		}
	}
	return clear, nil
}

// firstPosition is where the first entry stands that isn't recorded as done.
// One that is damaged still waits, until it is in the quarantine.
func (s *Stream) firstPosition() (at event.Position, waits bool, err error) {
	s.mu.Lock()
	from := s.recorded
	s.mu.Unlock()
	_, err = s.spool.engine.ReadQueue(s.queue, from, engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, nil, func(m engine.Message) error {
		at, waits = m.Position, true
		return nil
	})
	if Damaged(err) {
		return 0, true, nil
	}
	return at, waits, err
}
