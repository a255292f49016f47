package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// segmentWalk is the inspection of one segment.
type segmentWalk struct {
	*inspector
	segment  *inspected
	number   int
	file     disk.File
	tally    *SegmentReport
	at       int64 // after the last frame
	limit    int64 // of the file
	window   []byte
	from     int64 // of the window in the file
	attended bool  // Again has been asked to its end
}

// probe is what was found where a frame should be.
type probe struct {
	at      int64
	header  *Header // nil where there is none
	raw     [headerBytes]byte
	dirty   int64  // file offset of a byte other than zero before it, 0 for none
	data    []byte // whole only if the header is
	problem error  // nil for an undamaged frame
}

// bytes returns file bytes [at, at+n), nil past the end of the segment.
func (w *segmentWalk) bytes(at, n int64) ([]byte, error) {
	if at+n > w.limit {
		return nil, nil
	}
	if at < w.from || at+n > w.from+int64(len(w.window)) {
		size := min(max(scanBytes, n), w.limit-at)
		if int64(cap(w.window)) < size {
			w.window = make([]byte, size)
		}
		w.window, w.from = w.window[:size], at
		if got, err := w.file.ReadAt(w.window, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("inspect segment %s at %d: %w", w.segment.name, at, err)
		} else if w.window = w.window[:got]; int64(got) < n {
			return nil, nil
		}
	}
	return w.window[at-w.from : at-w.from+n], nil
}

// run walks until the segment's frames end.
func (w *segmentWalk) run() error {
	for {
		p, err := w.next()
		if err != nil {
			return err
		}
		if p.problem != nil {
			if more, err := w.stopped(p); err != nil || !more {
				return err
			}
			continue
		}
		if err := w.accept(p); err != nil {
			return err
		}
	}
}

// next looks for the next frame, at once and at the next block boundary.
func (w *segmentWalk) next() (probe, error) {
	var dirty int64
	here, err := w.probe(w.at)
	aligned := (w.at + w.segment.block - 1) / w.segment.block * w.segment.block
	if err != nil || here.header != nil || aligned == w.at {
		return here, err
	}
	gap, err := w.bytes(w.at, aligned-w.at)
	if err != nil {
		return here, err
	}
	if n := firstNonZero(gap); n >= 0 {
		dirty = w.at + int64(n)
	}
	there, err := w.probe(aligned)
	if there.header == nil {
		return here, err
	}
	there.dirty = dirty
	return there, err
}

func (w *segmentWalk) probe(at int64) (probe, error) {
	p := probe{at: at}
	b, err := w.bytes(at, headerBytes)
	if b == nil {
		p.problem = fmt.Errorf("%w: the segment ends at %d", ErrCorrupt, at)
		return p, err
	}
	h, bad := decodeHeader(b, w.seed)
	if bad == nil && w.chained {
		bad = w.chain.follows(&h)
	}
	if bad != nil {
		p.problem = bad
		return p, nil
	}
	copy(p.raw[:], b)
	whole, err := w.bytes(at, int64(frameBytes(int(h.DataBytes))))
	if whole == nil {
		p.problem = fmt.Errorf("%w: frame of %d bytes runs past the segment", ErrCorrupt, h.DataBytes)
		return p, err
	}
	p.header, p.data = &h, whole[headerBytes:]
	p.problem = h.verifyData(p.data[:h.DataBytes], w.seed)
	return p, nil
}

// accept reports an undamaged frame and moves behind it.
func (w *segmentWalk) accept(p probe) error {
	h := p.header
	f := Frame{Header: *h, Data: p.data[:h.DataBytes], Segment: w.segment.base, Offset: p.at}
	if p.dirty > 0 {
		w.find(w.segment.name, p.dirty, fmt.Errorf("%w: bytes other than zero before frame %d", ErrCorrupt, h.Index))
	}
	w.checkFrame(&f, p)
	w.count(&f)
	if w.Frame != nil {
		if err := w.Frame(f); err != nil {
			return err
		}
	}
	err := w.events(f)
	w.behind(p)
	return err
}

func (w *segmentWalk) behind(p probe) {
	w.chain, w.chained = w.chain.next(p.header), true
	w.at = p.at + int64(frameBytes(int(p.header.DataBytes)))
}

// checkFrame checks what no other check of a frame covers.
func (w *segmentWalk) checkFrame(f *Frame, p probe) {
	name := w.segment.name
	if event.Checksum(w.seed^event.Seed(f.CRC), p.raw[64:72]) != binary.LittleEndian.Uint32(p.raw[60:]) {
		w.find(name, p.at+sharedHeaderBytes, fmt.Errorf("%w: frame %d: checksum of the Durable mark; the mark doesn't count", ErrCorrupt, f.Index))
	}
	if f.DurableWhenBuilt >= f.Index {
		w.find(name, p.at+64, fmt.Errorf("%w: frame %d says that frame %d was durable before it", ErrCorrupt, f.Index, f.DurableWhenBuilt))
	}
	if n := firstNonZero(p.data[f.DataBytes:]); n >= 0 {
		w.find(name, p.at+headerBytes+int64(f.DataBytes)+int64(n), fmt.Errorf("%w: bytes other than zero after the data of frame %d", ErrCorrupt, f.Index))
	}
	first := f.Index == 1 && (f.Kind != FrameConfiguration || f.Term != 1)
	if first || f.Kind == FrameConfiguration && !bytes.HasPrefix(f.Data, w.id[:]) {
		w.find(name, p.at+headerBytes, fmt.Errorf("%w: frame %d (%v, term %d) isn't a configuration of this log", ErrCorrupt, f.Index, f.Kind, f.Term))
	}
}

