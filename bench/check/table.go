package check

// What is known of each message stands in chunks of equal length, field by
// field: 18 bytes for a message.

const (
	chunkMessages = 1 << 8
	// numbersMax bounds the numbers of a writer.
	numbersMax = 1<<40 - 1
)

// state is a set of things known of a message.
type state uint16

const (
	placed    state = 1 << iota // its place is known
	confirmed                   // by SEND_OK
	refused                     // nothing is stored
	matched                     // read back at its place
	received                    // by a consumer
	seen                        // by any consumer, also one that pulls
	told                        // a receipt said where it is

	copiesShift = 12 // above: how often it was read back, at most copiesMax
	copiesMax   = 15
)

// place is where a message is: queue + 1, offset + 1 and a part of the
// position, so that 0 is no place. A queue alone is where it was asked for.
type place uint64

const (
	queueShift   = 52
	offsetShift  = 16
	offsetBits   = 36
	positionMask = 1<<offsetShift - 1
)

func placeOf(q Queue, offset, position int64) place {
	p := place(q+1)<<queueShift | place(offset+1)&(1<<offsetBits-1)<<offsetShift
	if position != NoPosition {
		p |= place(positionSum(position))
	}
	return p
}

// positionSum is never 0.
func positionSum(position int64) uint16 {
	mixed := uint64(position) * 0x9E3779B97F4A7C15
	return uint16(mixed>>48) | 1
}

func (p place) queue() Queue  { return Queue(p>>queueShift) - 1 }
func (p place) offset() int64 { return int64(p>>offsetShift&(1<<offsetBits-1)) - 1 }

// same reports whether two places are one. Positions count where both have one.
func (p place) same(other place) bool {
	differ := p ^ other
	if p&positionMask == 0 || other&positionMask == 0 {
		return differ>>offsetShift == 0
	}
	return differ == 0
}

// chunk holds messages of one writer. Ordinals count the events of the history
// from 1.
type chunk struct {
	places [chunkMessages]place
	begun  [chunkMessages]uint32
	ended  [chunkMessages]uint32 // 0 while it is open
	states [chunkMessages]state
}

// writer is a source of messages.
type writer struct {
	source *source
	tries  uint32
	line   bool
	chunks []*chunk
	sent   uint64
}

// add makes room for the next message.
func (w *writer) add(ordinal uint32, asked Queue) {
	if w.sent%chunkMessages == 0 {
		w.chunks = append(w.chunks, &chunk{})
	}
	m := w.at(w.sent)
	*m.begun = ordinal
	if asked != NoQueue {
		*m.place = place(asked+1) << queueShift
	}
	w.sent++
}

// entry is one message in its chunk.
type entry struct {
	place        *place
	begun, ended *uint32
	state        *state
}

func (w *writer) at(number uint64) entry {
	c, i := w.chunks[number/chunkMessages], number%chunkMessages
	return entry{&c.places[i], &c.begun[i], &c.ended[i], &c.states[i]}
}

func (e entry) is(s state) bool { return *e.state&s != 0 }
func (e entry) set(s state)     { *e.state |= s }
func (e entry) copies() uint32  { return uint32(*e.state >> copiesShift) }

// addCopy counts a message that was read back.
func (e entry) addCopy() {
	if e.copies() < copiesMax {
		*e.state += 1 << copiesShift
	}
}

// asked is the queue that the message was sent to, NoQueue if to any.
func (e entry) asked() Queue {
	if *e.place>>queueShift == 0 {
		return NoQueue
	}
	return e.place.queue()
}
