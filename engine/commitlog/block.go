package commitlog

import (
	"encoding/binary"
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
)

// Small records (segment header, meta file, mark file) share one layout:
// magic, version, payload length, checksum, payload, zeros.
const (
	blockMagic       = 0x42475041 // "APGB"
	blockHeaderBytes = 16
)

type blockKind uint16

const (
	blockSegment blockKind = 1
	blockMeta    blockKind = 2
	blockMark    blockKind = 3
	blockCut     blockKind = 4
	blockReset   blockKind = 5
	blockRunning blockKind = 6
	blockLost    blockKind = 7
)

const blockVersion = 1

// putBlock fills dst with a record. dst must have room for it.
func putBlock(dst []byte, kind blockKind, seed event.Seed, payload []byte) {
	le := binary.LittleEndian
	clear(dst)
	le.PutUint32(dst[0:], blockMagic)
	le.PutUint16(dst[4:], blockVersion)
	le.PutUint16(dst[6:], uint16(kind))
	le.PutUint32(dst[8:], uint32(len(payload)))
	copy(dst[blockHeaderBytes:], payload)
	le.PutUint32(dst[12:], blockSum(dst, len(payload), seed))
}

func blockSum(b []byte, payloadBytes int, seed event.Seed) uint32 {
	sum := event.Checksum(seed, b[:12])
	return event.Checksum(event.Seed(sum), b[blockHeaderBytes:blockHeaderBytes+payloadBytes])
}

// recordBytesMax is the longest record of any version: as much of a file is
// read to tell a newer version from damage.
const recordBytesMax = 4096

// openBlock returns the payload of a record of exactly payloadBytes bytes. b
// may be longer. Every version keeps the first 16 bytes and the checksum as
// they are, so that a newer one can be told from damage.
func openBlock(b []byte, kind blockKind, seed event.Seed, payloadBytes int) ([]byte, error) {
	le := binary.LittleEndian
	if len(b) < blockHeaderBytes+payloadBytes {
		return nil, fmt.Errorf("%w: record of %d bytes, expected %d", ErrCorrupt, len(b), blockHeaderBytes+payloadBytes)
	}
	if m := le.Uint32(b); m != blockMagic {
		return nil, fmt.Errorf("%w: no record magic (%08x)", ErrCorrupt, m)
	}
	if v := le.Uint16(b[4:]); v != blockVersion {
		n := int(le.Uint32(b[8:]))
		if v < blockVersion || n > len(b)-blockHeaderBytes || blockSum(b, n, seed) != le.Uint32(b[12:]) {
			return nil, fmt.Errorf("%w: record checksum and version are wrong", ErrCorrupt)
		}
		return nil, fmt.Errorf("%w: record version %d, this program reads %d; start a newer version of it", ErrNewerFormat, v, blockVersion)
	}
	if k := blockKind(le.Uint16(b[6:])); k != kind {
		return nil, fmt.Errorf("%w: record kind %d, expected %d", ErrCorrupt, k, kind)
	}
	if n := le.Uint32(b[8:]); n != uint32(payloadBytes) {
		return nil, fmt.Errorf("%w: record payload of %d bytes, expected %d", ErrCorrupt, n, payloadBytes)
	}
	if sum := blockSum(b, payloadBytes, seed); sum != le.Uint32(b[12:]) {
		return nil, fmt.Errorf("%w: record checksum %08x, expected %08x", ErrCorrupt, sum, le.Uint32(b[12:]))
	}
	return b[blockHeaderBytes : blockHeaderBytes+payloadBytes], nil
}
