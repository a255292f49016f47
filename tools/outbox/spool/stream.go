package spool

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// Stream is a sequence of entries that keep their order. All methods are safe
// from any goroutine.
type Stream struct {
	spool *Spool
	name  string
	queue event.Queue

	putting  sync.Mutex // held over the proposal of an entry, so that numbers follow the log
	next     event.Offset
	answered atomic.Int64 // before it are the entries that somebody was told of

	mu       sync.Mutex   // never held while anything waits
	done     event.Offset // before it everything is done
	recorded event.Offset // the same as the log knows it
	marked   bool         // among those to be recorded

	waiting atomic.Int64 // entries from recorded on, those on their way included
	bytes   atomic.Int64 // of them
}

// Name of the stream.
func (s *Stream) Name() string { return s.name }

// Lane of the stream.
func (s *Stream) Lane() uint32 { return s.queue.ID }

// Waiting counts the entries that aren't known to be done, those on their way
// into the spool included. It costs one load.
func (s *Stream) Waiting() int64 { return s.waiting.Load() }

// Bytes is how much waits.
func (s *Stream) Bytes() int64 { return s.bytes.Load() }

// First is the first entry that isn't done.
func (s *Stream) First() event.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Recorded is the first entry that isn't noted as done: after a death of the
// process it is the first again.
func (s *Stream) Recorded() event.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recorded
}

// Put stores an entry. After an error nothing was stored and Stored isn't
// called: ErrFull, or those of replication's Propose.
func (s *Spool) Put(e *Entry) error { return s.putWith(e, nil) }

// putWith stores an entry and other events in one frame.
func (s *Spool) putWith(e *Entry, others []event.Draft) error {
	st := e.Stream
	d := &e.drafts[0]
	*d = event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: st.queue.Topic, Queue: st.queue.ID, Keys: e.Keys, Payload: e}
	e.bytes = d.EncodedBytes()
	d.Tag = int32(e.bytes)
	if err := s.admit(int64(e.bytes)); err != nil {
		return err
	}
	e.proposal = engine.Proposal{Drafts: e.drafts[:], Completion: e, Gathered: true}
	if len(others) > 0 {
		e.proposal.Drafts = append(e.proposal.Drafts[:1:1], others...)
	}
	st.putting.Lock()
	defer st.putting.Unlock()
	e.Offset, e.peers = st.next, int(int64(st.next)-st.answered.Load())
	st.waiting.Add(1)
	s.waiting.Add(1)
	st.bytes.Add(int64(e.bytes))
	st.next++
	if err := s.single.Propose(&e.proposal); err != nil {
		st.waiting.Add(-1)
		s.waiting.Add(-1)
		st.bytes.Add(int64(-e.bytes))
		st.next--
		return err
	}
	s.stored.Add(1)
	return nil
}

// Answered says that whoever put an entry is told so now: what is put later is
// to be delivered behind it. It is called for each entry after Stored.
func (s *Stream) Answered(entry event.Offset) {
	for through := int64(entry) + 1; ; {
		now := s.answered.Load()
		if now >= through || s.answered.CompareAndSwap(now, through) {
			return
		}
	}
}

// Read visits entries from an offset on, in order, until the limits are reached.
// It returns the offset after the last. An error that wraps engine.ErrCorrupt
// or ErrMalformed is about the entry at that offset.
func (s *Stream) Read(from event.Offset, limits engine.ReadLimits, visit func(Item) error) (event.Offset, error) {
	return s.spool.engine.ReadQueue(s.queue, from, limits, nil, func(m engine.Message) error {
		item, err := itemOf(m)
		if err != nil {
			return fmt.Errorf("read entry %d of stream %s: %w", m.Offset, s.name, err)
		}
		item.Offset = m.Offset
		return visit(item)
	})
}

// Damaged reports whether an error of Read says that an entry is damaged.
func Damaged(err error) bool {
	return errors.Is(err, engine.ErrCorrupt) || errors.Is(err, ErrMalformed)
}

// Done says that everything before an offset is delivered. It is recorded soon.
func (s *Stream) Done(through event.Offset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if through > s.done {
		s.done = through
		s.markLocked()
	}
}

func (s *Stream) markLocked() {
	if !s.marked {
		s.marked = true
		s.spool.recorder.add(s)
	}
}

// record takes the mark that is to be recorded now.
func (s *Stream) record() event.OffsetCommit {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = false
	return event.OffsetCommit{Group: deliveredGroup, Queue: s.queue, Offset: s.done}
}

// settled takes in that a mark is in the log. The index tells how much it was
// about.
func (s *Stream) settled(through event.Offset) {
	s.mu.Lock()
	from := s.recorded
	if through <= from {
		s.mu.Unlock()
		return
	}
	s.recorded = through
	s.mu.Unlock()
	s.bytes.Add(-s.spool.sizeOf(s.queue, from, through))
	s.waiting.Add(int64(from - through))
	s.spool.waiting.Add(int64(from - through))
}

// sizeOf is how many bytes a part of a queue has, as far as its index can be
// read.
func (s *Spool) sizeOf(q event.Queue, from, to event.Offset) (n int64) {
	// match is asked for each entry in turn and takes none, so nothing is read.
	_, _ = s.engine.ReadQueue(q, from, engine.ReadLimits{Count: 1, Bytes: 1, Scan: int(to - from)},
		func(tag int32) bool {
			n += int64(tag)
			return false
		}, func(engine.Message) error { return nil })
	return n
}
