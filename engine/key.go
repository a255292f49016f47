package engine

import (
	"math"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// FindKey visits applied events of a topic incarnation that carry a key hash
// equal to the key's, with store times in [from, to] (Unix milliseconds), newest
// first. match says whether the event has the key itself, since hashes
// collide; after limit matches FindKey stops. It reads no more than it visits.
func (e *Engine) FindKey(topic event.TopicID, key []byte, from, to int64, limit int, match func(Message) bool) error {
	if limit <= 0 || from > to {
		return nil
	}
	r, release, err := e.reader()
	if err != nil {
		return err
	}
	defer release()
	first, _, err := e.queues.Around(from)
	if err != nil {
		return err
	}
	_, end, err := e.queues.Around(to + min(1, math.MaxInt64-to))
	if err != nil {
		return err
	}
	first = max(first, e.Marks().TrimmedPosition)
	end = min(end, event.Position(e.position.Load()))
	return e.queues.Keys(event.KeyHash(topic, key), first, end, func(c queue.Candidate) (bool, error) {
		more := true
		err := e.readCandidate(r, topic, c, func(m Message) error {
			switch {
			case m.Timestamp < from:
				more = false
			case m.Timestamp <= to && m.Event.Topic() == topic && match(m):
				limit--
				more = limit > 0
			}
			return nil
		})
		return more, err
	})
}

// FindHash visits applied events that carry a hash and begin in [from, to),
// newest first, until visit returns false or an error. Hashes collide: visit
// looks whether the event is what it wants.
func (e *Engine) FindHash(hash uint64, from, to event.Position, visit func(Message) (more bool, err error)) error {
	r, release, err := e.reader()
	if err != nil {
		return err
	}
	defer release()
	from = max(from, e.Marks().TrimmedPosition)
	to = min(to, event.Position(e.position.Load()))
	return e.queues.Keys(hash, from, to, func(c queue.Candidate) (more bool, err error) {
		err = e.findCandidate(r, c, func(m Message) (err error) {
			more, err = visit(m)
			return err
		})
		return more, err
	})
}

// readCandidate visits the event that a key led to.
func (e *Engine) readCandidate(r *commitlog.Reader, topic event.TopicID, c queue.Candidate, visit func(Message) error) error {
	_, offset, entry, ok, err := e.queues.Locate(topic, c)
	if err != nil {
		return err
	}
	if ok {
		return r.Read(placeOfEntry(&entry), func(ev commitlog.Event) error {
			return visit(Message{Event: ev.Bytes, Position: ev.Position, Offset: offset, Timestamp: ev.Timestamp})
		})
	}
	return e.findCandidate(r, c, visit)
}

// findCandidate visits an event wherever in the log it is.
func (e *Engine) findCandidate(r *commitlog.Reader, c queue.Candidate, visit func(Message) error) error {
	return r.Find(c.Position, func(ev commitlog.Event) error {
		m := Message{Event: ev.Bytes, Position: ev.Position, Offset: -1, Timestamp: ev.Timestamp}
		if ev.Bytes.Stream() == event.StreamQueue {
			var err error
			if m.Offset, err = e.queues.OffsetAt(ev.Bytes.Queue(), c.Position); err != nil {
				return err
			}
		}
		return visit(m)
	})
}
