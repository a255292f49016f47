package commitlog

import (
	"errors"
	"fmt"
	"sort"

	"github.com/apogeemq/apogee/engine/event"
)

// Frame is one frame as read. Data is valid until the visit returns.
type Frame struct {
	Header
	Data    []byte
	Segment event.Position // base of the segment
	Offset  int64          // of the header in the segment
}

// Event is one event as read. Bytes are valid until the visit returns.
type Event struct {
	Bytes     event.Event
	Position  event.Position
	Timestamp int64
}

// Place names an event by the frame that holds it.
type Place struct {
	Segment  event.Position
	Offset   int64 // of the frame's header in the segment
	Position event.Position
	Bytes    int // of the event
}

// Reader reads events and frames. Each goroutine uses its own.
type Reader struct {
	log  *Log
	buf  []byte
	held pinned // the chunk of the last Read, until Release; chunk nil for none
	past past   // what the last Read took from the history, until Release
	near near   // the frame of the last FindEntry on disk

	asIs  bool // what is damaged is not repaired
	shown bool // the event of the Read under way was visited
}

// NewReader returns a reader.
func (l *Log) NewReader() *Reader { return &Reader{log: l} }

// Read visits the event at a place that a projection remembers. Bytes that
// come from the disk are verified before they are shown.
func (r *Reader) Read(p Place, visit func(Event) error) error {
	if err := r.log.untrimmed(p.Position); err != nil {
		return err
	}
	if !r.past.covers(p) && r.hold(p.Position) {
		return visitHeld(&r.held, p, visit)
	}
	r.shown = false
	err := r.readPast(p, visit)
	if err == nil || r.shown {
		return err
	}
	return r.readMended(p, visit, err)
}

// readMended is readPast once more, after err, where it was damage and is
// repaired.
func (r *Reader) readMended(p Place, visit func(Event) error, err error) error {
	s := r.past.segment
	r.past.leave(r.log.history)
	if r.asIs || s == nil || !r.log.mend(s, p.Offset, err) {
		return err
	}
	return r.readPast(p, visit)
}

// untrimmed refuses a position below the log's beginning: the tail may hold it
// longer than the log does.
func (l *Log) untrimmed(p event.Position) error {
	if _, base := l.First(); p < base {
		return fmt.Errorf("%w: position %d was trimmed, the log begins at %d", ErrNotFound, p, base)
	}
	return nil
}

// hold makes the chunk with position the one held, if it is in the tail.
// Neighbours in a queue are mostly neighbours in the log, so the next Read
// often finds its chunk here.
func (r *Reader) hold(position event.Position) bool {
	match := byPosition(position)
	if h := &r.held; h.chunk != nil && match(&h.frames[0].header, &h.frames[len(h.frames)-1].header) == 0 {
		return true
	}
	r.releaseHeld()
	var ok bool
	r.held, ok = r.log.tail.pin(match)
	return ok
}

// Release lets go of the parts of the tail and the history that Read holds on
// to.
func (r *Reader) Release() {
	r.releaseHeld()
	r.past.leave(r.log.history)
}

func (r *Reader) releaseHeld() {
	if r.held.chunk != nil {
		r.log.tail.unpin(r.held.chunk)
		r.held = pinned{}
	}
}

func (r *Reader) room(n int) []byte {
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 64<<10))
	}
	return r.buf[:n]
}

func (r *Reader) header(s *segment, at int64) (Header, error) {
	if err := r.log.mayBeFrame(s, at); err != nil {
		return Header{}, err
	}
	b := r.room(headerBytes)
	if err := r.log.history.read(s, b, at); err != nil {
		return Header{}, err
	}
	h, err := decodeHeader(b, r.log.seed)
	if err != nil {
		return Header{}, fmt.Errorf("segment %s at %d: %w", s.name(), at, err)
	}
	return h, nil
}

