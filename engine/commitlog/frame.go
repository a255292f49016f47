package commitlog

import (
	"encoding/binary"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	frameMagic   = 0x46475041 // "APGF"
	frameVersion = 1

	headerBytes       = 72
	sharedHeaderBytes = 60 // the part that is the same on every replica
	frameAlignBytes   = 8
)

// FrameKind says what a frame's data is.
type FrameKind uint8

// The frame kinds of version 1.
const (
	// FrameEvents holds one batch of events.
	FrameEvents FrameKind = 1
	// FrameConfiguration holds the log's id and a Raft configuration.
	FrameConfiguration FrameKind = 2
	// FrameNoop is a leader's first entry of its term.
	FrameNoop FrameKind = 3
	// FrameBarrier marks a place in the order and changes no state.
	FrameBarrier FrameKind = 4
)

func (k FrameKind) known() bool { return k >= FrameEvents && k <= FrameBarrier }

func (k FrameKind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return [...]string{FrameEvents: "events", FrameConfiguration: "configuration", FrameNoop: "noop", FrameBarrier: "barrier"}[k]
}

// Header is a decoded frame header. docs/FORMAT.md has the byte layout.
type Header struct {
	Kind      FrameKind
	DataBytes uint32 // at least 1, so that positions tell frames apart
	Events    uint32
	Index     event.Index
	Term      event.Term
	Position  event.Position // of the first data byte
	Timestamp int64          // Unix milliseconds, never less than the frame's before
	Chain     uint32         // header checksum of the frame before
	DataCRC   uint32
	CRC       uint32 // header checksum

	// DurableWhenBuilt is this node's Durable mark when the frame was built.
	// It is local: not part of Chain, and 0 where its own checksum fails.
	DurableWhenBuilt event.Index
}

// End is the position after the frame's last data byte.
func (h *Header) End() event.Position { return h.Position + event.Position(h.DataBytes) }

// frameBytes is the room that a frame takes in a segment.
func frameBytes(dataBytes int) int {
	return (headerBytes + dataBytes + frameAlignBytes - 1) &^ (frameAlignBytes - 1)
}

// put writes the header, computing its checksum, and stores it in h.CRC.
func (h *Header) put(dst []byte, seed event.Seed) {
	le := binary.LittleEndian
	le.PutUint32(dst[0:], frameMagic)
	le.PutUint16(dst[4:], frameVersion)
	dst[6], dst[7] = byte(h.Kind), 0
	le.PutUint32(dst[8:], h.DataBytes)
	le.PutUint32(dst[12:], h.Events)
	le.PutUint64(dst[16:], uint64(h.Index))
	le.PutUint64(dst[24:], uint64(h.Term))
	le.PutUint64(dst[32:], uint64(h.Position))
	le.PutUint64(dst[40:], uint64(h.Timestamp))
	le.PutUint32(dst[48:], h.Chain)
	le.PutUint32(dst[52:], h.DataCRC)
	h.CRC = event.Checksum(seed, dst[:56])
	le.PutUint32(dst[56:], h.CRC)
	le.PutUint64(dst[64:], uint64(h.DurableWhenBuilt))
	le.PutUint32(dst[60:], event.Checksum(seed^event.Seed(h.CRC), dst[64:72]))
}

// decodeHeader reads a header and checks magic, checksum, version and limits,
// in this order and with separate errors.
func decodeHeader(b []byte, seed event.Seed) (Header, error) {
	le := binary.LittleEndian
	if len(b) < headerBytes {
		return Header{}, fmt.Errorf("%w: %d bytes left, a frame header has %d", ErrCorrupt, len(b), headerBytes)
	}
	if m := le.Uint32(b); m != frameMagic {
		return Header{}, fmt.Errorf("%w: no frame magic (%08x)", ErrCorrupt, m)
	}
	if sum := event.Checksum(seed, b[:56]); sum != le.Uint32(b[56:]) {
		return Header{}, fmt.Errorf("%w: frame header checksum %08x, expected %08x", ErrCorrupt, sum, le.Uint32(b[56:]))
	}
	if v := le.Uint16(b[4:]); v != frameVersion {
		return Header{}, fmt.Errorf("%w: frame version %d, this program reads %d; start a newer version of it", ErrNewerFormat, v, frameVersion)
	}
	h := Header{
		Kind: FrameKind(b[6]), DataBytes: le.Uint32(b[8:]), Events: le.Uint32(b[12:]),
		Index: event.Index(le.Uint64(b[16:])), Term: event.Term(le.Uint64(b[24:])),
		Position: event.Position(le.Uint64(b[32:])), Timestamp: int64(le.Uint64(b[40:])),
		Chain: le.Uint32(b[48:]), DataCRC: le.Uint32(b[52:]), CRC: le.Uint32(b[56:]),
	}
	if !h.Kind.known() {
		return Header{}, fmt.Errorf("%w: frame kind %d is unknown here; start a newer version of this program", ErrNewerFormat, b[6])
	}
	if h.DataBytes == 0 || h.DataBytes > frameDataBytesMax {
		return Header{}, fmt.Errorf("%w: frame of %d data bytes, 1 to %d are allowed", ErrCorrupt, h.DataBytes, frameDataBytesMax)
	}
	if event.Checksum(seed^event.Seed(h.CRC), b[64:72]) == le.Uint32(b[60:]) {
		h.DurableWhenBuilt = event.Index(le.Uint64(b[64:]))
	}
	return h, nil
}

// chain is what the next frame must continue.
type chain struct {
	index     event.Index // of the last frame
	term      event.Term
	position  event.Position // after the last frame
	timestamp int64
	crc       uint32
}

func (c chain) next(h *Header) chain {
	return chain{index: h.Index, term: h.Term, position: h.End(), timestamp: h.Timestamp, crc: h.CRC}
}

// follows reports why h can't be the frame after c, or nil.
func (c chain) follows(h *Header) error {
	switch {
	case h.Index != c.index+1:
		return fmt.Errorf("%w: frame index %d, expected %d", ErrCorrupt, h.Index, c.index+1)
	case h.Position != c.position:
		return fmt.Errorf("%w: frame position %d, expected %d", ErrCorrupt, h.Position, c.position)
	case h.Chain != c.crc:
		return fmt.Errorf("%w: frame continues checksum %08x, the frame before has %08x", ErrCorrupt, h.Chain, c.crc)
	case h.Term < c.term:
		return fmt.Errorf("%w: frame term %d after term %d", ErrCorrupt, h.Term, c.term)
	case h.Timestamp < c.timestamp:
		return fmt.Errorf("%w: frame time %d before %d", ErrCorrupt, h.Timestamp, c.timestamp)
	}
	return nil
}
