package queue

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection"
)

// positionMax is after every event.
const positionMax = event.Position(math.MaxUint64)

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
	runBytes int64
	state    atomic.Pointer[state]             // replaced as a whole by Restore and Load
	runs     atomic.Pointer[[]*Run]            // in memory, oldest first, the active one last
	files    atomic.Pointer[[]*indexfile.File] // what is not in memory, oldest first
	active   *Run                              // the applier's; nil between two runs
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

// New returns an index without queues. Advance seals a run when it covers
// runBytes of a segment's file.
func New(runBytes int64) *Index {
	x := &Index{runBytes: runBytes}
	x.replace(newState())
	return x
}

func (x *Index) replace(s *state) {
	x.active = nil
	x.state.Store(s)
	x.runs.Store(&[]*Run{})
	x.files.Store(&[]*indexfile.File{})
}

// Name is "queue".
func (x *Index) Name() string { return "queue" }

// Apply gives an event of event.StreamQueue the next offset of its queue,
// takes in its keys and removes the queues of a deleted topic incarnation. It
// panics where the place can't be: before its segment, 4 GiB into it, or in a
// segment below that of the event before.
func (x *Index) Apply(at projection.Place, e event.Event) {
	if at.Position < at.Segment || at.Position-at.Segment > math.MaxUint32 {
		panic(fmt.Sprintf("BUG: event at position %d is said to stand in the segment at %d", at.Position, at.Segment))
	}
	r := x.active
	if r == nil || r.Segment != at.Segment {
		r = x.follow(at)
	}
	position := uint32(at.Position - at.Segment)
	for i := range e.KeyCount() {
		r.keys.add(indexfile.Key{Hash: e.Key(i), Position: position})
	}
	s := x.state.Load()
	if e.Kind() == event.KindTopicDeleted {
		r.deleted = append(r.deleted, e.Topic())
		s.remove(e.Topic(), at.Position)
	}
	if e.Stream() != event.StreamQueue {
		return
	}
	l := s.lines.find(e.Queue())
	if l == nil {
		l = newLine(e.Queue(), at.Position, 0)
		s.add(l)
	}
	l.put(r, indexfile.Slot{FrameOffset: at.FrameOffset, Bytes: uint32(len(e)), Tag: e.Tag(), Position: position})
}

// follow begins the run of an event whose frame nobody announced.
func (x *Index) follow(at projection.Place) *Run {
	if x.active != nil && at.Segment < x.active.Segment {
		panic(fmt.Sprintf("BUG: event at position %d in the segment at %d, but the index has reached the segment at %d",
			at.Position, at.Segment, x.active.Segment))
	}
	x.begin(Frame{Index: at.Index, Segment: at.Segment, Position: at.Position, Offset: int64(at.FrameOffset), Timestamp: at.Timestamp})
	return x.active
}

func (s *state) add(l *line) {
	s.topics[l.queue.Topic] = append(s.topics[l.queue.Topic], l.queue.ID)
	s.lines.add(l)
}

func (s *state) remove(topic event.TopicID, at event.Position) {
	for _, id := range s.topics[topic] {
		q := event.Queue{Topic: topic, ID: id}
		s.lines.find(q).removed.Store(uint64(at) + 1)
		s.lines.remove(q)
	}
	delete(s.topics, topic)
}

// Publish makes files the part of the index that is not in memory, or no
// longer has to be. They are consecutive, oldest first. One goroutine at a
// time calls it.
func (x *Index) Publish(files []*indexfile.File) { x.files.Store(&files) }

// Forget drops a run whose file is published from memory, and all before it.
// The applier calls it.
func (x *Index) Forget(run *Run) {
	for _, l := range run.touched {
		l.drop(func(r *Run) bool { return r.Last <= run.Last && r != x.active })
	}
	x.keepRuns(func(r *Run) bool { return r == x.active || r.Last > run.Last })
}

func (x *Index) keepRuns(kept func(*Run) bool) {
	list := slices.DeleteFunc(slices.Clone(*x.runs.Load()), func(r *Run) bool { return !kept(r) })
	x.runs.Store(&list)
}

// DropSegment forgets all segments whose base position is below base. Every
// queue keeps its next offset. counters is where the queues stood there; nil
// where everything is in memory. The applier calls it; the files are published
// anew afterwards.
func (x *Index) DropSegment(base event.Position, counters []indexfile.Row) {
	s := x.state.Load()
	for _, row := range counters {
		if l := s.lines.find(row.Queue); l != nil && l.born == row.Born {
			l.raise(row.Next)
		}
	}
	old := *x.runs.Load()
	if len(old) == 0 || old[0].Segment >= base {
		return
	}
	for l := range s.lines.all() {
		if first := (*l.chunks.Load())[0]; first.run != nil && first.run.Segment < base {
			l.raise(l.drop(func(r *Run) bool { return r.Segment < base }))
		}
	}
	x.keepRuns(func(r *Run) bool { return r.Segment >= base })
	if x.active != nil && x.active.Segment < base {
		x.active = nil
	}
}

// RunsInMemory is how many runs are not, or not only, in files.
func (x *Index) RunsInMemory() int { return len(*x.runs.Load()) }

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
	return cmp.Compare(a.Number(), b.Number())
}