// mayBeFrame refuses a file offset where no header fits.
func (l *Log) mayBeFrame(s *segment, at int64) error {
	if at < int64(l.block) || at+headerBytes > s.bytes {
		return fmt.Errorf("%w: no frame at %d of segment %s", ErrNotFound, at, s.name())
	}
	return nil
}

// stable is the file offset of a segment below which nothing is written any more.
func (l *Log) stable(s *segment) int64 {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	for _, c := range l.tail.chunks[l.tail.written:] {
		if c.segment == s {
			return c.offset
		}
	}
	if l.lastSegment() != s {
		return s.bytes
	}
	return l.endAt / int64(l.block) * int64(l.block)
}

// visitHeld visits the event at a place in a pinned chunk. The bytes come from
// this process, so they need no check of their checksum.
func visitHeld(p *pinned, at Place, visit func(Event) error) error {
	f := p.frame(at.Position)
	from := int(at.Position - f.header.Position)
	if f.header.Kind != FrameEvents || from+at.Bytes > int(f.header.DataBytes) {
		return fmt.Errorf("%w: no event at position %d", ErrNotFound, at.Position)
	}
	e, rest, err := event.Split(p.data(f)[from : from+at.Bytes])
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: no event of %d bytes begins at position %d", ErrNotFound, at.Bytes, at.Position)
	}
	return visit(Event{Bytes: e, Position: at.Position, Timestamp: f.header.Timestamp})
}

// visitPinned finds the event that begins at position in a pinned chunk.
func visitPinned(p *pinned, position event.Position, visit func(Event) error) error {
	f := p.frame(position)
	if f.header.Kind != FrameEvents {
		return fmt.Errorf("%w: no event at position %d", ErrNotFound, position)
	}
	return visitInFrame(p.data(f), &f.header, position, visit)
}

// visitInFrame walks the events of a frame; position must be the start of one.
func visitInFrame(data []byte, h *Header, position event.Position, visit func(Event) error) error {
	at := h.Position
	for len(data) > 0 && at <= position {
		e, rest, err := event.Split(data)
		if err != nil {
			return fmt.Errorf("%w: frame %d: %w", ErrCorrupt, h.Index, err)
		}
		if at == position {
			return visit(Event{Bytes: e, Position: at, Timestamp: h.Timestamp})
		}
		at += event.Position(len(e))
		data = rest
	}
	return fmt.Errorf("%w: no event begins at position %d", ErrNotFound, position)
}

// Find visits the event that begins at position, wherever it is.
func (r *Reader) Find(position event.Position, visit func(Event) error) error {
	if _, _, end := r.log.End(); position >= end {
		return fmt.Errorf("%w: position %d, the log ends at %d", ErrNotFound, position, end)
	}
	if err := r.log.untrimmed(position); err != nil {
		return err
	}
	if pin, ok := r.log.tail.pin(byPosition(position)); ok {
		defer r.log.tail.unpin(pin.chunk)
		return visitPinned(&pin, position, visit)
	}
	s, err := r.log.segmentHolding(func(s *segment) bool { return s.base() > position })
	if err != nil {
		return err
	}
	after := func(p place) bool { return p.position > position }
	return r.fromHint(s, after, func(from place) error {
		return r.log.cursorAt(s, from).find(position, visit)
	})
}

// find walks to the event that begins at position.
func (c *Cursor) find(position event.Position, visit func(Event) error) error {
	for {
		var found bool
		err := c.step(func(f Frame) error {
			if f.End() <= position {
				return nil
			}
			found = true
			if f.Position > position || f.Kind != FrameEvents {
				return fmt.Errorf("%w: no event at position %d", ErrNotFound, position)
			}
			return visitInFrame(f.Data, &f.Header, position, visit)
		})
		if found || err != nil {
			return err
		}
	}
}

func (l *Log) segmentAt(base event.Position) (*segment, error) {
	s, err := l.segmentHolding(func(s *segment) bool { return s.base() > base })
	if err == nil && s.base() != base {
		err = fmt.Errorf("%w: segment %s", ErrNotFound, segmentName(base))
	}
	return s, err
}

