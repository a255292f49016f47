package pending

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/apogeemq/apogee/engine/event"
)

const format = 3

// Prefixes of keys.
const (
	byHandle   = 'h'
	byDue      = 'd'
	byLocation = 'l'
	placeKey   = 'p'
)

// Lengths of values: of an entry that is as it began, and of one that has
// changed.
const (
	handleBytes        = 1 + 8 + 4
	handleBytesChanged = handleBytes + 4 + 8 + 8
	dueBytes           = 4
	dueBytesChanged    = dueBytes + 4 + 8
	placeBytes         = 64
)

var order = binary.BigEndian

// Entry is an event that waits.
type Entry struct {
	Handle   event.Position // of the event that began to wait: its name for life
	Kind     event.Kind     // KindDelayed or KindHalf
	Due      int64          // Unix milliseconds
	Location event.Position // of its newest copy: Handle, unless it was moved
	Bytes    uint32         // encoded length of that
	Asked    uint32         // how often its producers were asked for the outcome
}

// Sum stands for the entry in the sum of all that wait. It takes some
// nanoseconds, and stays the same for good: sums are kept and compared.
func (e *Entry) Sum() uint64 {
	began := fold(uint64(e.Handle)^0x9e3779b97f4a7c15, uint64(e.Due)^0xc2b2ae3d27d4eb4f)
	stands := fold(uint64(e.Location)^0xa0761d6478bd642f, uint64(e.Asked)<<32|uint64(e.Bytes)^0xe7037ed1)
	return fold(began^0x8ebc6af09c88c6e3, stands^uint64(e.Kind))
}

// fold mixes two numbers: each bit of the product depends on most of theirs.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// item is an entry with the position of the event that changed it last, 0 when
// it is as it began. An event up to there that is applied again changes nothing.
type item struct {
	Entry
	asOf event.Position
}

const signBit = 1 << 63

func handleKey(dst []byte, h event.Position) []byte {
	return order.AppendUint64(append(dst, byHandle), uint64(h))
}

func locationKey(dst []byte, at event.Position) []byte {
	return order.AppendUint64(append(dst, byLocation), uint64(at))
}

func dueKey(dst []byte, kind event.Kind, due int64, h event.Position) []byte {
	dst = order.AppendUint64(append(dst, byDue, byte(kind)), uint64(due)^signBit)
	return order.AppendUint64(dst, uint64(h))
}

func (i *item) appendHandleValue(dst []byte) []byte {
	dst = order.AppendUint64(append(dst, byte(i.Kind)), uint64(i.Due)^signBit)
	dst = order.AppendUint32(dst, i.Bytes)
	if i.asOf == 0 {
		return dst
	}
	dst = order.AppendUint64(order.AppendUint32(dst, i.Asked), uint64(i.Location))
	return order.AppendUint64(dst, uint64(i.asOf))
}

func (i *item) appendDueValue(dst []byte) []byte {
	dst = order.AppendUint32(dst, i.Bytes)
	if i.asOf == 0 {
		return dst
	}
	return order.AppendUint64(order.AppendUint32(dst, i.Asked), uint64(i.Location))
}

// decodeHandleValue fills everything but the handle.
func (i *item) decodeHandleValue(b []byte) error {
	if len(b) != handleBytes && len(b) != handleBytesChanged {
		return fmt.Errorf("pending: value of %d bytes for handle %d, expected %d or %d", len(b), i.Handle, handleBytes, handleBytesChanged)
	}
	i.Kind, i.Due, i.Bytes = event.Kind(b[0]), int64(order.Uint64(b[1:])^signBit), order.Uint32(b[9:])
	i.Asked, i.Location, i.asOf = 0, i.Handle, 0
	if b = b[handleBytes:]; len(b) > 0 {
		i.Asked, i.Location, i.asOf = order.Uint32(b), event.Position(order.Uint64(b[4:])), event.Position(order.Uint64(b[12:]))
	}
	return nil
}

// decodeDue fills an entry from a key and a value of the due index.
func decodeDue(key, value []byte) (Entry, error) {
	if len(key) != 18 || len(value) != dueBytes && len(value) != dueBytesChanged {
		return Entry{}, fmt.Errorf("pending: due key of %d bytes with %d, expected 18 with %d or %d", len(key), len(value), dueBytes, dueBytesChanged)
	}
	e := Entry{Kind: event.Kind(key[1]), Due: int64(order.Uint64(key[2:]) ^ signBit), Handle: event.Position(order.Uint64(key[10:])), Bytes: order.Uint32(value)}
	e.Location = e.Handle
	if value = value[dueBytes:]; len(value) > 0 {
		e.Asked, e.Location = order.Uint32(value), event.Position(order.Uint64(value[4:]))
	}
	return e, nil
}

// Place is a place in the log, between two frames.
type Place struct {
	Index    event.Index
	Chain    uint32         // header checksum of that frame
	Position event.Position // after it
}

// Counts is how many events wait, and with Sum also which.
type Counts struct {
	Delayed, Half int64
	// Sum is that of all entries' sums, so it doesn't depend on their order, nor on
	// what else has waited before: as many entries that aren't the same have another.
	Sum uint64
}

func (c *Counts) of(kind event.Kind) *int64 {
	if kind == event.KindHalf {
		return &c.Half
	}
	return &c.Delayed
}

func (c *Counts) add(e *Entry) {
	*c.of(e.Kind)++
	c.Sum += e.Sum()
}

func (c *Counts) remove(e *Entry) {
	*c.of(e.Kind)--
	c.Sum -= e.Sum()
}

func appendPlace(dst []byte, id event.LogID, p Place, c Counts) []byte {
	dst = append(order.AppendUint32(dst, format), id[:]...)
	dst = order.AppendUint64(dst, uint64(p.Index))
	dst = order.AppendUint32(dst, p.Chain)
	dst = order.AppendUint64(dst, uint64(p.Position))
	dst = order.AppendUint64(order.AppendUint64(dst, uint64(c.Delayed)), uint64(c.Half))
	return order.AppendUint64(dst, c.Sum)
}

// decodePlace reports false for a table of another log or format.
func decodePlace(b []byte, id event.LogID) (p Place, c Counts, ok bool) {
	if len(b) != placeBytes || order.Uint32(b) != format || event.LogID(b[4:20]) != id {
		return p, c, false
	}
	p = Place{Index: event.Index(order.Uint64(b[20:])), Chain: order.Uint32(b[28:]), Position: event.Position(order.Uint64(b[32:]))}
	return p, Counts{Delayed: int64(order.Uint64(b[40:])), Half: int64(order.Uint64(b[48:])), Sum: order.Uint64(b[56:])}, true
}
