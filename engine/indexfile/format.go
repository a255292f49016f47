package indexfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	blockBytes   = 16 << 10
	payloadBytes = 16320
	crcAt        = blockBytes - 4

	entryBytes  = 16
	rowBytes    = 32
	sampleBytes = 16
	keyBytes    = 12
	fenceBytes  = 8

	magic         = "APOGEEIX"
	formatVersion = 1
	footBytes     = 92

	nameEnd    = ".idx"
	tmpEnd     = ".tmp"
	nameDigits = 20
)

// No item crosses a block.
const (
	_ = -uint(payloadBytes % entryBytes)
	_ = -uint(payloadBytes % rowBytes)
	_ = -uint(payloadBytes % sampleBytes)
	_ = -uint(payloadBytes % keyBytes)
	_ = -uint(payloadBytes % fenceBytes)
	_ = -uint(payloadBytes % lineBytes)
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrDamaged: the file is not what was written, or is gone.
	ErrDamaged = errors.New("damaged index file")
	// ErrRetired: the file was replaced; its content is elsewhere.
	ErrRetired = errors.New("index file was replaced")
)

// Span is the range of frames that a file covers.
type Span struct {
	Segment   event.Position // base position of the segment
	First     event.Index
	Last      event.Index
	Base      event.Position // of the first frame's first byte
	End       event.Position // after the last frame
	FirstTime int64          // Unix milliseconds
	LastTime  int64
	Chain     uint32 // header checksum of the last frame
}

// Name is the name of the file that covers the span.
func (s *Span) Name() string {
	return fmt.Sprintf("%0*d-%0*d-%0*d%s", nameDigits, uint64(s.Segment), nameDigits, uint64(s.First), nameDigits, uint64(s.Last), nameEnd)
}

// ParseName reads segment and frames from a name. It refuses everything that
// Name doesn't build.
func ParseName(name string) (Span, bool) {
	parts := strings.Split(strings.TrimSuffix(name, nameEnd), "-")
	if len(parts) != 3 {
		return Span{}, false
	}
	var n [3]uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return Span{}, false
		}
		n[i] = v
	}
	s := Span{Segment: event.Position(n[0]), First: event.Index(n[1]), Last: event.Index(n[2])}
	return s, s.First > 0 && s.First <= s.Last && s.Name() == name
}

// IsTemporary reports whether the name is that of a file being written.
func IsTemporary(name string) bool {
	whole, found := strings.CutSuffix(name, tmpEnd)
	_, valid := ParseName(whole)
	return found && valid
}

// Slot says where one event of a queue stands within a segment.
type Slot struct {
	FrameOffset uint32 // of the frame's header in the segment's file
	Bytes       uint32 // of the encoded event
	Tag         int32
	Position    uint32 // minus the segment's base
}

// Row is one queue at the end of a span.
type Row struct {
	Queue event.Queue
	Next  event.Offset   // that the queue's next event takes
	Born  event.Position // of the event with which the queue began
	Start uint32         // number of its first entry in the file
	Count uint32         // number of its entries in the file
}

// Sample is the place and time of a frame.
type Sample struct {
	Timestamp   int64  // Unix milliseconds
	Position    uint32 // minus the segment's base
	FrameOffset uint32
}

// Key is the hash of one key of one event.
type Key struct {
	Hash     uint64
	Position uint32 // minus the segment's base
}

func (k Key) before(o Key) bool {
	return k.Hash < o.Hash || k.Hash == o.Hash && k.Position < o.Position
}

func appendSlot(b []byte, s Slot) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, s.FrameOffset)
	b = le.AppendUint32(b, s.Bytes)
	b = le.AppendUint32(b, uint32(s.Tag))
	return le.AppendUint32(b, s.Position)
}

func decodeSlot(b []byte) Slot {
	le := binary.LittleEndian
	return Slot{FrameOffset: le.Uint32(b), Bytes: le.Uint32(b[4:]), Tag: int32(le.Uint32(b[8:])), Position: le.Uint32(b[12:])}
}

func appendRow(b []byte, r Row) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(r.Queue.Topic))
	b = le.AppendUint32(b, r.Queue.ID)
	b = le.AppendUint64(b, uint64(r.Next))
	b = le.AppendUint64(b, uint64(r.Born))
	b = le.AppendUint32(b, r.Start)
	return le.AppendUint32(b, r.Count)
}

func decodeRow(b []byte) Row {
	le := binary.LittleEndian
	return Row{
		Queue: event.Queue{Topic: event.TopicID(le.Uint32(b)), ID: le.Uint32(b[4:])},
		Next:  event.Offset(le.Uint64(b[8:])), Born: event.Position(le.Uint64(b[16:])),
		Start: le.Uint32(b[24:]), Count: le.Uint32(b[28:]),
	}
}

func appendSample(b []byte, s Sample) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(s.Timestamp))
	b = le.AppendUint32(b, s.Position)
	return le.AppendUint32(b, s.FrameOffset)
}

func decodeSample(b []byte) Sample {
	le := binary.LittleEndian
	return Sample{Timestamp: int64(le.Uint64(b)), Position: le.Uint32(b[8:]), FrameOffset: le.Uint32(b[12:])}
}

