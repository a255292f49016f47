package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/lock"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// fakeLog is a log in memory with the real topic and offset projections. It
// commits and applies a proposal within Propose, unless it is told to keep it.
type fakeLog struct {
	topics  *topic.Table
	offsets *offset.Table
	groups  *group.Table
	locks   *lock.Table

	mu        sync.Mutex
	changed   sync.Cond
	position  event.Position // of what is proposed
	applied   event.Position
	timestamp int64
	queues    map[event.Queue][]storedEvent
	next      map[event.Queue]event.Offset
	first     map[event.Queue]event.Offset
	events    []storedEvent
	listeners []func([]event.Queue)

	outcome   engine.Outcome
	refusal   error // of the next proposals
	keep      bool
	kept      []func()
	proposals int
	drafts    []event.Draft // of the last proposal
	wait      engine.Wait   // of the last proposal
	onBounds  func()        // called once, before Bounds looks
	readError error
	collide   bool // all keys have the same hash
	looked    int  // candidates that the last search visited
}

type storedEvent struct {
	event     event.Event
	position  event.Position
	timestamp int64
}

func newFakeLog() *fakeLog {
	l := &fakeLog{
		topics: topic.New(), offsets: offset.New(), groups: group.New(), locks: lock.New(), timestamp: 1700000000000,
		queues: make(map[event.Queue][]storedEvent), next: make(map[event.Queue]event.Offset), first: make(map[event.Queue]event.Offset),
	}
	l.changed.L = &l.mu
	return l
}

func (l *fakeLog) dependencies() Dependencies {
	return Dependencies{Proposer: l, Queues: l, Topics: l.topics, Offsets: l.offsets, Groups: l.groups, Locks: l.locks, Waiting: l, Progress: l}
}

func (l *fakeLog) Propose(p *engine.Proposal) error {
	l.mu.Lock()
	if l.refusal != nil {
		l.mu.Unlock()
		return l.refusal
	}
	l.proposals++
	l.drafts = append(l.drafts[:0], p.Drafts...)
	l.wait = p.Wait
	l.timestamp++
	p.Outcome, p.Position, p.Offset, p.Timestamp = l.outcome, l.position, -1, l.timestamp
	var stored []storedEvent
	for i := range p.Drafts {
		d := &p.Drafts[i]
		b := make([]byte, d.EncodedBytes())
		d.Encode(b, 1)
		stored = append(stored, storedEvent{b, l.position, l.timestamp})
		l.position += event.Position(len(b))
		if d.Stream == event.StreamQueue {
			q := event.Queue{Topic: d.Topic, ID: d.Queue}
			if p.Offset < 0 {
				p.Offset = l.next[q]
			}
			l.next[q]++
		}
	}
	finish := func() {
		if p.Outcome != engine.OutcomeUnknown {
			l.apply(stored)
		}
		p.Completion.Complete(p)
	}
	if l.keep {
		l.kept = append(l.kept, finish)
		l.changed.Broadcast()
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	finish()
	return nil
}

func (l *fakeLog) apply(stored []storedEvent) {
	var touched []event.Queue
	l.mu.Lock()
	for _, s := range stored {
		at := projection.Place{Position: s.position, Timestamp: s.timestamp}
		l.events = append(l.events, s)
		l.topics.Apply(at, s.event)
		l.offsets.Apply(at, s.event)
		l.groups.Apply(at, s.event)
		l.locks.Apply(at, s.event)
		if s.event.Stream() == event.StreamQueue {
			q := s.event.Queue()
			l.queues[q] = append(l.queues[q], s)
			touched = append(touched, q)
		}
		l.applied = s.position + event.Position(len(s.event))
	}
	l.changed.Broadcast()
	listeners := l.listeners
	l.mu.Unlock()
	for _, f := range listeners {
		f(touched)
	}
}

// waitKept waits until so many proposals are kept.
func (l *fakeLog) waitKept(count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.kept) < count {
		l.changed.Wait()
	}
}

// release completes the kept proposals and keeps no more.
func (l *fakeLog) release() {
	l.mu.Lock()
	kept := l.kept
	l.kept, l.keep = nil, false
	l.mu.Unlock()
	for _, finish := range kept {
		finish()
	}
}

// with changes the log's behaviour.
func (l *fakeLog) with(change func(l *fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// end is where the next proposal will stand.
func (l *fakeLog) end() event.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position
}

func (l *fakeLog) proposed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proposals
}

func (l *fakeLog) Bounds(q event.Queue) (first, next event.Offset) {
	l.mu.Lock()
	hook := l.onBounds
	l.onBounds = nil
	defer func() {
		l.mu.Unlock()
		if hook != nil {
			hook() // after the look: its effect must be found later
		}
	}()
	return l.first[q], event.Offset(len(l.queues[q]))
}

