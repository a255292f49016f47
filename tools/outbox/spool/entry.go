package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

const (
	entryVersion = 1
	flagDoubt    = 1

	entryHeadBytes = 14
	// NameBytesMax bounds the name of a stream.
	NameBytesMax = 600
	// overheadBytes is more than an event has besides its owner's bytes.
	overheadBytes = 4 << 10
)

var (
	// ErrFull says that BytesMax is reached; nothing was stored.
	ErrFull = errors.New("the spool is full")
	// ErrMalformed says that bytes aren't those of an entry.
	ErrMalformed = errors.New("not an entry of a spool")
)

// Entry is one message on its way into the spool. Its owner makes it, fills in
// the first part and may use it again after Stored was called.
type Entry struct {
	Stream  *Stream
	Payload event.Payload // needed until Put returns
	Keys    []uint64      // by which it is found: Hash of each
	Doubt   bool          // it may have been delivered
	// Stored is told the outcome, on the log's goroutine, and must not block.
	Stored func(*Entry)

	// Results, valid in Stored and afterwards.
	Outcome  engine.Outcome
	Position event.Position
	Offset   event.Offset

	proposal engine.Proposal
	drafts   [1]event.Draft
	bytes    int
	peers    int
}

// Following is, in Stored, how many entries are told right after this one, on
// the same goroutine.
func (e *Entry) Following() int { return e.proposal.Following }

// Hash is the hash of a key of entries.
func Hash(key []byte) uint64 { return event.KeyHash(0, key) }

// PayloadBytes implements event.Payload.
func (e *Entry) PayloadBytes() int {
	return entryHeadBytes + len(e.Stream.name) + e.Payload.PayloadBytes()
}

// PutPayload implements event.Payload.
func (e *Entry) PutPayload(dst []byte) {
	le := binary.LittleEndian
	dst[0], dst[1] = entryVersion, 0
	if e.Doubt {
		dst[1] = flagDoubt
	}
	le.PutUint16(dst[2:], uint16(min(e.peers, math.MaxUint16)))
	le.PutUint64(dst[4:], uint64(e.Offset))
	le.PutUint16(dst[12:], uint16(len(e.Stream.name)))
	at := entryHeadBytes + copy(dst[entryHeadBytes:], e.Stream.name)
	e.Payload.PutPayload(dst[at:])
}

// Complete implements engine.Completion.
func (e *Entry) Complete(p *engine.Proposal) {
	e.Outcome, e.Position = p.Outcome, p.Position
	if p.Outcome != engine.OutcomeUnknown && p.Offset != e.Offset {
		panic(fmt.Sprintf("BUG: spool: entry %d of stream %q got offset %d", e.Offset, e.Stream.name, p.Offset))
	}
	e.Stored(e)
}

// Item is an entry as it is read. Its slices are valid until the visit returns.
type Item struct {
	Offset    event.Offset
	Position  event.Position
	Timestamp int64 // when it was stored, Unix milliseconds
	Doubt     bool
	Peers     int
	Name      string // of its stream
	Lane      uint32
	Payload   []byte
}

// decode reads the payload of an entry's event.
func decode(payload []byte) (Item, error) {
	if len(payload) < entryHeadBytes || payload[0] != entryVersion {
		return Item{}, fmt.Errorf("%w: %d bytes that don't begin with version %d", ErrMalformed, len(payload), entryVersion)
	}
	le := binary.LittleEndian
	name := int(le.Uint16(payload[12:]))
	if name > len(payload)-entryHeadBytes {
		return Item{}, fmt.Errorf("%w: a name of %d bytes in %d", ErrMalformed, name, len(payload))
	}
	number := le.Uint64(payload[4:])
	if number > math.MaxInt64 {
		return Item{}, fmt.Errorf("%w: number %d", ErrMalformed, number)
	}
	return Item{
		Doubt: payload[1]&flagDoubt != 0, Peers: int(le.Uint16(payload[2:])), Offset: event.Offset(number),
		Name: string(payload[entryHeadBytes : entryHeadBytes+name]), Payload: payload[entryHeadBytes+name:],
	}, nil
}

// itemOf reads a message of the engine.
func itemOf(m engine.Message) (Item, error) {
	item, err := decode(m.Event.Payload())
	item.Position, item.Timestamp, item.Lane = m.Position, m.Timestamp, m.Event.Queue().ID
	return item, err
}
