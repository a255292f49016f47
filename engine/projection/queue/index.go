package queue

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Entry says where one event of a queue stands.
type Entry struct {
	// Segment is the base position of the event's segment.
	Segment event.Position
	// FrameOffset is the byte offset of the frame's header in that segment.
	FrameOffset uint32
	// Bytes is the length of the encoded event.
	Bytes uint32
	// Tag code of the event.
	Tag int32
	// Position of the event.
	Position event.Position
}

// Index is the projection of all queues. See the package comment for who may
// call what.
type Index struct {
	state atomic.Pointer[state] // replaced as a whole by Restore
}

var _ projection.Projection = (*Index)(nil)

// state is what Restore replaces. The applier alone uses topics.
type state struct {
	lines  *directory
	topics map[event.TopicID][]uint32 // queue ids, in order of first use
}

func newState() *state {
	return &state{lines: newDirectory(), topics: make(map[event.TopicID][]uint32)}
}

// New returns an index without queues.
func New() *Index {
	x := &Index{}
	x.state.Store(newState())
	return x
}

// Name is "queue".
func (x *Index) Name() string { return "queue" }

// Apply gives an event of event.StreamQueue the next offset of its queue and
// removes the queues of a deleted topic incarnation. It panics where the
// place can't be: before its segment, 4 GiB into it, or in a segment below
// that of the queue's event before.
func (x *Index) Apply(at projection.Place, e event.Event) {
	s := x.state.Load()
	if e.Kind() == event.KindTopicDeleted {
		s.remove(e.Topic())
	}
	if e.Stream() != event.StreamQueue {
		return
	}
	if at.Position < at.Segment || at.Position-at.Segment > math.MaxUint32 {
		panic(fmt.Sprintf("BUG: event at position %d is said to stand in the segment at %d", at.Position, at.Segment))
	}
	q := e.Queue()
	l := s.lines.find(q)
	if l == nil {
		l = newLine(q)
		s.add(l)
	}
	if at.Segment < l.segment() {
		panic(fmt.Sprintf("BUG: event at position %d in the segment at %d, but queue %d/%d has reached the segment at %d",
			at.Position, at.Segment, q.Topic, q.ID, l.segment()))
	}
	l.put(at.Segment, packed{
		frameOffset: at.FrameOffset,
		bytes:       uint32(len(e)),
		tag:         e.Tag(),
		position:    uint32(at.Position - at.Segment),
	}, at.Timestamp)
}

func (s *state) add(l *line) {
	s.topics[l.queue.Topic] = append(s.topics[l.queue.Topic], l.queue.ID)
	s.lines.add(l)
}

func (s *state) remove(topic event.TopicID) {
	for _, id := range s.topics[topic] {
		s.lines.remove(event.Queue{Topic: topic, ID: id})
	}
	delete(s.topics, topic)
}

// DropSegment forgets the entries of all segments whose base position is
// below base. Every queue keeps its next offset. The applier calls it.
func (x *Index) DropSegment(base event.Position) {
	for l := range x.state.Load().lines.all() {
		l.drop(base)
	}
}

// line is the queue's line, nil if the queue is unknown.
func (x *Index) line(q event.Queue) *line { return x.state.Load().lines.find(q) }

// Bounds returns the queue's oldest offset held and the next one: the same
// number twice where it holds none, 0, 0 where the queue is unknown.
func (x *Index) Bounds(q event.Queue) (first, next event.Offset) {
	if l := x.line(q); l != nil {
		return l.bounds()
	}
	return 0, 0
}

// Next is the offset that the queue's next event takes.
func (x *Index) Next(q event.Queue) event.Offset {
	_, next := x.Bounds(q)
	return next
}

// Lookup fills dst with the entries of the queue from offset from on and
// returns how many there are. 0 means that from is not within Bounds.
func (x *Index) Lookup(q event.Queue, from event.Offset, dst []Entry) int {
	if l := x.line(q); l != nil {
		return l.read(from, dst)
	}
	return 0
}

// BlockAt narrows a search by time. Every event of the queue before offset
// from is older than ms (Unix milliseconds), every event at to or after is
// not; to − from is 64 at most. So the first event with time ≥ ms is the first
// such one in [from, to), or else to itself, which may be the next offset; the
// last event with time ≤ ms comes before the first with time ≥ ms + 1. A queue
// that is unknown gives 0, 0.
func (x *Index) BlockAt(q event.Queue, ms int64) (from, to event.Offset) {
	if l := x.line(q); l != nil {
		return l.blockAt(ms)
	}
	return 0, 0
}

// Queues returns the queues that have or had events and whose topic
// incarnation is not deleted, by topic id and queue id.
func (x *Index) Queues() []event.Queue {
	var queues []event.Queue
	for l := range x.state.Load().lines.all() {
		queues = append(queues, l.queue)
	}
	slices.SortFunc(queues, compareQueues)
	return queues
}

func compareQueues(a, b event.Queue) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}