func (l *fakeLog) ReadQueue(q event.Queue, from event.Offset, limits engine.ReadLimits, match func(int32) bool, visit func(engine.Message) error) (event.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readError != nil {
		return from, l.readError
	}
	if from < l.first[q] {
		return from, fmt.Errorf("offset %d: %w", from, engine.ErrNotFound)
	}
	count, bytes := 0, 0
	for scanned := 0; int(from) < len(l.queues[q]) && scanned < limits.Scan; scanned++ {
		s := l.queues[q][from]
		if match == nil || match(s.event.Tag()) {
			if count == limits.Count || count > 0 && bytes+len(s.event) > limits.Bytes {
				break
			}
			switch err := visit(engine.Message{Event: s.event, Position: s.position, Offset: from, Timestamp: s.timestamp}); {
			case err == nil:
				count++
				bytes += len(s.event)
			case !errors.Is(err, engine.ErrSkip):
				return from, err
			}
		}
		from++
	}
	return from, nil
}

func (l *fakeLog) ReadAt(position event.Position, visit func(engine.Message) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.events {
		if s.position == position {
			return visit(engine.Message{Event: s.event, Position: s.position, Offset: -1, Timestamp: s.timestamp})
		}
	}
	return fmt.Errorf("position %d: %w", position, engine.ErrNotFound)
}

func (l *fakeLog) FindKey(topic event.TopicID, key []byte, from, to int64, limit int, match func(engine.Message) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := event.KeyHash(topic, key)
	l.looked = 0
	for i := len(l.events) - 1; i >= 0 && limit > 0; i-- {
		s := l.events[i]
		for k := range s.event.KeyCount() {
			if (l.collide || s.event.Key(k) == hash) && s.event.Topic() == topic && from <= s.timestamp && s.timestamp <= to {
				l.looked++
				offset := slices.IndexFunc(l.queues[s.event.Queue()], func(o storedEvent) bool { return o.position == s.position })
				if match(engine.Message{Event: s.event, Position: s.position, Offset: event.Offset(offset), Timestamp: s.timestamp}) {
					limit--
				}
				break
			}
		}
	}
	return nil
}

func (l *fakeLog) FindHash(hash uint64, from, to event.Position, visit func(engine.Message) (bool, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.events) - 1; i >= 0; i-- {
		s := l.events[i]
		for k := range s.event.KeyCount() {
			if s.event.Key(k) != hash || s.position < from || s.position >= to {
				continue
			}
			offset := slices.IndexFunc(l.queues[s.event.Queue()], func(o storedEvent) bool { return o.position == s.position })
			if more, err := visit(engine.Message{Event: s.event, Position: s.position, Offset: event.Offset(offset), Timestamp: s.timestamp}); err != nil || !more {
				return err
			}
			break
		}
	}
	return nil
}

func (l *fakeLog) OffsetAt(q event.Queue, millis int64, boundary engine.Boundary) (event.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := event.Offset(0)
	for i, s := range l.queues[q] {
		if boundary == engine.Lower && s.timestamp < millis {
			found = event.Offset(i + 1)
		}
		if boundary == engine.Upper && s.timestamp <= millis {
			found = event.Offset(i)
		}
	}
	return found, nil
}

func (l *fakeLog) OnApplied(f func([]event.Queue)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners = append(l.listeners, f)
}

func (l *fakeLog) WaitApplied(ctx context.Context, position event.Position) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.applied <= position {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.changed.Wait()
	}
	return nil
}

func (l *fakeLog) Marks() engine.Marks {
	l.mu.Lock()
	defer l.mu.Unlock()
	return engine.Marks{Marks: commitlog.Marks{}, AppliedPosition: l.applied}
}

// Get finds what waits by the events that say so.
func (l *fakeLog) Get(handle event.Position) (entry pending.Entry, found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.events {
		e := s.event
		switch {
		case s.position == handle && e.Kind().Waits():
			entry, found = pending.Entry{Handle: handle, Kind: e.Kind(), Due: e.Due(), Location: handle, Bytes: uint32(len(e))}, true
		case e.Cause() != handle || !found:
		case e.Kind() == event.KindAsked:
			entry.Due, entry.Asked = e.Due(), entry.Asked+1
		default:
			return pending.Entry{}, false, nil
		}
	}
	return entry, found, nil
}

// Before visits what waits, the oldest first.
func (l *fakeLog) Before(position event.Position, visit func(pending.Entry) bool) error {
	l.mu.Lock()
	events := slices.Clone(l.events)
	l.mu.Unlock()
	for _, s := range events {
		if s.position >= position || !s.event.Kind().Waits() {
			continue
		}
		if entry, found, _ := l.Get(s.position); found && !visit(entry) {
			break
		}
	}
	return nil
}

func (l *fakeLog) Counts() (c pending.Counts) {
	_ = l.Before(1<<62, func(e pending.Entry) bool {
		if e.Kind == event.KindHalf {
			c.Half++
		} else {
			c.Delayed++
		}
		return true
	})
	return c
}
