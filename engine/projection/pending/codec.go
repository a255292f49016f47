package pending

import (
	"encoding/binary"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

const format = 1

// Prefixes of keys.
const (
	byHandle   = 'h'
	byDue      = 'd'
	byLocation = 'l'
	placeKey   = 'p'
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

func appendHandleValue(dst []byte, e *Entry) []byte {
	dst = order.AppendUint64(append(dst, byte(e.Kind)), uint64(e.Due)^signBit)
	return order.AppendUint64(dst, uint64(e.Location))
}

func appendDueValue(dst []byte, e *Entry) []byte {
	dst = order.AppendUint64(dst, uint64(e.Location))
	return order.AppendUint32(order.AppendUint32(dst, e.Bytes), e.Asked)
}

// decodeHandleValue fills kind, due and location.
func (e *Entry) decodeHandleValue(b []byte) error {
	if len(b) != 17 {
		return fmt.Errorf("pending: value of %d bytes for handle %d, expected 17", len(b), e.Handle)
	}
	e.Kind, e.Due, e.Location = event.Kind(b[0]), int64(order.Uint64(b[1:])^signBit), event.Position(order.Uint64(b[9:]))
	return nil
}

// decodeDue fills an entry from a key and a value of the due index.
func decodeDue(key, value []byte) (Entry, error) {
	if len(key) != 18 || len(value) != 16 {
		return Entry{}, fmt.Errorf("pending: due key of %d bytes with %d, expected 18 with 16", len(key), len(value))
	}
	return Entry{
		Kind: event.Kind(key[1]), Due: int64(order.Uint64(key[2:]) ^ signBit), Handle: event.Position(order.Uint64(key[10:])),
		Location: event.Position(order.Uint64(value)), Bytes: order.Uint32(value[8:]), Asked: order.Uint32(value[12:]),
	}, nil
}

// Place is how far the table has come in the log.
type Place struct {
	Index    event.Index
	Chain    uint32         // header checksum of that frame
	Position event.Position // after it
}

// Counts is how many events wait.
type Counts struct{ Delayed, Half int64 }

func (c *Counts) of(kind event.Kind) *int64 {
	if kind == event.KindHalf {
		return &c.Half
	}
	return &c.Delayed
}

func appendPlace(dst []byte, id event.LogID, p Place, c Counts) []byte {
	dst = append(order.AppendUint32(dst, format), id[:]...)
	dst = order.AppendUint64(dst, uint64(p.Index))
	dst = order.AppendUint32(dst, p.Chain)
	dst = order.AppendUint64(dst, uint64(p.Position))
	return order.AppendUint64(order.AppendUint64(dst, uint64(c.Delayed)), uint64(c.Half))
}

// decodePlace reports false for a table of another log or format.
func decodePlace(b []byte, id event.LogID) (p Place, c Counts, ok bool) {
	if len(b) != 56 || order.Uint32(b) != format || event.LogID(b[4:20]) != id {
		return p, c, false
	}
	p = Place{Index: event.Index(order.Uint64(b[20:])), Chain: order.Uint32(b[28:]), Position: event.Position(order.Uint64(b[32:]))}
	return p, Counts{Delayed: int64(order.Uint64(b[40:])), Half: int64(order.Uint64(b[48:]))}, true
}
