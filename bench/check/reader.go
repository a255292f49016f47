package check

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Reader reads a history.
type Reader struct {
	in   *bufio.Reader
	now  time.Duration
	read uint64 // events
	err  error
}

// NewReader reads from r, from its first byte on.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic {
		return nil, fmt.Errorf("read history: it begins with %q, not with %q (%w)", head, magic, errors.Join(err, errNoHistory))
	}
	return &Reader{in: in}, nil
}

var errNoHistory = errors.New("not a history of this version")

// timeMax bounds the time of a history: no run takes a year.
const timeMax = 365 * 24 * time.Hour

// Next reads the next event into e. It returns io.EOF after the last one; a
// history that ends within an event is an error, since its recorder died.
func (r *Reader) Next(e *Event) error {
	kind, err := r.in.ReadByte()
	if err == io.EOF {
		return io.EOF
	}
	*e = Event{Kind: Kind(kind)}
	r.err = err
	if r.err == nil && (e.Kind == 0 || e.Kind >= kindsEnd) {
		r.err = fmt.Errorf("kind %d is unknown", kind)
	}
	r.now += time.Duration(r.number(0, uint64(timeMax/time.Microsecond))) * time.Microsecond
	if r.err == nil && r.now > timeMax {
		r.err = fmt.Errorf("the time is %v", r.now)
	}
	e.At = r.now
	e.transfer(r.number)
	if e.Kind.hasText() {
		e.Text = r.text()
	}
	if r.err != nil {
		return fmt.Errorf("read history: event %d: %w", r.read, r.err)
	}
	r.read++
	return nil
}

// number is the mover that reads.
func (r *Reader) number(_, limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	value, err := binary.ReadUvarint(r.in)
	switch {
	case err == io.EOF:
		r.err = io.ErrUnexpectedEOF
	case err != nil:
		r.err = err
	case value > limit:
		r.err = fmt.Errorf("the number %d is above %d", value, limit)
	default:
		return value
	}
	return 0
}

func (r *Reader) text() string {
	b := make([]byte, r.number(0, textBytesMax))
	if r.err == nil {
		_, r.err = io.ReadFull(r.in, b)
	}
	return string(b)
}
