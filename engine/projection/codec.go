package projection

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrCorrupt marks bytes that are not a checkpoint of the projection.
var ErrCorrupt = errors.New("corrupt projection checkpoint")

const codecBufferBytes = 64 << 10

// Encoder writes the fixed-size little-endian numbers and the texts that
// checkpoints consist of. The first error sticks; Flush returns it.
type Encoder struct {
	out     *bufio.Writer
	scratch [8]byte
	err     error
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{out: bufio.NewWriterSize(w, codecBufferBytes)}
}

// Bytes writes b as it is.
func (e *Encoder) Bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.out.Write(b)
	}
}

// Uint32 writes four bytes.
func (e *Encoder) Uint32(v uint32) {
	binary.LittleEndian.PutUint32(e.scratch[:], v)
	e.Bytes(e.scratch[:4])
}

// Uint64 writes eight bytes.
func (e *Encoder) Uint64(v uint64) {
	binary.LittleEndian.PutUint64(e.scratch[:], v)
	e.Bytes(e.scratch[:8])
}

// Text writes the length of s in four bytes, then s.
func (e *Encoder) Text(s string) {
	e.Uint32(uint32(len(s)))
	if e.err == nil {
		_, e.err = e.out.WriteString(s)
	}
}

// Flush writes out what is buffered and returns the first error.
func (e *Encoder) Flush() error {
	if e.err == nil {
		e.err = e.out.Flush()
	}
	return e.err
}

// Decoder reads what Encoder wrote. The first error sticks and every later
// read gives zero, so callers check Err once per item and Close at the end.
type Decoder struct {
	in      *bufio.Reader
	name    string
	at      int64
	scratch [8]byte
	err     error
}

// NewDecoder returns a decoder that reads r. The name of the projection goes
// into the errors, beside the byte at which they were found.
func NewDecoder(name string, r io.Reader) *Decoder {
	return &Decoder{in: bufio.NewReaderSize(r, codecBufferBytes), name: name}
}

// Fail records that the bytes before this place make no sense.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("restore %s: %w: byte %d: %s", d.name, ErrCorrupt, d.at, fmt.Sprintf(format, args...))
	}
}

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Bytes fills b.
func (d *Decoder) Bytes(b []byte) {
	if d.err != nil {
		clear(b)
		return
	}
	n, err := io.ReadFull(d.in, b)
	d.at += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		clear(b)
		d.Fail("the checkpoint ends here, %d bytes are missing", len(b)-n)
	default:
		clear(b)
		d.err = fmt.Errorf("restore %s: read at byte %d: %w", d.name, d.at, err)
	}
}

// Uint32 reads four bytes.
func (d *Decoder) Uint32() uint32 {
	d.Bytes(d.scratch[:4])
	return binary.LittleEndian.Uint32(d.scratch[:])
}

// Uint64 reads eight bytes.
func (d *Decoder) Uint64() uint64 {
	d.Bytes(d.scratch[:8])
	return binary.LittleEndian.Uint64(d.scratch[:])
}

// Text reads a text of bytesMax bytes at most.
func (d *Decoder) Text(bytesMax int) string {
	n := d.Uint32()
	if uint64(n) > uint64(bytesMax) {
		d.Fail("a text of %d bytes, at most %d are allowed", n, bytesMax)
	}
	if d.err != nil {
		return ""
	}
	b := make([]byte, n)
	d.Bytes(b)
	return string(b)
}

// Format reads the format number and fails unless it is want.
func (d *Decoder) Format(want uint32) {
	if got := d.Uint32(); d.err == nil && got != want {
		d.Fail("format %d, this version reads %d", got, want)
	}
}

// Close checks that the input ends here and returns the first error.
func (d *Decoder) Close() error {
	if d.err != nil {
		return d.err
	}
	_, err := d.in.ReadByte()
	if err == nil {
		d.Fail("bytes follow the end of the checkpoint")
	} else if !errors.Is(err, io.EOF) {
		d.err = fmt.Errorf("restore %s: read at byte %d: %w", d.name, d.at, err)
	}
	return d.err
}
