package queue

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

const (
	// DefaultRunBytes is how much log a run covers.
	DefaultRunBytes = 64 << 20
	// sampleBytes is the distance in the segment's file between two samples.
	sampleBytes = 64 << 10
)

// Frame is what the index needs to know of each frame.
type Frame struct {
	Index     event.Index
	Segment   event.Position // base of the segment
	Position  event.Position // of the first data byte
	End       event.Position // after the last one
	Offset    int64          // of the frame's header in the segment's file
	Timestamp int64          // Unix milliseconds
	Chain     uint32         // header checksum
}

// Run is the part of the index that covers consecutive frames of one segment
// and is still in memory. A sealed run never changes.
type Run struct {
	indexfile.Span
	// SegmentEnd: the next frame is in another segment. Valid when sealed.
	SegmentEnd bool

	from    int64 // file offset of the first frame
	at      int64 // file offset of the last frame
	sampled int64 // file offset of the last sample

	touched []*line // got an event in this run
	deleted []event.TopicID
	keys    series[indexfile.Key]
	samples series[indexfile.Sample]
}

// begin starts the active run with frame f and lists it for readers.
func (x *Index) begin(f Frame) {
	x.active = &Run{
		Span: indexfile.Span{Segment: f.Segment, First: f.Index, Base: f.Position, FirstTime: f.Timestamp},
		from: f.Offset,
	}
	x.active.sample(f)
	old := *x.runs.Load()
	list := append(old[:len(old):len(old)], x.active)
	x.runs.Store(&list)
}

// Advance takes in that the next frame begins; its events follow by Apply.
// When that ends the run before, the run is sealed and returned. The applier
// calls it.
func (x *Index) Advance(f Frame) (sealed *Run) {
	if r := x.active; r != nil && (r.Segment != f.Segment || r.at-r.from >= x.runBytes) {
		r.SegmentEnd = r.Segment != f.Segment
		sealed, x.active = r, nil
	}
	if x.active == nil {
		x.begin(f)
	}
	r := x.active
	if f.Offset >= r.sampled+sampleBytes {
		r.sample(f)
	}
	r.Last, r.End, r.LastTime, r.Chain, r.at = f.Index, f.End, f.Timestamp, f.Chain, f.Offset
	return sealed
}

// Seal ends the active run and returns it, nil without one. The applier calls it.
func (x *Index) Seal() *Run {
	sealed := x.active
	x.active = nil
	return sealed
}

func (r *Run) sample(f Frame) {
	r.sampled = f.Offset
	r.samples.add(indexfile.Sample{Timestamp: f.Timestamp, Position: uint32(f.Position - f.Segment), FrameOffset: uint32(f.Offset)})
}

// around is File.Around for a run in memory; to is past all positions where no
// sample says better.
func (r *Run) around(ms int64) (from, to event.Position) {
	n := r.samples.length()
	i := sort.Search(n, func(i int) bool { return r.samples.at(i).Timestamp >= ms })
	from, to = r.Base, positionMax
	if i > 0 {
		from = r.Segment + event.Position(r.samples.at(i-1).Position)
	}
	if i < n {
		to = r.Segment + event.Position(r.samples.at(i).Position)
	}
	return from, to
}

// Write writes a sealed run to a file. before is the table at the end of the
// file before, in order.
func (r *Run) Write(shelf *indexfile.Shelf, before iter.Seq2[indexfile.Row, error]) (*indexfile.File, error) {
	keys := r.keys.all()
	b, err := shelf.Create(r.Span, len(keys))
	if err != nil {
		return nil, fmt.Errorf("write index of frames %d to %d: %w", r.First, r.Last, err)
	}
	if err := r.writeQueues(b, before); err != nil {
		return nil, errors.Join(fmt.Errorf("write index of frames %d to %d: %w", r.First, r.Last, err), b.Abort())
	}
	for i := range r.samples.length() {
		b.Sample(r.samples.at(i))
	}
	for _, k := range indexfile.SortKeys(keys) {
		b.Key(k)
	}
	return b.Finish()
}

// writeQueues writes what was alive before and still is, and what the run has
// touched and is alive at its end.
func (r *Run) writeQueues(b *indexfile.Builder, before iter.Seq2[indexfile.Row, error]) error {
	deleted := make(map[event.TopicID]bool, len(r.deleted))
	for _, topic := range r.deleted {
		deleted[topic] = true
	}
	touched := r.touchedInOrder()
	for row, err := range before {
		if err != nil {
			return err
		}
		number := row.Queue.Number()
		for len(touched) > 0 && touched[0].number < number {
			r.writeLine(b, touched[0].line)
			touched = touched[1:]
		}
		switch {
		case len(touched) > 0 && touched[0].number == number:
			r.writeLine(b, touched[0].line)
			touched = touched[1:]
		case len(deleted) == 0 || !deleted[row.Queue.Topic]:
			b.Queue(row.Queue, row.Next, row.Born)
		}
	}
	for _, t := range touched {
		r.writeLine(b, t.line)
	}
	return nil
}

// numbered is a line with its place in the order of queues: who sorts many
// lines looks at no line for it.
type numbered struct {
	number uint64
	line   *line
}

// touchedInOrder lists the queues that the run has touched and that are alive
// at its end.
func (r *Run) touchedInOrder() []numbered {
	list := make([]numbered, 0, len(r.touched))
	for _, l := range r.touched {
		if l.aliveAt(r.End) {
			list = append(list, numbered{l.queue.Number(), l})
		}
	}
	slices.SortFunc(list, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	return list
}

// writeLine writes a queue's entries of the run. A trim may have dropped them
// meanwhile; then the counter alone is left, and the file goes with its segment.
func (r *Run) writeLine(b *indexfile.Builder, l *line) {
	chunks, end := l.inRun(r)
	b.Queue(l.queue, end, l.born)
	for _, c := range chunks {
		b.Slots(c.slots()...)
	}
}