func appendKey(b []byte, k Key) []byte {
	b = binary.LittleEndian.AppendUint64(b, k.Hash)
	return binary.LittleEndian.AppendUint32(b, k.Position)
}

func decodeKey(b []byte) Key {
	return Key{Hash: binary.LittleEndian.Uint64(b), Position: binary.LittleEndian.Uint32(b[8:])}
}

// counts of the items in the sections.
type counts struct{ entries, rows, samples, keys, lines uint32 }

// layout says at which block each section begins.
type layout struct{ table, samples, keys, filter, fences, foot uint32 }

func blocksOf(items uint32, itemBytes int) uint32 {
	perBlock := uint32(payloadBytes / itemBytes)
	return items/perBlock + min(items%perBlock, 1)
}

func (c *counts) fences() (rows, keys uint32) {
	return blocksOf(c.rows, rowBytes), blocksOf(c.keys, keyBytes)
}

// layout follows from the counts.
func (c *counts) layout() layout {
	var l layout
	l.table = blocksOf(c.entries, entryBytes)
	l.samples = l.table + blocksOf(c.rows, rowBytes)
	l.keys = l.samples + blocksOf(c.samples, sampleBytes)
	l.filter = l.keys + blocksOf(c.keys, keyBytes)
	l.fences = l.filter + blocksOf(c.lines, lineBytes)
	rows, keys := c.fences()
	l.foot = l.fences + blocksOf(rows+keys, fenceBytes)
	return l
}

func encodeFoot(s *Span, c *counts) []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, footBytes), magic...)
	b = le.AppendUint32(b, formatVersion)
	b = le.AppendUint32(b, s.Chain)
	for _, v := range []uint64{uint64(s.Segment), uint64(s.First), uint64(s.Last), uint64(s.Base), uint64(s.End), uint64(s.FirstTime), uint64(s.LastTime)} {
		b = le.AppendUint64(b, v)
	}
	for _, v := range []uint32{c.entries, c.rows, c.samples, c.keys, c.lines} {
		b = le.AppendUint32(b, v)
	}
	return b
}

// decodeFoot reads a foot and checks that its numbers fit together and to the
// name, of which named is the content.
func decodeFoot(b []byte, named Span) (Span, counts, error) {
	le := binary.LittleEndian
	if len(b) < footBytes || string(b[:len(magic)]) != magic {
		return Span{}, counts{}, fmt.Errorf("%w: no foot", ErrDamaged)
	}
	if v := le.Uint32(b[8:]); v != formatVersion {
		return Span{}, counts{}, fmt.Errorf("%w: version %d, this program reads %d", ErrDamaged, v, formatVersion)
	}
	s := Span{
		Chain:   le.Uint32(b[12:]),
		Segment: event.Position(le.Uint64(b[16:])), First: event.Index(le.Uint64(b[24:])), Last: event.Index(le.Uint64(b[32:])),
		Base: event.Position(le.Uint64(b[40:])), End: event.Position(le.Uint64(b[48:])),
		FirstTime: int64(le.Uint64(b[56:])), LastTime: int64(le.Uint64(b[64:])),
	}
	c := counts{entries: le.Uint32(b[72:]), rows: le.Uint32(b[76:]), samples: le.Uint32(b[80:]), keys: le.Uint32(b[84:]), lines: le.Uint32(b[88:])}
	switch {
	case s.Segment != named.Segment || s.First != named.First || s.Last != named.Last:
		return s, c, fmt.Errorf("%w: it covers frames %d to %d of segment %d", ErrDamaged, s.First, s.Last, s.Segment)
	case s.Base < s.Segment || s.End < s.Base || s.FirstTime > s.LastTime:
		return s, c, fmt.Errorf("%w: positions %d to %d, times %d to %d", ErrDamaged, s.Base, s.End, s.FirstTime, s.LastTime)
	case c.samples == 0 || (c.keys == 0) != (c.lines == 0):
		return s, c, fmt.Errorf("%w: %d samples, %d keys, %d filter lines", ErrDamaged, c.samples, c.keys, c.lines)
	}
	return s, c, nil
}

// blockSeed is the seed of a block's checksum.
func blockSeed(seed event.Seed, s *Span, number uint32) event.Seed {
	var b [28]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(s.Segment))
	le.PutUint64(b[8:], uint64(s.First))
	le.PutUint64(b[16:], uint64(s.Last))
	le.PutUint32(b[24:], number)
	return event.Seed(event.Checksum(seed, b[:]))
}

// sealBlock puts the checksum into a block.
func sealBlock(b []byte, seed event.Seed, s *Span, number uint32) {
	binary.LittleEndian.PutUint32(b[crcAt:], event.Checksum(blockSeed(seed, s, number), b[:crcAt]))
}

// openBlock verifies a block and returns its payload.
func openBlock(b []byte, seed event.Seed, s *Span, number uint32) ([]byte, error) {
	sum := event.Checksum(blockSeed(seed, s, number), b[:crcAt])
	if want := binary.LittleEndian.Uint32(b[crcAt:]); sum != want {
		return nil, fmt.Errorf("%w: block %d: checksum %08x, expected %08x", ErrDamaged, number, sum, want)
	}
	return b[:payloadBytes:payloadBytes], nil
}
