package local

import (
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// Bounds of what is read ahead. Each stream may have one message besides.
const (
	windowCount    = 64        // messages of a stream
	windowBytes    = 256 << 10 // of a stream
	windowBytesAll = 32 << 20  // of all streams
)

// settlePause is before a quarantine is tried again that the disk refused.
const settlePause = time.Second

// queue is what is known about a stream: how much it holds and the oldest part
// of it. The spool's lock guards it.
type queue struct {
	spool    *Spool
	stream   *spool.Stream // nil until it has an entry to read
	held     int64         // entries that are not done, those on their way included
	next     event.Offset  // to be read
	window   []*entry      // that were read and are not done, in their order
	unread   bool          // there may be more to read
	reading  bool          // somebody reads
	settling bool          // somebody settles
	queued   bool          // in ready
	wakes    time.Time     // when it is made ready next
}

// entry is a message that was read.
type entry struct {
	outbox.Entry
	offset event.Offset
	peers  int // entries before it that it needn't wait for
	state  state
	due    time.Time
	reason string // for quarantine
}

type state uint8

const (
	waiting  state = iota
	underWay       // taken
	done
	refused // for quarantine
)

// item is an entry that was taken, and where it belongs.
type item struct {
	queue *queue
	entry *entry
}

func (q *queue) beginLocked(stream *spool.Stream) {
	if q.stream == nil {
		q.stream, q.next = stream, stream.First()
	}
}

// arrived is told by the log that a stream has entries to read.
func (s *Spool) arrived(stream *spool.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queueLocked(place{stream.Name(), stream.Lane()})
	q.beginLocked(stream)
	q.unread = true
	s.readyLocked(q)
}

func (s *Spool) readyLocked(q *queue) {
	if q.queued {
		return
	}
	q.queued = true
	s.ready = append(s.ready, q)
	close(s.changed)
	s.changed = make(chan struct{})
}

// pickLocked takes the oldest entry that may be sent now. Where that depends on
// time alone it returns the time.
func (q *queue) pickLocked(now time.Time) (e *entry, due time.Time) {
	for _, e := range q.window {
		switch {
		case e.state != waiting:
			continue
		case int64(e.offset)-int64(e.peers) > int64(q.window[0].offset):
			return nil, time.Time{}
		case now.Before(e.due):
			return nil, e.due
		}
		return e, time.Time{}
	}
	return nil, time.Time{}
}

// readsLocked tells whether more should be read, and how much.
func (q *queue) readsLocked() (limits engine.ReadLimits, reads bool) {
	if !q.unread || q.reading || len(q.window) >= windowCount {
		return limits, false
	}
	limits = engine.ReadLimits{Count: windowCount - len(q.window), Bytes: windowBytes, Scan: windowCount}
	if q.spool.bytes >= windowBytesAll {
		limits.Count = 1
		return limits, len(q.window) == 0
	}
	return limits, true
}

// read reads more of a stream. Entries that can't be read are for quarantine.
func (q *queue) read(from event.Offset, limits engine.ReadLimits) (entries []*entry, next event.Offset, err error) {
	next, err = q.stream.Read(from, limits, func(i spool.Item) error {
		m, err := decode(i.Payload)
		e := &entry{offset: i.Offset, peers: i.Peers, Entry: outbox.Entry{Number: uint64(i.Position), Message: m, InDoubt: i.Doubt,
			Spooled: time.UnixMilli(i.Timestamp)}}
		if err != nil {
			e.state, e.reason = refused, err.Error()
		}
		entries = append(entries, e)
		return nil
	})
	if spool.Damaged(err) {
		entries = append(entries, &entry{offset: next, state: refused, reason: err.Error()})
		return entries, next + 1, nil
	}
	return entries, next, err
}

func (e *entry) bytes() int {
	if e.Message == nil {
		return 0
	}
	return len(e.Message.Body)
}

// settle forgets what is done at the front of a stream, and puts into
// quarantine what is for it. One caller at a time does so; the others' work is
// done by it.
func (s *Spool) settle(q *queue) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.settling {
		return nil
	}
	q.settling = true
	defer func() { q.settling = false }()
	for len(q.window) > 0 && q.window[0].state >= done {
		first := q.window[0]
		s.mu.Unlock()
		err := error(nil)
		if first.state == refused {
			err = q.stream.Quarantine(first.reason)
		} else {
			q.stream.Done(first.offset + 1)
		}
		s.mu.Lock()
		if err != nil {
			time.AfterFunc(settlePause, func() {
				if err := s.settle(q); err != nil {
					s.logger.Error("the outbox's spool can't set a message aside", "error", err)
				}
			})
			return fmt.Errorf("set a message aside: %w", err)
		}
		q.window = q.window[1:]
		q.held--
		s.bytes -= first.bytes()
	}
	s.readyLocked(q)
	return nil
}
