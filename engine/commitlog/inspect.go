package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// ErrTorn marks what a crash leaves behind and opening repairs: bytes after
// the last frame, a Truncate under way, a mark file that can't be read.
var ErrTorn = errors.New("torn tail")

// Folder is what Inspect needs of a disk.Disk. Files are opened with
// disk.Read only.
type Folder interface {
	Open(name string, mode disk.Mode) (disk.File, error)
	List(dir string) ([]string, error)
	Path() string
}

// Finding is a place that isn't as the log wrote it.
type Finding struct {
	File   string // in the log's folder
	Offset int64  // in bytes, in that file
	Err    error  // wraps ErrTorn, ErrCorrupt or ErrNewerFormat
}

func (f Finding) String() string { return fmt.Sprintf("%s at %d: %v", f.File, f.Offset, f.Err) }

// Inspection walks a log folder and changes nothing. It takes no lock and may
// run while the log is open elsewhere: what is being written is then neither
// reported as torn nor as corrupt, and the walk ends there. Functions that are
// nil aren't called.
type Inspection struct {
	Folder Folder
	// From and FromTimestamp (Unix milliseconds) pass over segments that end
	// before; 0 for the whole log.
	From          event.Position
	FromTimestamp int64
	// Frame sees each undamaged frame, Event each undamaged event, in order.
	// An error ends the inspection and is returned as it is.
	Frame func(Frame) error
	Event func(Frame, Event) error
	// Finding sees what is wrong, as it is found.
	Finding func(Finding)
	// Again is asked when the end of the log looks torn, with the number of
	// looks so far. It waits a moment for writes under way and tells whether to
	// look again. nil for a log that nobody writes.
	Again func(looks int) bool
}

// Report sums up an inspection.
type Report struct {
	Meta            Meta // zero where the meta file can't be read
	Segments        []SegmentReport
	Frames, Events  uint64
	DataBytes       uint64         // in frames
	First, Last     event.Index    // 0 without a frame
	Begin, End      event.Position // of the first frame and after the last
	FirstTimestamp  int64          // Unix milliseconds
	LastTimestamp   int64
	DurableInFrames event.Index // highest Durable mark in a frame
	DurableInMark   event.Index // in the mark file, 0 for none
	Live            bool        // the log was written or trimmed meanwhile
	Torn            int         // findings of ErrTorn
	Corrupt         int         // of ErrCorrupt
	Newer           int         // of ErrNewerFormat
}

// SegmentReport sums up one segment.
type SegmentReport struct {
	Name           string
	Frames, Events uint64
	FileBytes      int64
	UsedBytes      int64 // up to the end of the last frame
	Recycled       bool
	PassedOver     bool // by From or FromTimestamp
}

// Inspect runs an inspection. An error is a failure to read or comes from a
// callback; what is wrong with the log is in the report.
func Inspect(o Inspection) (Report, error) {
	i := &inspector{Inspection: o}
	err := i.run()
	return i.report, err
}

// inspector is the state of one Inspect.
type inspector struct {
	Inspection
	report   Report
	id       event.LogID
	seed     event.Seed
	segments []inspected
	cutAfter event.Index // an unfinished Truncate keeps frames up to here
	metaLost bool

	chain   chain // what the next frame continues
	chained bool
}

// inspected is a segment file as it was found.
type inspected struct {
	name   string
	base   event.Position
	header *segment // nil where it can't be read
	block  int64    // where frames begin
	size   int64
}

func (i *inspector) run() error {
	names, err := i.segmentNames()
	if err != nil {
		return err
	}
	if err := i.identify(names); err != nil {
		return err
	}
	if err := i.readCut(); err != nil {
		return err
	}
	if err := i.readHeaders(names); err != nil {
		return err
	}
	if len(i.segments) == 0 {
		i.find(metaName, 0, fmt.Errorf("%w: the folder has no segment; restore it", ErrCorrupt))
	}
	for n := range i.segments {
		if err := i.walkSegment(n); err != nil {
			return err
		}
	}
	i.judgeMeta()
	return nil
}

// readHeaders reads the segments' headers. A log that rolls and trims while its
// folder is listed may show none of its segments: then it is listed again.
func (i *inspector) readHeaders(names []string) (err error) {
	for looks := 1; ; looks++ {
		for _, name := range names {
			if err := i.readHeader(name); err != nil {
				return err
			}
		}
		if len(i.segments) > 0 || i.Again == nil || !i.Again(looks) {
			return nil
		}
		if names, err = i.segmentNames(); err != nil {
			return err
		}
	}
}

// find reports a finding.
func (i *inspector) find(file string, offset int64, err error) {
	switch {
	case errors.Is(err, ErrTorn):
		i.report.Torn++
	case errors.Is(err, ErrNewerFormat):
		i.report.Newer++
	default:
		i.report.Corrupt++
	}
	if i.Finding != nil {
		i.Finding(Finding{File: file, Offset: offset, Err: err})
	}
}