func (w *segmentWalk) count(f *Frame) {
	t := &w.report
	if t.First == 0 {
		t.First, t.Begin, t.FirstTimestamp = f.Index, f.Position, f.Timestamp
	}
	t.Last, t.End, t.LastTimestamp = f.Index, f.End(), f.Timestamp
	t.DurableInFrames = max(t.DurableInFrames, f.DurableWhenBuilt)
	t.DataBytes += uint64(f.DataBytes)
	t.Frames++
	w.tally.Frames++
}

// events visits the undamaged events of a frame and reports the others.
func (w *segmentWalk) events(f Frame) error {
	if f.Kind != FrameEvents {
		return nil
	}
	n := uint32(0)
	for at, rest := f.Position, f.Data; len(rest) > 0; n++ {
		e, after, bad := event.Split(rest)
		offset := f.Offset + headerBytes + int64(at-f.Position)
		if bad != nil {
			w.find(w.segment.name, offset, fmt.Errorf("%w: frame %d, event at position %d: %w", ErrCorrupt, f.Index, at, bad))
			return nil
		}
		if err := w.visit(f, Event{Bytes: e, Position: at, Timestamp: f.Timestamp}, offset); err != nil {
			return err
		}
		at, rest = at+event.Position(len(e)), after
	}
	if n != f.Events {
		w.find(w.segment.name, f.Offset+12, fmt.Errorf("%w: frame %d has %d events, its header says %d", ErrCorrupt, f.Index, n, f.Events))
	}
	return nil
}

func (w *segmentWalk) visit(f Frame, e Event, offset int64) error {
	if bad := e.Bytes.Verify(w.seed); bad != nil {
		w.find(w.segment.name, offset, fmt.Errorf("%w: frame %d, event at position %d: %w", ErrCorrupt, f.Index, e.Position, bad))
		return nil
	}
	if k := e.Bytes.Kind(); !k.Known() {
		w.find(w.segment.name, offset, fmt.Errorf("%w: event at position %d has kind %d", ErrNewerFormat, e.Position, k))
	}
	w.tally.Events++
	w.report.Events++
	if w.Event == nil {
		return nil
	}
	return w.Event(f, e)
}

// stopped decides what it means that no frame follows, and whether the walk
// goes on.
func (w *segmentWalk) stopped(p probe) (more bool, err error) {
	if errors.Is(p.problem, ErrNewerFormat) {
		w.find(w.segment.name, p.at, p.problem)
		w.unchain()
		return false, nil
	}
	if w.number == len(w.segments)-1 {
		ended, err := w.ended(p)
		if err != nil || ended {
			return false, err
		}
	} else if next := w.segments[w.number+1].header; next != nil && w.chain == next.start {
		return false, w.checkRest()
	}
	if still, _, err := w.listed(w.segment.name); err != nil || !still {
		w.report.Live = true
		w.unchain()
		return false, err
	}
	return w.damaged()
}

// checkRest: a sealed segment that was never used before has zeros at its end.
func (w *segmentWalk) checkRest() error {
	for at := w.at; at < w.limit && !w.tally.Recycled; {
		b, err := w.bytes(at, min(scanBytes, w.limit-at))
		if err != nil {
			return err
		}
		if n := firstNonZero(b); n >= 0 {
			w.find(w.segment.name, at+int64(n), fmt.Errorf("%w: bytes other than zero after the last frame", ErrCorrupt))
			return nil
		}
		at += int64(max(len(b), 1))
	}
	return nil
}

// ended decides about the place where the log ends, by the table of recovery.
// Evidence is gathered before the place is looked at again: if that was only
// being written, it is there then.
func (w *segmentWalk) ended(p probe) (bool, error) {
	if w.cutAfter > 0 && w.chain.index >= w.cutAfter {
		return true, nil
	}
	for looks := 1; ; looks++ {
		w.window = w.window[:0]
		found, to, err := w.lookAhead()
		if err != nil {
			return false, err
		}
		verdict := decide(found, w.chain.index)
		_, later, err := w.listed(w.segment.name)
		if err != nil || verdict == verdictClean || later {
			w.report.Live = w.report.Live || later
			return true, err
		}
		w.window = w.window[:0]
		again, err := w.next()
		if err != nil || again.problem == nil {
			w.report.Live = true
			return true, err
		}
		if w.attended || w.Again == nil || !w.Again(looks) {
			w.attended = true
			if verdict == verdictTorn {
				w.find(w.segment.name, p.at, fmt.Errorf("%w: %d bytes after frame %d are no whole frame (%v); opening the log cuts them and keeps them aside", ErrTorn, to-p.at, w.chain.index, p.problem))
			}
			return verdict == verdictTorn, nil
		}
	}
}