// segmentHolding returns the last segment for which after is false.
func (l *Log) segmentHolding(after func(*segment) bool) (*segment, error) {
	all := *l.segments.Load()
	i := sort.Search(len(all), func(i int) bool { return after(all[i]) })
	if i == 0 {
		return nil, fmt.Errorf("%w: trimmed", ErrNotFound)
	}
	return all[i-1], nil
}

// Cursor walks frames in order, from the tail where it can.
type Cursor struct {
	log    *Log
	reader *Reader
	next   event.Index

	// Where the next frame stands on disk; segment nil when unknown.
	segment *segment
	at      int64
	chain   chain
	chained bool
}

// CursorFrom returns a cursor whose first frame is index.
func (l *Log) CursorFrom(index event.Index) *Cursor {
	return &Cursor{log: l, reader: l.NewReader(), next: index}
}

func (l *Log) cursorAt(s *segment, p place) *Cursor {
	return &Cursor{log: l, reader: l.NewReader(), next: p.index, segment: s, at: p.offset}
}

// Next is the index of the frame that the next Visit begins with.
func (c *Cursor) Next() event.Index { return c.next }

// Visit visits frames up to and including index through, which must be
// appended. It stops at the first error of visit.
func (c *Cursor) Visit(through event.Index, visit func(Frame) error) error {
	for c.next <= through {
		if err := c.untrimmed(); err != nil {
			return err
		}
		if pin, ok := c.log.tail.pin(byIndex(c.next)); ok {
			err := c.visitPinned(&pin, through, visit)
			c.log.tail.unpin(pin.chunk)
			if err != nil {
				return err
			}
			continue
		}
		if c.segment == nil {
			if err := c.locate(); err != nil {
				return err
			}
		}
		if err := c.step(visit); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cursor) untrimmed() error {
	if first, _ := c.log.First(); c.next < first {
		return fmt.Errorf("read frame %d: %w: trimmed, the log begins with frame %d", c.next, ErrNotFound, first)
	}
	return nil
}

// Header returns the header of the next frame, which must be appended, and moves
// behind it. The frame's data is neither read nor verified.
func (c *Cursor) Header() (Header, error) {
	if err := c.untrimmed(); err != nil {
		return Header{}, err
	}
	if pin, ok := c.log.tail.pin(byIndex(c.next)); ok {
		defer c.log.tail.unpin(pin.chunk)
		c.segment, c.chained = nil, false
		h := pin.frames[c.next-pin.frames[0].header.Index].header
		c.next++
		return h, nil
	}
	if c.segment == nil {
		if err := c.locate(); err != nil {
			return Header{}, err
		}
	}
	cuts := c.segment.cuts.Load()
	h, err := c.headerHere()
	if c.mend(err) {
		cuts = c.segment.cuts.Load()
		h, err = c.headerHere()
	}
	if err != nil {
		return h, err
	}
	c.segment.noteRead(&h, c.at, cuts)
	c.pass(&h)
	return h, nil
}

// pass moves behind the frame on disk at the cursor.
func (c *Cursor) pass(h *Header) {
	c.chain, c.chained = chain{}.next(h), true
	c.next = h.Index + 1
	c.at += int64(frameBytes(int(h.DataBytes)))
	c.toNextSegment()
}

func (c *Cursor) visitPinned(p *pinned, through event.Index, visit func(Frame) error) error {
	c.segment, c.chained = nil, false
	first := p.frames[0].header.Index
	for i := int(c.next - first); i < len(p.frames) && p.frames[i].header.Index <= through; i++ {
		f := &p.frames[i]
		c.next = f.header.Index + 1
		s := p.chunk.segment
		err := visit(Frame{Header: f.header, Data: p.data(f), Segment: s.base(), Offset: p.chunk.offset + int64(f.at)})
		if err != nil {
			return err
		}
	}
	return nil
}

// locate finds a frame at or before the next one on disk and walks to it.
func (c *Cursor) locate() error {
	s, err := c.log.segmentHolding(func(s *segment) bool { return s.first() > c.next })
	if err != nil {
		return fmt.Errorf("read frame %d: %w", c.next, err)
	}
	want := c.next
	after := func(p place) bool { return p.index > want }
	return c.reader.fromHint(s, after, func(from place) error {
		c.segment, c.at, c.chained = s, from.offset, false
		for ; from.index < want; from.index++ {
			c.next = from.index
			if err := c.step(func(Frame) error { return nil }); err != nil {
				c.next, c.segment = want, nil
				return err
			}
		}
		c.next = want
		return nil
	})
}

// step visits the frame at the cursor's place on disk and moves behind it.
func (c *Cursor) step(visit func(Frame) error) error {
	cuts := c.segment.cuts.Load()
	h, data, err := c.frameHere()
	if c.mend(err) {
		cuts = c.segment.cuts.Load()
		h, data, err = c.frameHere()
	}
	if err != nil {
		return err
	}
	c.segment.noteRead(&h, c.at, cuts)
	f := Frame{Header: h, Data: data, Segment: c.segment.base(), Offset: c.at}
	c.pass(&h)
	return visit(f)
}

// frameHere reads and verifies the frame at the cursor. data is valid until the
// reader reads on.
func (c *Cursor) frameHere() (h Header, data []byte, err error) {
	if h, err = c.headerHere(); err != nil {
		return h, nil, err
	}
	data = c.reader.room(int(h.DataBytes))
	if err := c.log.history.read(c.segment, data, c.at+headerBytes); err != nil {
		return h, nil, err
	}
	if err := h.verifyData(data, c.log.seed); err != nil {
		return h, nil, fmt.Errorf("segment %s at %d, frame %d: %w", c.segment.name(), c.at, h.Index, err)
	}
	return h, data, nil
}

// mend reports whether the frame at the cursor, which err keeps from being read,
// is worth another try.
func (c *Cursor) mend(err error) bool {
	return err != nil && !c.reader.asIs && c.log.mend(c.segment, c.at, err)
}

// toNextSegment moves to the following segment when the next frame is there.
func (c *Cursor) toNextSegment() {
	s, err := c.log.segmentHolding(func(s *segment) bool { return s.first() > c.next })
	if err == nil && s != c.segment {
		c.segment, c.at = s, int64(c.log.block)
	}
}

// headerHere reads the header at the cursor, or at the next block boundary,
// where a large frame may begin.
func (c *Cursor) headerHere() (Header, error) {
	h, err := c.checkedHeader(c.at)
	if err == nil || errors.Is(err, ErrNewerFormat) {
		return h, err
	}
	aligned := int64(roundUp(int(c.at), c.log.block))
	if aligned == c.at {
		return h, err
	}
	if h, errAligned := c.checkedHeader(aligned); errAligned == nil {
		c.at = aligned
		return h, nil
	}
	return h, err
}

func (c *Cursor) checkedHeader(at int64) (Header, error) {
	h, err := c.reader.header(c.segment, at)
	if err != nil {
		return h, err
	}
	if h.Index != c.next {
		return h, fmt.Errorf("%w: segment %s at %d: frame %d, expected %d", ErrCorrupt, c.segment.name(), at, h.Index, c.next)
	}
	if c.chained {
		if err := c.chain.follows(&h); err != nil {
			return h, fmt.Errorf("segment %s at %d: %w", c.segment.name(), at, err)
		}
	}
	return h, nil
}

// Frame visits the frame with an index.
func (r *Reader) Frame(index event.Index, visit func(Frame) error) error {
	if end := event.Index(r.log.appended.Load()); index > end || index == 0 {
		return fmt.Errorf("%w: frame %d, the log ends with %d", ErrNotFound, index, end)
	}
	c := Cursor{log: r.log, reader: r, next: index}
	return c.Visit(index, visit)
}