func (i *inspector) segmentNames() ([]string, error) {
	all, err := i.Folder.List(".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if _, ok := parseSegmentName(name); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// identify learns which log this is: from the meta file, else from the first
// segment that proves an id by its checksum.
func (i *inspector) identify(names []string) error {
	p, bad, err := i.readRecord(metaName, blockMeta, 0, metaPayloadBytes)
	switch {
	case err != nil:
		return err
	case bad != nil:
		i.find(metaName, 0, bad)
	case p != nil:
		m := &i.report.Meta
		copy(m.Log[:], p[0:])
		copy(m.Group[:], p[16:])
		copy(m.Node[:], p[32:])
		i.id, i.seed = m.Log, m.Log.Seed()
		return nil
	case len(names) == 0:
		return fmt.Errorf("inspect log %s: %w: neither a %s file nor a segment is there; name the folder of a log", i.Folder.Path(), ErrNotFound, metaName)
	default:
		i.metaLost = true
	}
	for _, name := range names {
		b, _, err := i.firstBytes(name)
		if err != nil && !errors.Is(err, disk.ErrNotFound) {
			return err
		}
		if id, ok := provenID(b); ok {
			i.id, i.seed = id, id.Seed()
			return nil
		}
	}
	return nil
}

// provenID is the log id of a segment header, if its checksum agrees with it.
func provenID(b []byte) (id event.LogID, ok bool) {
	if len(b) < blockHeaderBytes+segmentPayloadBytes {
		return id, false
	}
	id = event.LogID(b[blockHeaderBytes:])
	_, err := openBlock(b, blockSegment, id.Seed(), segmentPayloadBytes)
	return id, err == nil
}

// judgeMeta: a log without a meta file is one whose creation was cut short, or
// one that lost it. Opening takes the folder for empty in both cases.
func (i *inspector) judgeMeta() {
	switch {
	case !i.metaLost:
	case len(i.segments) == 1 && i.segments[0].base == 0 && i.report.Last <= 1:
		i.find(metaName, 0, fmt.Errorf("%w: no such file, and one frame at most: the creation of the log was cut short; opening repeats it", ErrTorn))
	default:
		i.find(metaName, 0, fmt.Errorf("%w: no such file, but frames up to %d; do not open this log before the file is restored", ErrCorrupt, i.report.Last))
	}
}

// readWhole reads a small file and at most one byte more than limit. A file
// that isn't there gives nil.
func (i *inspector) readWhole(name string, limit int) ([]byte, error) {
	b, _, err := i.readStart(name, limit+1)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

func (i *inspector) readStart(name string, limit int) (b []byte, size int64, err error) {
	f, err := i.Folder.Open(name, disk.Read)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if size, err = f.Size(); err != nil {
		return nil, 0, fmt.Errorf("inspect %s: %w", name, err)
	}
	b = make([]byte, min(size, int64(limit)))
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("inspect %s: %w", name, err)
	}
	return b[:n], size, nil
}

// readRecord reads a file that is one record. payload is nil where there is no
// such file; bad says what is wrong with it, after a second look: it may have
// been rewritten during the first.
func (i *inspector) readRecord(name string, kind blockKind, seed event.Seed, payloadBytes int) (payload []byte, bad, err error) {
	for range 2 {
		var b []byte
		if b, err = i.readWhole(name, recordBytesMax); b == nil || err != nil {
			return nil, nil, err
		}
		payload, bad = openBlock(b, kind, seed, payloadBytes)
		if bad == nil && len(b) > blockHeaderBytes+payloadBytes {
			bad = fmt.Errorf("%w: longer than %d bytes", ErrCorrupt, blockHeaderBytes+payloadBytes)
		}
		if bad == nil {
			return payload, nil, nil
		}
	}
	return nil, bad, nil
}

// readMark returns the Durable mark of the mark file, 0 for none; bad says what
// is wrong with the file.
func (i *inspector) readMark() (mark event.Index, bad, err error) {
	p, bad, err := i.readRecord(markName, blockMark, i.seed, markPayloadBytes)
	if p != nil {
		mark = event.Index(binary.LittleEndian.Uint64(p))
		i.report.DurableInMark = mark
	}
	return mark, bad, err
}

func (i *inspector) readCut() error {
	_, bad, err := i.readMark()
	if err == nil && bad != nil {
		// A running broker writes the file in place: look again.
		_, bad, err = i.readMark()
	}
	if err != nil {
		return err
	}
	if bad != nil {
		i.find(markName, 0, fmt.Errorf("%w: %v; it counts as none and is written again", ErrTorn, bad))
	}
	p, bad, err := i.readRecord(cutName, blockCut, i.seed, cutPayloadBytes)
	switch {
	case err != nil:
		return err
	case bad != nil:
		i.find(cutName, 0, bad)
	case p != nil:
		i.cutAfter = event.Index(binary.LittleEndian.Uint64(p))
		i.find(cutName, 0, fmt.Errorf("%w: the log was being truncated after frame %d; opening finishes that", ErrTorn, i.cutAfter))
	}
	return nil
}

// headerBytesMax is the largest block in which a segment header may stand.
const headerBytesMax = 64 << 10

func (i *inspector) firstBytes(name string) (b []byte, size int64, err error) {
	return i.readStart(name, headerBytesMax)
}

// readHeader checks the header block and the length of a segment.
func (i *inspector) readHeader(name string) error {
	b, size, err := i.firstBytes(name)
	if errors.Is(err, disk.ErrNotFound) {
		i.report.Live = true
		return nil
	}
	if err != nil {
		return err
	}
	base, _ := parseSegmentName(name)
	s := inspected{name: name, base: base, size: size, block: 4096}
	if len(i.segments) > 0 {
		s.block = i.segments[len(i.segments)-1].block
	}
	header, block, bad := decodeSegment(b, i.id)
	if bad != nil {
		if id, ok := provenID(b); ok && id != i.id {
			bad = fmt.Errorf("%w: segment of log %x, this is log %x", ErrCorrupt, id[:], i.id[:])
		}
		i.find(name, 0, bad)
	} else {
		s.header, s.block = header, block
		i.checkHeader(&s, b)
	}
	i.segments = append(i.segments, s)
	return nil
}

func (i *inspector) checkHeader(s *inspected, b []byte) {
	h := s.header
	if h.base() != s.base {
		i.find(s.name, 0, fmt.Errorf("%w: the header says base position %d", ErrCorrupt, h.base()))
	}
	if s.base == 0 && h.start != (chain{}) {
		i.find(s.name, 0, fmt.Errorf("%w: the first segment continues frame %d", ErrCorrupt, h.start.index))
	}
	if s.size != h.bytes {
		i.find(s.name, min(s.size, h.bytes), fmt.Errorf("%w: file of %d bytes, the header says %d", ErrCorrupt, s.size, h.bytes))
	}
	if at := firstNonZero(b[blockHeaderBytes+segmentPayloadBytes : min(s.block, int64(len(b)))]); at >= 0 {
		i.find(s.name, int64(blockHeaderBytes+segmentPayloadBytes+at), fmt.Errorf("%w: bytes other than zero after the header", ErrCorrupt))
	}
}

// firstNonZero is the place of the first byte other than zero, -1 for none.
func firstNonZero(b []byte) int {
	for n, c := range b {
		if c != 0 {
			return n
		}
	}
	return -1
}

// passedOver reports whether segment n ends before what is asked for.
func (i *inspector) passedOver(n int) bool {
	if n+1 >= len(i.segments) || i.segments[n+1].header == nil {
		return false
	}
	end := i.segments[n+1].header.start
	return i.From > 0 && end.position <= i.From || i.FromTimestamp > 0 && end.timestamp < i.FromTimestamp
}

// enter checks that a segment continues the frames before it.
func (i *inspector) enter(s *inspected) {
	if s.header == nil {
		return
	}
	start := s.header.start
	switch was := i.chain; {
	case !i.chained || was == start:
	case start.index > was.index:
		i.find(s.name, 0, fmt.Errorf("%w: frames %d to %d are missing before this segment", ErrCorrupt, was.index+1, start.index))
	default:
		i.find(s.name, 0, fmt.Errorf("%w: the segment continues frame %d at position %d with checksum %08x, the one before ends with frame %d at %d with %08x",
			ErrCorrupt, start.index, start.position, start.crc, was.index, was.position, was.crc))
	}
	i.chain, i.chained = start, true
}

// unchain: nothing is known of the frames before the next one.
func (i *inspector) unchain() { i.chain, i.chained = chain{}, false }

// listed reports whether a segment is still in the folder, and whether there
// is one that wasn't when the inspection began.
func (i *inspector) listed(name string) (still, later bool, err error) {
	names, err := i.segmentNames()
	if err != nil {
		return false, false, err
	}
	last := i.segments[len(i.segments)-1].name
	for _, n := range names {
		still = still || n == name
		later = later || n > last
	}
	return still, later, nil
}

// walkSegment inspects the frames of segment n.
func (i *inspector) walkSegment(n int) error {
	s := &i.segments[n]
	r := SegmentReport{Name: s.name, FileBytes: s.size, Recycled: s.header != nil && s.header.recycled, PassedOver: i.passedOver(n)}
	if r.PassedOver {
		i.report.Segments = append(i.report.Segments, r)
		i.unchain()
		return nil
	}
	f, err := i.Folder.Open(s.name, disk.Read)
	if errors.Is(err, disk.ErrNotFound) {
		i.report.Live = true
		i.unchain()
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	i.enter(s)
	w := &segmentWalk{inspector: i, segment: s, number: n, file: f, at: s.block, limit: s.size, tally: &r}
	if s.header != nil {
		w.limit = min(s.size, s.header.bytes)
	}
	err = w.run()
	r.UsedBytes = w.at
	i.report.Segments = append(i.report.Segments, r)
	return err
}
