package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Section is a part of the state. Every projection.Projection is one.
type Section interface {
	// Name of the section, 1 to NameBytesMax bytes.
	Name() string
	// Checkpoint writes the section's bytes.
	Checkpoint(w io.Writer) error
}

// Write writes a whole checkpoint. Making it durable is up to the caller.
func Write(w io.Writer, h Header, sections ...Section) error {
	out, err := NewWriter(w, h)
	if err != nil {
		return err
	}
	for _, s := range sections {
		if err := out.Section(s.Name(), s.Checkpoint); err != nil {
			return err
		}
	}
	return out.Close()
}

// Writer writes a checkpoint section by section. After an error it writes
// nothing more and what it has written is no checkpoint.
type Writer struct {
	out      io.Writer
	crc      uint32
	record   []byte // a data record that is being filled
	names    map[string]bool
	bytes    uint64 // of the section
	allBytes uint64 // of all sections before
	err      error
}

var errClosed = errors.New("the checkpoint is complete")

// NewWriter writes the beginning of a checkpoint to w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if len(h.Configuration) > ConfigurationBytesMax {
		return nil, fmt.Errorf("write checkpoint: raft configuration of %d bytes, at most %d are allowed", len(h.Configuration), ConfigurationBytesMax)
	}
	prefix := encodePrefix(h.LogID)
	c := &Writer{
		out:    w,
		crc:    extend(uint32(h.LogID.Seed()), prefix),
		record: make([]byte, recordHeaderBytes, recordHeaderBytes+dataBytesMax+recordCRCBytes),
		names:  make(map[string]bool),
	}
	if _, err := w.Write(prefix); err != nil {
		return nil, fmt.Errorf("write checkpoint: %w", err)
	}
	c.writeRecord(recordHeader, h.encode())
	return c, c.err
}

// Section writes a section of that name, whose bytes write gives.
func (c *Writer) Section(name string, write func(io.Writer) error) error {
	if c.err != nil {
		return c.err
	}
	if name == "" || len(name) > NameBytesMax || c.names[name] {
		return c.fail(fmt.Errorf("write checkpoint: section name %q: 1 to %d bytes are allowed, once", name, NameBytesMax))
	}
	c.names[name] = true
	c.bytes = 0
	c.writeRecord(recordBegin, []byte(name))
	if err := write(sectionWriter{c}); err != nil {
		return c.fail(fmt.Errorf("write checkpoint: section %s: %w", name, err))
	}
	c.flushData()
	c.writeRecord(recordEnd, binary.LittleEndian.AppendUint64(nil, c.bytes))
	c.allBytes += c.bytes
	return c.err
}

// Close writes the trailer. It does not close the writer underneath.
func (c *Writer) Close() error {
	trailer := binary.LittleEndian.AppendUint32(nil, uint32(len(c.names)))
	c.writeRecord(recordTrailer, binary.LittleEndian.AppendUint64(trailer, c.allBytes))
	if c.err != nil {
		return c.err
	}
	c.err = errClosed
	return nil
}

// sectionWriter gathers the bytes of a section in data records.
type sectionWriter struct{ c *Writer }

func (s sectionWriter) Write(b []byte) (int, error) {
	c, taken := s.c, 0
	for taken < len(b) && c.err == nil {
		room := recordHeaderBytes + dataBytesMax - len(c.record)
		n := min(room, len(b)-taken)
		c.record = append(c.record, b[taken:taken+n]...)
		taken += n
		c.bytes += uint64(n)
		if n == room {
			c.flushData()
		}
	}
	return taken, c.err
}

func (c *Writer) flushData() {
	if len(c.record) > recordHeaderBytes {
		c.finish(recordData, c.record)
		c.record = c.record[:recordHeaderBytes]
	}
}

func (c *Writer) writeRecord(t recordType, data []byte) {
	record := make([]byte, recordHeaderBytes, recordHeaderBytes+len(data)+recordCRCBytes)
	c.finish(t, append(record, data...))
}

// finish fills in the header of a record whose data are in place and writes it.
func (c *Writer) finish(t recordType, record []byte) {
	if c.err != nil {
		return
	}
	record[0] = byte(t)
	binary.LittleEndian.PutUint32(record[1:], uint32(len(record)-recordHeaderBytes))
	c.crc = extend(c.crc, record)
	if _, err := c.out.Write(binary.LittleEndian.AppendUint32(record, c.crc)); err != nil {
		c.err = fmt.Errorf("write checkpoint: %w", err)
	}
}

func (c *Writer) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	return c.err
}
