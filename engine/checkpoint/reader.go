package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/event"
)

// Reader reads a checkpoint section by section. No byte is handed out before
// its checksum is verified. The first error sticks.
type Reader struct {
	in     *bufio.Reader
	at     int64 // file offset of the next record
	crc    uint32
	header Header

	data     []byte // room for the data of one record
	unread   []byte // rest of the section's current record
	open     bool   // a section has begun and not ended
	bytes    uint64 // of the section so far
	allBytes uint64 // of all sections before
	names    map[string]bool
	err      error
}

// NewReader reads the beginning of a checkpoint of the log id. ErrForeign if
// it is another log's.
func NewReader(r io.Reader, id event.LogID) (*Reader, error) {
	c, err := Inspect(r)
	if err != nil {
		return nil, err
	}
	if c.header.LogID != id {
		return nil, fmt.Errorf("read checkpoint: %w: its log id is %x, expected %x", ErrForeign, c.header.LogID, id)
	}
	return c, nil
}

// Inspect reads the beginning of a checkpoint of any log.
func Inspect(r io.Reader) (*Reader, error) {
	c := &Reader{in: bufio.NewReaderSize(r, recordHeaderBytes+dataBytesMax+recordCRCBytes), names: make(map[string]bool)}
	id, err := c.readPrefix()
	if err != nil {
		return nil, err
	}
	t, data, err := c.readRecord()
	if err != nil {
		return nil, err
	}
	if t != recordHeader || len(data) < headerFixedBytes {
		return nil, c.corrupt(int64(prefixBytes), "record of type %d with %d bytes where the header belongs", t, len(data))
	}
	c.header = decodeHeader(id, data)
	return c, nil
}

// Verify reads a checkpoint of the log id to its end and checks everything
// that the container can check. A file that passes can be read again without
// ErrCorrupt, so that a restore is not begun in vain.
func Verify(r io.Reader, id event.LogID) (Header, error) {
	c, err := NewReader(r, id)
	if err != nil {
		return Header{}, err
	}
	for {
		if _, _, err := c.Next(); errors.Is(err, io.EOF) {
			return c.header, nil
		} else if err != nil {
			return Header{}, err
		}
	}
}

// Header of the checkpoint.
func (c *Reader) Header() Header { return c.header }

// Next returns the name of the next section and its bytes, which are valid
// until Next is called again; it passes over what is left of the section
// before. After the last section, and when the end of the file is as it should
// be, the error is io.EOF.
func (c *Reader) Next() (string, io.Reader, error) {
	for c.open && c.err == nil {
		c.advance()
	}
	if c.err != nil {
		return "", nil, c.err
	}
	start := c.at
	t, data, err := c.readRecord()
	switch {
	case err != nil:
		c.err = err
	case t == recordTrailer:
		c.err = c.checkTrailer(start, data)
	case t != recordBegin || len(data) == 0 || c.names[string(data)]:
		c.err = c.corrupt(start, "record of type %d (%q) where a new section or the trailer belongs", t, data)
	}
	if c.err != nil {
		return "", nil, c.err
	}
	name := string(data)
	c.names[name] = true
	c.open, c.bytes = true, 0
	return name, &sectionReader{c: c, number: len(c.names)}, nil
}

// sectionReader reads one section, as long as it is the current one.
type sectionReader struct {
	c      *Reader
	number int
}

