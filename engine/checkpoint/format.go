package checkpoint

import (
	"encoding/binary"
	"errors"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	magic         = "APOGEECP"
	formatVersion = 1

	prefixBytes       = len(magic) + 4 + 16
	recordHeaderBytes = 5
	recordCRCBytes    = 4
	headerFixedBytes  = 36

	// NameBytesMax bounds the name of a section.
	NameBytesMax = 64
	// ConfigurationBytesMax bounds the raft configuration.
	ConfigurationBytesMax = 1 << 20

	dataBytesMax = 256 << 10
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrCorrupt: the bytes are damaged or end too early.
	ErrCorrupt = errors.New("corrupt checkpoint")
	// ErrVersion: the checkpoint is whole as far as anybody can tell, but a
	// newer version of this program wrote it.
	ErrVersion = errors.New("checkpoint of a newer version")
	// ErrForeign: the checkpoint belongs to another log.
	ErrForeign = errors.New("checkpoint of another log")
)

// recordType says what a record holds. Values are part of the format.
type recordType uint8

const (
	recordHeader  recordType = 1
	recordBegin   recordType = 2
	recordData    recordType = 3
	recordEnd     recordType = 4
	recordTrailer recordType = 5
)

// bytesMax is the longest data of a record, -1 for a type that is unknown.
func (t recordType) bytesMax() int {
	switch t {
	case recordHeader:
		return headerFixedBytes + ConfigurationBytesMax
	case recordBegin:
		return NameBytesMax
	case recordData:
		return dataBytesMax
	case recordEnd:
		return 8
	case recordTrailer:
		return 12
	}
	return -1
}

// Header says where in the log the state belongs.
type Header struct {
	// LogID of the log that the state is a function of.
	LogID event.LogID
	// Index and Term of the last frame in the state; 0 for an empty log.
	Index event.Index
	Term  event.Term
	// Position after the last event in the state.
	Position event.Position
	// Timestamp of the last frame in the state, in Unix milliseconds.
	Timestamp int64
	// ChainCRC is the checksum of the frame at Index, which the header of the
	// next frame repeats.
	ChainCRC uint32
	// Configuration of the replication group at Index, opaque here;
	// ConfigurationBytesMax bytes at most.
	Configuration []byte
}

func (h *Header) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, headerFixedBytes+len(h.Configuration))
	b = le.AppendUint64(b, uint64(h.Index))
	b = le.AppendUint64(b, uint64(h.Term))
	b = le.AppendUint64(b, uint64(h.Position))
	b = le.AppendUint64(b, uint64(h.Timestamp))
	b = le.AppendUint32(b, h.ChainCRC)
	return append(b, h.Configuration...)
}

// decodeHeader reads the data of a header record, headerFixedBytes or more.
func decodeHeader(id event.LogID, b []byte) Header {
	le := binary.LittleEndian
	h := Header{
		LogID:     id,
		Index:     event.Index(le.Uint64(b[0:])),
		Term:      event.Term(le.Uint64(b[8:])),
		Position:  event.Position(le.Uint64(b[16:])),
		Timestamp: int64(le.Uint64(b[24:])),
		ChainCRC:  le.Uint32(b[32:]),
	}
	if len(b) > headerFixedBytes {
		h.Configuration = append([]byte(nil), b[headerFixedBytes:]...)
	}
	return h
}

func encodePrefix(id event.LogID) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(magic), formatVersion)
	return append(b, id[:]...)
}

// extend continues a checksum over b.
func extend(crc uint32, b []byte) uint32 { return event.Checksum(event.Seed(crc), b) }
