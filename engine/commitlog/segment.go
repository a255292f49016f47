package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// segment is one file of the log. Frames begin after the header block and
// never cross into the next segment.
type segment struct {
	start    chain // the chain before the segment's first frame
	bytes    int64
	recycled bool  // the file held another part of the log before
	sealedAt int64 // file offset after the last frame, 0 where unknown; guarded by tail.mu

	mu    sync.Mutex
	file  disk.File // nil before the flusher made the file and after Trim
	table []place   // sparse, about one entry per tableBytes

	reading sync.RWMutex  // held for reading while the file is read
	cuts    atomic.Uint64 // how often the segment was truncated

	fill filler
}

// place is an entry of the sparse table: a frame and where it stands.
type place struct {
	index     event.Index
	position  event.Position
	timestamp int64
	offset    int64
}

func (s *segment) base() event.Position { return s.start.position }
func (s *segment) first() event.Index   { return s.start.index + 1 }
func (s *segment) name() string         { return segmentName(s.base()) }

func (s *segment) openFile() (disk.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil, fmt.Errorf("read segment %s: %w", s.name(), ErrNotFound)
	}
	return s.file, nil
}

// unmade reports whether the flusher has still to make the segment's file.
func (s *segment) unmade() bool {
	_, err := s.openFile()
	return err != nil
}

// read runs f with the segment's file. Trim waits for it to return.
func (s *segment) read(f func(disk.File) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	file, err := s.openFile()
	if err != nil {
		return err
	}
	return f(file)
}

// retire takes the file away from readers, after those at work have left.
func (s *segment) retire() disk.File {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.file
	s.file = nil
	return file
}

func (s *segment) setFile(f disk.File) {
	s.mu.Lock()
	s.file = f
	s.mu.Unlock()
}

// note adds a frame to the sparse table if it is far enough from its
// neighbours there. The appender notes in order; readers of a segment that was
// not scanned at start note what they pass.
func (s *segment) note(h *Header, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLocked(h, offset)
}

func (s *segment) noteLocked(h *Header, offset int64) {
	i := len(s.table)
	for i > 0 && s.table[i-1].offset > offset {
		i--
	}
	if i > 0 && offset < s.table[i-1].offset+tableBytes || i < len(s.table) && s.table[i].offset < offset+tableBytes {
		return
	}
	s.table = slices.Insert(s.table, i, place{index: h.Index, position: h.Position, timestamp: h.Timestamp, offset: offset})
}

// noteRead is note for a reader, unless the segment was truncated since the
// reader looked at cuts: what it read may be gone.
func (s *segment) noteRead(h *Header, offset int64, cuts uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cuts.Load() == cuts {
		s.noteLocked(h, offset)
	}
}

// forgetFrom drops what the sparse table says of file offset at and after.
func (s *segment) forgetFrom(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts.Add(1)
	i := sort.Search(len(s.table), func(i int) bool { return s.table[i].offset >= at })
	s.table = s.table[:i]
}

// forgetBetween drops what the sparse table says of a part of the segment that
// was written anew, and lets readers go who hold on to it.
func (s *segment) forgetBetween(from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts.Add(1)
	s.table = slices.DeleteFunc(s.table, func(p place) bool { return p.offset >= from && p.offset < to })
}

// before returns the last known frame for which after is false, at worst the
// segment's first; after must be monotonic over the segment.
func (s *segment) before(after func(place) bool, block int) place {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.table), func(i int) bool { return after(s.table[i]) })
	if i == 0 {
		return place{index: s.first(), position: s.base(), timestamp: s.start.timestamp, offset: int64(block)}
	}
	return s.table[i-1]
}

const (
	segmentPayloadBytes = 72
	segmentRecycled     = 1 // flag
)

// encodeHeader fills the segment's first block.
func (s *segment) encodeHeader(dst []byte, id event.LogID) {
	le := binary.LittleEndian
	var p [segmentPayloadBytes]byte
	copy(p[0:], id[:])
	le.PutUint64(p[16:], uint64(s.start.position))
	le.PutUint64(p[24:], uint64(s.start.index))
	le.PutUint64(p[32:], uint64(s.start.term))
	le.PutUint64(p[40:], uint64(s.start.timestamp))
	le.PutUint64(p[48:], uint64(s.bytes))
	le.PutUint32(p[56:], s.start.crc)
	le.PutUint32(p[60:], uint32(len(dst)))
	if s.recycled {
		le.PutUint32(p[64:], segmentRecycled)
	}
	putBlock(dst, blockSegment, id.Seed(), p[:])
}

// decodeSegment reads a segment header. blockBytes is where frames begin.
func decodeSegment(b []byte, id event.LogID) (s *segment, blockBytes int64, err error) {
	if other, proven := provenID(b); proven && other != id {
		return nil, 0, fmt.Errorf("%w: this file is of log %x, the folder of log %x; put each into its own folder", ErrCorrupt, other[:], id[:])
	}
	p, err := openBlock(b, blockSegment, id.Seed(), segmentPayloadBytes)
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	if event.LogID(p[:16]) != id {
		return nil, 0, fmt.Errorf("%w: segment of log %x, this is log %x", ErrCorrupt, p[:16], id[:])
	}
	s = &segment{bytes: int64(le.Uint64(p[48:])), start: chain{
		position: event.Position(le.Uint64(p[16:])), index: event.Index(le.Uint64(p[24:])),
		term: event.Term(le.Uint64(p[32:])), timestamp: int64(le.Uint64(p[40:])), crc: le.Uint32(p[56:]),
	}}
	blockBytes = int64(le.Uint32(p[60:]))
	s.recycled = le.Uint32(p[64:])&segmentRecycled != 0
	if blockBytes < blockHeaderBytes+segmentPayloadBytes || s.bytes <= blockBytes || s.bytes > 1<<32 {
		return nil, 0, fmt.Errorf("%w: segment of %d bytes with frames from %d", ErrCorrupt, s.bytes, blockBytes)
	}
	return s, blockBytes, nil
}

// loadSegment opens the file of a segment and checks that header, name and
// length agree.
func (l *Log) loadSegment(base event.Position) (*segment, error) {
	name := segmentName(base)
	f, err := l.disk.Open(name, disk.DirectReadWrite)
	if err != nil {
		return nil, err
	}
	s, err := l.checkSegment(f, base)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open segment %s/%s: %w", l.disk.Path(), name, err), f.Close())
	}
	s.file = f
	s.fill.startAt(s.bytes) // nothing to fill, unless start makes it the last segment
	return s, nil
}

func (l *Log) checkSegment(f disk.File, base event.Position) (*segment, error) {
	b := l.scratch(l.block)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s, block, err := decodeSegment(b, l.meta.Log)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	switch {
	case err != nil:
		return nil, err
	case s.base() != base:
		return nil, fmt.Errorf("%w: header says base position %d", ErrCorrupt, s.base())
	case block != int64(l.block):
		return nil, fmt.Errorf("%w: written with %d-byte blocks, this disk uses %d; move the log back or copy it with the tools", ErrCorrupt, block, l.block)
	case size < s.bytes:
		return nil, fmt.Errorf("%w: file of %d bytes, the header says %d", ErrCorrupt, size, s.bytes)
	}
	return s, nil
}