func (s *sectionReader) Read(dst []byte) (int, error) {
	c := s.c
	if s.number != len(c.names) {
		return 0, errors.New("read checkpoint: the section is no longer the current one")
	}
	for len(c.unread) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if !c.open {
			return 0, io.EOF
		}
		if len(dst) == 0 {
			return 0, nil
		}
		c.advance()
	}
	n := copy(dst, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// advance reads the next record of the current section.
func (c *Reader) advance() {
	c.unread = nil
	start := c.at
	t, data, err := c.readRecord()
	switch {
	case err != nil:
		c.err = err
	case t == recordData && len(data) > 0:
		c.unread = data
		c.bytes += uint64(len(data))
	case t == recordEnd && len(data) == 8:
		if n := binary.LittleEndian.Uint64(data); n != c.bytes {
			c.err = c.corrupt(start, "the section has %d bytes, expected %d", c.bytes, n)
		}
		c.open = false
		c.allBytes += c.bytes
	default:
		c.err = c.corrupt(start, "record of type %d with %d bytes within a section", t, len(data))
	}
}

// checkTrailer returns io.EOF if the file ends as it should.
func (c *Reader) checkTrailer(start int64, data []byte) error {
	if len(data) != 12 {
		return c.corrupt(start, "trailer of %d bytes", len(data))
	}
	sections, bytes := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint64(data[4:])
	if int(sections) != len(c.names) || bytes != c.allBytes {
		return c.corrupt(start, "%d sections with %d bytes, expected %d with %d", len(c.names), c.allBytes, sections, bytes)
	}
	if _, err := c.in.ReadByte(); err == nil {
		return c.corrupt(c.at, "bytes follow the trailer")
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("read checkpoint: byte %d: %w", c.at, err)
	}
	return io.EOF
}

// readPrefix checks magic and version and starts the checksum.
func (c *Reader) readPrefix() (event.LogID, error) {
	var prefix [prefixBytes]byte
	if err := c.fill(0, prefix[:]); err != nil {
		return event.LogID{}, err
	}
	if string(prefix[:len(magic)]) != magic {
		return event.LogID{}, c.corrupt(0, "it begins with %q, expected %q", prefix[:len(magic)], magic)
	}
	if v := binary.LittleEndian.Uint32(prefix[len(magic):]); v > formatVersion {
		return event.LogID{}, fmt.Errorf("read checkpoint: %w: it has format %d, this program reads up to %d: use the newer program", ErrVersion, v, formatVersion)
	} else if v < formatVersion {
		return event.LogID{}, c.corrupt(int64(len(magic)), "format %d was never written", v)
	}
	id := event.LogID(prefix[len(magic)+4:])
	c.at = int64(prefixBytes)
	c.crc = extend(uint32(id.Seed()), prefix[:])
	return id, nil
}

// readRecord reads and verifies one record. Its data are valid until the next
// call.
func (c *Reader) readRecord() (recordType, []byte, error) {
	start := c.at
	var head [recordHeaderBytes]byte
	if err := c.fill(start, head[:]); err != nil {
		return 0, nil, err
	}
	t, n := recordType(head[0]), binary.LittleEndian.Uint32(head[1:])
	if int64(n) > int64(t.bytesMax()) {
		return 0, nil, c.corrupt(start, "record of type %d with %d bytes", t, n)
	}
	if cap(c.data) < int(n)+recordCRCBytes {
		c.data = make([]byte, int(n)+recordCRCBytes)
	}
	body := c.data[:int(n)+recordCRCBytes]
	if err := c.fill(start, body); err != nil {
		return 0, nil, err
	}
	data, crc := body[:n], binary.LittleEndian.Uint32(body[n:])
	if c.crc = extend(extend(c.crc, head[:]), data); c.crc != crc {
		return 0, nil, c.corrupt(start, "checksum %08x, expected %08x", c.crc, crc)
	}
	c.at = start + recordHeaderBytes + int64(len(body))
	return t, data, nil
}

// fill reads all of b, which belongs to the record at byte start.
func (c *Reader) fill(start int64, b []byte) error {
	n, err := io.ReadFull(c.in, b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return c.corrupt(start, "the file ends within this record, %d bytes are missing", len(b)-n)
	default:
		return fmt.Errorf("read checkpoint: record at byte %d: %w", start, err)
	}
}

func (c *Reader) corrupt(at int64, format string, args ...any) error {
	return fmt.Errorf("read checkpoint: %w: byte %d: %s", ErrCorrupt, at, fmt.Sprintf(format, args...))
}
