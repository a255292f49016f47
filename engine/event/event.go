package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	envelopeBytes = 24
	flagDue       = 1
	flagCause     = 2

	// HeadBytes is the part of an event that its own checksum doesn't cover: its
	// length and that checksum.
	HeadBytes = 8

	// BytesMax bounds one encoded event. Lengths above it are corrupt.
	BytesMax = 64 << 20
)

// ErrCorrupt marks bytes that are not an event of this log.
var ErrCorrupt = errors.New("corrupt event")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(seed Seed, b []byte) uint32 { return crc32.Update(uint32(seed), castagnoli, b) }

// Checksum is the CRC-32C of b, seeded with the log's id.
func Checksum(seed Seed, b []byte) uint32 { return checksum(seed, b) }

// Payload writes an event's payload into the batch, so that a message body is
// copied once between the socket and the batch.
type Payload interface {
	// PayloadBytes is the exact number of bytes that PutPayload writes.
	PayloadBytes() int
	// PutPayload fills dst, which has PayloadBytes bytes. It must not keep dst.
	PutPayload(dst []byte)
}

// Bytes is a Payload that is already encoded.
type Bytes []byte

// PayloadBytes is the length of b.
func (b Bytes) PayloadBytes() int { return len(b) }

// PutPayload copies b.
func (b Bytes) PutPayload(dst []byte) { copy(dst, b) }

// Draft is an event that is not in the log yet.
type Draft struct {
	Kind    Kind
	Stream  Stream
	Topic   TopicID
	Queue   uint32
	Tag     int32
	Due     int64    // Unix milliseconds, 0 for none
	Cause   Position // of the waiting event that this one is about, 0 for none
	Keys    []uint64
	Payload Payload // nil for none
}

// EncodedBytes is the length of the encoded event.
func (d *Draft) EncodedBytes() int {
	n := envelopeBytes + 8*len(d.Keys)
	if d.Due != 0 {
		n += 8
	}
	if d.Cause != 0 {
		n += 8
	}
	if d.Payload != nil {
		n += d.Payload.PayloadBytes()
	}
	return n
}

// Validate reports what the caller did wrong: too many keys, an unknown kind
// or an event that is too long.
func (d *Draft) Validate() error {
	switch {
	case !d.Kind.Known():
		return fmt.Errorf("encode event: kind %d is unknown to this version", d.Kind)
	case len(d.Keys) > KeysMax:
		return fmt.Errorf("encode event: %d keys, at most %d are allowed", len(d.Keys), KeysMax)
	case d.EncodedBytes() > BytesMax:
		return fmt.Errorf("encode event: %d bytes, at most %d are allowed", d.EncodedBytes(), BytesMax)
	}
	return nil
}

// Encode writes the event into dst, which has EncodedBytes bytes.
func (d *Draft) Encode(dst []byte, seed Seed) {
	le := binary.LittleEndian
	le.PutUint32(dst[0:], uint32(len(dst)))
	dst[8], dst[9], dst[10], dst[11] = byte(d.Kind), byte(d.Stream), 0, byte(len(d.Keys))
	le.PutUint32(dst[12:], uint32(d.Topic))
	le.PutUint32(dst[16:], d.Queue)
	le.PutUint32(dst[20:], uint32(d.Tag))
	at := envelopeBytes
	if d.Due != 0 {
		dst[10] = flagDue
		le.PutUint64(dst[at:], uint64(d.Due))
		at += 8
	}
	if d.Cause != 0 {
		dst[10] |= flagCause
		le.PutUint64(dst[at:], uint64(d.Cause))
		at += 8
	}
	for _, k := range d.Keys {
		le.PutUint64(dst[at:], k)
		at += 8
	}
	if d.Payload != nil {
		d.Payload.PutPayload(dst[at:])
	}
	le.PutUint32(dst[4:], checksum(seed, dst[HeadBytes:]))
}

// Event is an encoded event, read in place. The zero value is no event.
type Event []byte

// Split takes the first event off b without verifying its checksum and
// returns it and the rest. Every length is checked before it is used.
func Split(b []byte) (Event, []byte, error) {
	if len(b) < envelopeBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes left, an event has at least %d", ErrCorrupt, len(b), envelopeBytes)
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n < envelopeBytes || n > BytesMax || n > int64(len(b)) {
		return nil, nil, fmt.Errorf("%w: length %d, with %d bytes left", ErrCorrupt, n, len(b))
	}
	e := Event(b[:n:n])
	if int64(e.payloadAt()) > n {
		return nil, nil, fmt.Errorf("%w: envelope of %d bytes in an event of %d", ErrCorrupt, e.payloadAt(), n)
	}
	return e, b[n:], nil
}

// Intact reports whether the event's bytes are those that its checksum was made
// from.
func (e Event) Intact(seed Seed) bool {
	return checksum(seed, e[HeadBytes:]) == binary.LittleEndian.Uint32(e[4:])
}

// Verify checks the checksum, the flags and the kind. An event that passes
// can be applied.
func (e Event) Verify(seed Seed) error {
	if sum := checksum(seed, e[HeadBytes:]); sum != binary.LittleEndian.Uint32(e[4:]) {
		return fmt.Errorf("%w: checksum %08x, expected %08x", ErrCorrupt, sum, binary.LittleEndian.Uint32(e[4:]))
	}
	if e[10]&^(flagDue|flagCause) != 0 {
		return fmt.Errorf("%w: unknown flags %02x", ErrCorrupt, e[10])
	}
	return nil
}

func (e Event) payloadAt() int { return e.keysAt() + 8*int(e[11]) }

// keysAt is where the key hashes begin.
func (e Event) keysAt() int {
	n := envelopeBytes
	if e[10]&flagDue != 0 {
		n += 8
	}
	if e[10]&flagCause != 0 {
		n += 8
	}
	return n
}

// Kind of the event.
func (e Event) Kind() Kind { return Kind(e[8]) }

// Stream of the event.
func (e Event) Stream() Stream { return Stream(e[9]) }

// Topic incarnation of the event, 0 for none.
func (e Event) Topic() TopicID { return TopicID(binary.LittleEndian.Uint32(e[12:])) }

// Queue of the event.
func (e Event) Queue() Queue {
	return Queue{Topic: e.Topic(), ID: binary.LittleEndian.Uint32(e[16:])}
}

// Tag code of the event.
func (e Event) Tag() int32 { return int32(binary.LittleEndian.Uint32(e[20:])) }

// Due time in Unix milliseconds, 0 for none.
func (e Event) Due() int64 {
	if e[10]&flagDue == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(e[envelopeBytes:]))
}

// Cause is the position of the waiting event that this one is about, 0 for none.
func (e Event) Cause() Position {
	if e[10]&flagCause == 0 {
		return 0
	}
	at := envelopeBytes
	if e[10]&flagDue != 0 {
		at += 8
	}
	return Position(binary.LittleEndian.Uint64(e[at:]))
}

// KeyCount is the number of key hashes.
func (e Event) KeyCount() int { return int(e[11]) }

// Key is key hash i, 0 ≤ i < KeyCount.
func (e Event) Key(i int) uint64 {
	return binary.LittleEndian.Uint64(e[e.keysAt()+8*i:])
}

// Payload of the event. It aliases the event's bytes.
func (e Event) Payload() []byte { return e[e.payloadAt():] }