// lookAhead examines what follows the last frame, to the end of the file.
func (w *segmentWalk) lookAhead() (f finding, to int64, err error) {
	mark, _, err := w.readMark()
	f.evidence = max(w.report.DurableInFrames, mark)
	for at := w.at; at < w.limit && err == nil; at += frameAlignBytes {
		var h *Header
		var nonZeroTo int64
		if at, h, nonZeroTo, err = w.search(at); h != nil {
			f.later, to = true, max(to, min(at+int64(frameBytes(int(h.DataBytes))), w.limit))
			f.evidence = max(f.evidence, h.DurableWhenBuilt)
		}
		if nonZeroTo > 0 && !w.tally.Recycled {
			f.bytes, to = true, max(to, nonZeroTo)
		}
	}
	return f, to, err
}

// searchBytes is the unit in which search passes over zeros.
const searchBytes = 4096

var searchZeros [searchBytes]byte

// search finds the next header past the chain at or after file offset at, nil
// for none. nonZeroTo is where the last bytes other than zero on the way end.
func (w *segmentWalk) search(at int64) (place int64, h *Header, nonZeroTo int64, err error) {
	for at < w.limit {
		b, err := w.bytes(at, min(searchBytes-at%searchBytes, w.limit-at))
		if err != nil || b == nil {
			return w.limit, nil, nonZeroTo, err
		}
		end := at + int64(len(b))
		if bytes.Equal(b, searchZeros[:len(b)]) {
			at = end
			continue
		}
		for ; at < end; at += frameAlignBytes {
			h, dirty, err := w.headerAt(at)
			if h != nil || err != nil {
				return at, h, nonZeroTo, err
			}
			if dirty {
				nonZeroTo = at + frameAlignBytes
			}
		}
	}
	return w.limit, nil, nonZeroTo, nil
}

// headerAt returns a header past the chain that stands at a file offset, nil
// for none, and whether the first bytes there are other than zero.
func (w *segmentWalk) headerAt(at int64) (h *Header, dirty bool, err error) {
	b, err := w.bytes(at, min(headerBytes, w.limit-at))
	if len(b) < frameAlignBytes || binary.LittleEndian.Uint32(b) != frameMagic {
		return nil, firstNonZero(b[:min(len(b), frameAlignBytes)]) >= 0, err
	}
	got, bad := decodeHeader(b, w.seed)
	if bad != nil || got.Index <= w.chain.index || got.Position < w.chain.position {
		return nil, true, nil
	}
	return &got, true, nil
}

// damaged reports a frame that should be there, after a second look, and finds
// where to go on.
func (w *segmentWalk) damaged() (more bool, err error) {
	w.window = w.window[:0]
	p, err := w.next()
	if err != nil || p.problem == nil {
		return true, err
	}
	if p.header != nil {
		return true, w.damagedData(p)
	}
	name, at := w.segment.name, w.at
	next, h, nonZeroTo, err := w.search(at)
	switch {
	case err != nil:
		return false, err
	case h != nil:
		w.find(name, at, fmt.Errorf("no frame follows frame %d here; the next is frame %d at %d: %w", w.chain.index, h.Index, next, p.problem))
		w.chain.index, w.chain.position, w.chain.crc, w.at = h.Index-1, h.Position, h.Chain, next
		return true, nil
	case w.mayEnd() && (nonZeroTo == 0 || w.tally.Recycled):
		return false, nil
	}
	w.find(name, at, fmt.Errorf("no frame follows frame %d here%s: %w", w.chain.index, w.missing(), p.problem))
	w.unchain()
	return false, nil
}

// mayEnd: the next segment's header can't be read, so nothing says with which
// frame this segment ends.
func (w *segmentWalk) mayEnd() bool {
	return w.number+1 < len(w.segments) && w.segments[w.number+1].header == nil
}

// missing names the frames that the next segment proves to have been.
func (w *segmentWalk) missing() string {
	if w.number+1 == len(w.segments) || w.segments[w.number+1].header == nil {
		return ", up to the end of the segment"
	}
	return fmt.Sprintf("; frames up to %d are missing: segment %s continues them", w.segments[w.number+1].header.start.index, w.segments[w.number+1].name)
}

// damagedData names the damaged events of a frame, visits the others and goes
// behind the frame: its header is good.
func (w *segmentWalk) damagedData(p probe) error {
	before := w.report.Corrupt
	h := p.header
	err := w.events(Frame{Header: *h, Data: p.data[:h.DataBytes], Segment: w.segment.base, Offset: p.at})
	if w.report.Corrupt == before {
		w.find(w.segment.name, p.at+headerBytes, fmt.Errorf("frame %d: %w", h.Index, p.problem))
	}
	w.behind(p)
	return err
}
