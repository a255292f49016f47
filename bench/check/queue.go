package check

import "encoding/binary"

// queue is a queue as it was read back.
type queue struct {
	reader   uint32 // whose copy counts
	first    int64
	next     int64
	position int64
	stored   int64 // time of the last message

	newest     uint32            // largest ordinal of a send's begin so far
	newestName Message           // whose it is
	lines      map[uint32]uint64 // number after the last one of each writer that is a line

	sums   map[uint32]*copySum // by reader
	readBy map[uint32]bool
}

// copySum is a replica's copy of a queue in short.
type copySum struct {
	sum   uint64
	count int64
}

func (s *copySum) add(e *Event) {
	const words = 6
	var b [8 * words]byte
	for i, v := range [words]uint64{s.sum, uint64(e.Offset), uint64(e.Position), uint64(e.StoredMillis), uint64(e.Writer), e.Number} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	s.sum = fold(b[:])
	s.count++
}

// fold is FNV-1a.
func fold(b []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, c := range b {
		h = (h ^ uint64(c)) * prime
	}
	return h
}

// queueOf is the queue of an event that was read back. The first reader's copy
// is the one that is judged.
func (j *judgement) queueOf(e *Event) *queue {
	q := j.queues[e.Queue]
	if q == nil {
		q = &queue{reader: e.Reader, first: e.Offset, next: e.Offset, position: -1, lines: map[uint32]uint64{},
			sums: map[uint32]*copySum{}, readBy: map[uint32]bool{}}
		if e.Kind == QueueRead {
			q.first, q.next = e.First, e.First
		}
		j.queues[e.Queue] = q
	}
	if q.sums[e.Reader] == nil {
		q.sums[e.Reader] = &copySum{}
	}
	return q
}

// stored takes a message that was read back.
func (j *judgement) stored(e *Event) {
	q := j.queueOf(e)
	q.sums[e.Reader].add(e)
	if e.Reader != q.reader {
		return
	}
	j.counts.Stored++
	j.dense(q, e)
	m, w, known := j.message(e.Message)
	if !known {
		j.found.queue("nothing is there that was not sent", e.Queue, e.Offset, "%v offset %d: %v was never sent", e.Queue, e.Offset, e.Message)
		return
	}
	if m.is(refused) {
		j.found.message("nothing is there that was not sent", e.Message, "%v was refused and stands at %v offset %d", e.Message, e.Queue, e.Offset)
	}
	if asked := m.asked(); !m.is(placed) && asked != NoQueue && asked != e.Queue {
		j.found.message("a message is where it was sent to", e.Message, "%v was sent to %v and stands in %v", e.Message, asked, e.Queue)
	}
	j.match(e, m, w)
	j.order(q, e, m, w)
}

// dense holds offsets, positions and times to their order.
func (j *judgement) dense(q *queue, e *Event) {
	if e.Offset != q.next {
		j.found.queue("offsets are dense", e.Queue, e.Offset, "%v: offset %d comes after offset %d", e.Queue, e.Offset, q.next-1)
	}
	if e.Position != NoPosition && e.Position <= q.position || e.StoredMillis < q.stored {
		j.found.queue("positions and times grow", e.Queue, e.Offset, "%v offset %d: position %d and time %d come after %d and %d",
			e.Queue, e.Offset, e.Position, e.StoredMillis, q.position, q.stored)
	}
	q.next, q.position, q.stored = e.Offset+1, max(q.position, e.Position), max(q.stored, e.StoredMillis)
}

// match compares where a message is with where it was said to be.
func (j *judgement) match(e *Event, m entry, w *writer) {
	if m.addCopy(); m.copies() > 1 {
		j.counts.Duplicates++
		if m.copies() > w.tries {
			j.found.message("nothing is stored more often than it was sent", e.Message,
				"%v was sent at most %d times and is there %d times", e.Message, w.tries, m.copies())
		}
	}
	at := placeOf(e.Queue, e.Offset, e.Position)
	if m.is(placed) && m.place.same(at) {
		m.set(matched)
	}
	delete(j.extra, sighting{e.Message, at})
	delete(j.extra, sighting{e.Message, placeOf(e.Queue, e.Offset, NoPosition)})
}

// order holds a queue to the order of time.
func (j *judgement) order(q *queue, e *Event, m entry, w *writer) {
	// A send without a receipt may be under way after its client gave it up.
	here := m.is(told) && m.place.same(placeOf(e.Queue, e.Offset, e.Position))
	if ended := *m.ended; here && ended != 0 && ended < q.newest {
		j.found.pair("a queue keeps the order of time", e.Message, q.newestName, "%v offset %d: %v was confirmed before %v was sent, and stands behind it",
			e.Queue, e.Offset, e.Message, q.newestName)
	}
	if *m.begun > q.newest {
		q.newest, q.newestName = *m.begun, e.Message
	}
	if !w.line {
		return
	}
	if next := q.lines[e.Writer]; e.Number < next {
		j.found.pair("a line keeps its order", e.Message, Message{e.Writer, next - 1}, "%v offset %d: %v stands behind message %d of the same line",
			e.Queue, e.Offset, e.Message, next-1)
	}
	q.lines[e.Writer] = e.Number + 1
}

// queueRead ends the reading of a queue by one replica.
func (j *judgement) queueRead(e *Event) {
	q := j.queueOf(e)
	q.readBy[e.Reader] = true
	if e.Reader == q.reader {
		if q.first != e.First || q.next != e.Offset {
			j.found.queue("offsets are dense", e.Queue, q.next, "%v: the broker says that it has offsets %d to %d; read were %d to %d",
				e.Queue, e.First, e.Offset-1, q.first, q.next-1)
		}
		if e.First != 0 && !j.rules.Trimmed {
			j.found.queue("offsets are dense", e.Queue, 0, "%v begins at offset %d", e.Queue, e.First)
		}
	}
	if mine, first := q.sums[e.Reader], q.sums[q.reader]; e.Reader != q.reader && q.readBy[q.reader] && *mine != *first {
		j.found.queue("copies are the same", e.Queue, e.Offset, "%v: replica %d has %d messages, replica %d has %d, or they differ",
			e.Queue, e.Reader, mine.count, q.reader, first.count)
	}
}
