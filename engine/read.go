package engine

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// Message is one event as read. Event is valid until the visit returns.
type Message struct {
	Event     event.Event
	Position  event.Position
	Offset    event.Offset // in its queue, -1 where it is unknown
	Timestamp int64        // Unix milliseconds
}

// ReadLimits bound one read of a queue. At least one matching message is
// visited, whatever its size.
type ReadLimits struct {
	Count int // matching messages
	Bytes int // of payloads
	Scan  int // entries looked at, matching or not
}

// lookupEntries is how many index entries are taken at once.
const lookupEntries = 32

// Bounds returns the oldest offset that a queue holds and the next one it will
// give out: 0, 0 where the queue is unknown.
func (e *Engine) Bounds(q event.Queue) (first, next event.Offset) { return e.queues.Bounds(q) }

// Queues lists the queues that have or had events.
func (e *Engine) Queues() []event.Queue { return e.queues.Queues() }

// ErrSkip, returned by a visit of ReadQueue, takes the event as one that does
// not match: it doesn't count against the limits of events and bytes.
var ErrSkip = errors.New("skip this event")

// ReadQueue visits applied events of q from offset from on, in order. match
// decides by tag code, nil for all. It returns the offset after the last event
// that it looked at. An offset outside Bounds visits nothing.
func (e *Engine) ReadQueue(q event.Queue, from event.Offset, limits ReadLimits, match func(tag int32) bool, visit func(Message) error) (event.Offset, error) {
	r, release, err := e.reader()
	if err != nil {
		return from, err
	}
	defer release()
	var entries [lookupEntries]queue.Entry
	left := limits
	for left.Scan > 0 && left.Count > 0 {
		n, err := e.queues.Lookup(q, from, entries[:min(lookupEntries, left.Scan)])
		if n == 0 || err != nil {
			return from, err
		}
		left.Scan -= n
		next, more, err := visitEntries(r, entries[:n], from, &left, limits, match, visit)
		if err != nil || !more {
			return next, err
		}
		from = next
	}
	return from, nil
}

// visitEntries visits what matches until a limit is reached.
func visitEntries(r *commitlog.Reader, entries []queue.Entry, from event.Offset, left *ReadLimits, limits ReadLimits, match func(int32) bool, visit func(Message) error) (next event.Offset, more bool, err error) {
	for i := range entries {
		en := &entries[i]
		if match != nil && !match(en.Tag) {
			from++
			continue
		}
		if left.Count == 0 || int(en.Bytes) > left.Bytes && left.Count < limits.Count {
			return from, false, nil
		}
		err := r.Read(placeOfEntry(en), func(ev commitlog.Event) error {
			return visit(Message{Event: ev.Bytes, Position: ev.Position, Offset: from, Timestamp: ev.Timestamp})
		})
		switch {
		case err == nil:
			left.Count--
			left.Bytes -= int(en.Bytes)
		case !errors.Is(err, ErrSkip):
			return from, false, err
		}
		from++
	}
	return from, true, nil
}

func placeOfEntry(e *queue.Entry) commitlog.Place {
	return commitlog.Place{Segment: e.Segment, Offset: int64(e.FrameOffset), Position: e.Position, Bytes: int(e.Bytes)}
}

// ReadAt visits the applied event that begins at position. ErrNotFound where
// none does, or it was trimmed.
func (e *Engine) ReadAt(position event.Position, visit func(Message) error) error {
	return e.readAt(position, visit, func(r *commitlog.Reader, visit func(commitlog.Event) error) error {
		return r.Find(position, visit)
	})
}

// ReadEntry visits the applied event of so many bytes that begins at position,
// as a projection remembers it. It costs less than ReadAt.
func (e *Engine) ReadEntry(position event.Position, bytes int, visit func(Message) error) error {
	return e.readAt(position, visit, func(r *commitlog.Reader, visit func(commitlog.Event) error) error {
		return r.FindEntry(position, bytes, visit)
	})
}

// EntryPlace is where a projection remembers an event.
type EntryPlace struct {
	Position event.Position
	Bytes    int
}

// ReadEntries is ReadEntry for many events. Each is visited with its number, or
// with the error for which it can't be read. The error returned is ErrClosed.
func (e *Engine) ReadEntries(places []EntryPlace, visit func(i int, m Message, err error)) error {
	r, release, err := e.reader()
	if err != nil {
		return err
	}
	defer release()
	i := 0
	found := func(ev commitlog.Event) error {
		visit(i, Message{Event: ev.Bytes, Position: ev.Position, Offset: -1, Timestamp: ev.Timestamp}, nil)
		return nil
	}
	for ; i < len(places); i++ {
		err := e.readable(places[i].Position)
		if err == nil {
			err = r.FindEntry(places[i].Position, places[i].Bytes, found)
		}
		if err != nil {
			visit(i, Message{}, err)
		}
	}
	return nil
}

func (e *Engine) readAt(position event.Position, visit func(Message) error, find func(*commitlog.Reader, func(commitlog.Event) error) error) error {
	if err := e.readable(position); err != nil {
		return err
	}
	r, release, err := e.reader()
	if err != nil {
		return err
	}
	defer release()
	return find(r, func(ev commitlog.Event) error {
		return visit(Message{Event: ev.Bytes, Position: ev.Position, Offset: -1, Timestamp: ev.Timestamp})
	})
}

// readable refuses a position that is not applied yet, or trimmed.
func (e *Engine) readable(position event.Position) error {
	if applied := event.Position(e.position.Load()); position >= applied {
		return fmt.Errorf("read position %d: %w; the log is applied up to %d", position, ErrNotFound, applied)
	}
	if begin := e.Marks().TrimmedPosition; position < begin {
		return fmt.Errorf("read position %d: %w; retention has dropped everything before %d", position, ErrNotFound, begin)
	}
	return nil
}

// Boundary says which of two neighbours a search by time returns.
type Boundary uint8

const (
	// Lower: the first event whose time is at or after the one asked for.
	Lower Boundary = iota
	// Upper: the last event whose time is at or before the one asked for.
	Upper
)

// OffsetAt searches a queue by time, as RocketMQ's SEARCH_OFFSET_BY_TIMESTAMP
// does. Lower gives the next offset where all events are older; Upper gives
// the first offset where all are newer.
func (e *Engine) OffsetAt(q event.Queue, ms int64, b Boundary) (event.Offset, error) {
	if b == Upper {
		at, err := e.firstAtOrAfter(q, ms+1)
		first, _ := e.Bounds(q)
		return max(at-1, first), err
	}
	return e.firstAtOrAfter(q, ms)
}

// firstAtOrAfter is the offset of the first event with time ≥ ms, or the next offset.
func (e *Engine) firstAtOrAfter(q event.Queue, ms int64) (event.Offset, error) {
	from, to, err := e.queues.BlockAt(q, ms)
	for from < to && err == nil {
		middle := from + (to-from)/2
		late := false // nor is what was trimmed meanwhile
		_, err = e.ReadQueue(q, middle, ReadLimits{Count: 1, Bytes: 1, Scan: 1}, nil, func(m Message) error {
			late = m.Timestamp >= ms
			return nil
		})
		if late {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from, err
}

// reader takes a reader of the log; release gives it back.
func (e *Engine) reader() (*commitlog.Reader, func(), error) {
	e.reads.RLock()
	if e.closed {
		e.reads.RUnlock()
		return nil, nil, fmt.Errorf("read: %w", ErrClosed)
	}
	r := e.readers.Get().(*commitlog.Reader)
	return r, func() {
		r.Release()
		e.readers.Put(r)
		e.reads.RUnlock()
	}, nil
}
