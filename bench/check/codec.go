package check

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// mover takes the numbers of an event one after the other. When writing it
// returns what it got, when reading what the history has. limit is the largest
// number that is allowed.
type mover func(value, limit uint64) uint64

// transfer moves all numbers of an event's kind, in the order of the history.
// One function for both directions keeps them the same.
func (e *Event) transfer(m mover) {
	switch e.Kind {
	case WriterBegan:
		m.small(&e.Writer)
		m.small(&e.Tries)
		e.Line = m(flag(e.Line), 1) == 1
	case SendBegan:
		m.message(&e.Message)
		e.Queue = Queue(m(uint64(e.Queue), queuesMax))
	case SendEnded:
		m.message(&e.Message)
		e.Status = Status(m(uint64(e.Status), uint64(statusesEnd)-1))
		e.Code = int32(m(uint64(uint32(e.Code)), math.MaxUint32))
		m.place(e)
		m.signed(&e.Position)
	case Received, Pulled:
		m.small(&e.Reader)
		m.place(e)
		m.message(&e.Message)
	case Stored:
		m.small(&e.Reader)
		m.place(e)
		m.signed(&e.Position)
		m.signed(&e.StoredMillis)
		m.message(&e.Message)
	case QueueRead:
		m.small(&e.Reader)
		m.place(e)
		m.signed(&e.First)
	case CommitBegan, CommitConfirmed, OffsetRead:
		m.small(&e.Reader)
		m.place(e)
	case FaultBegan, FaultEnded:
		m.small(&e.Fault)
	}
}

// hasText reports whether a text follows the numbers.
func (k Kind) hasText() bool { return k == WriterBegan || k == FaultBegan || k == Broken }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (m mover) small(v *uint32) { *v = uint32(m(uint64(*v), math.MaxUint32)) }

// signed moves a number from -1 on.
func (m mover) signed(v *int64) { *v = int64(m(uint64(*v+1), math.MaxInt64)) - 1 }

func (m mover) message(v *Message) {
	m.small(&v.Writer)
	v.Number = m(v.Number, numbersMax)
}

func (m mover) place(e *Event) {
	e.Queue = Queue(m(uint64(e.Queue), queuesMax))
	m.signed(&e.Offset)
}

// appendEvent adds an event to b.
func appendEvent(b []byte, e *Event, since time.Duration) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(since/time.Microsecond))
	e.transfer(func(value, limit uint64) uint64 {
		if value > limit {
			panic(fmt.Sprintf("BUG: a history can't hold %d, the limit is %d, in %+v", value, limit, *e))
		}
		b = binary.AppendUvarint(b, value)
		return value
	})
	if e.Kind.hasText() {
		text := e.Text[:min(len(e.Text), textBytesMax)]
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}
