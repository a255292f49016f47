package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"
)

const (
	frameHeaderBytes = 8
	// keptBytesMax bounds the memory that an idle connection keeps.
	keptBytesMax = 4 << 20
	// helloBytesMax bounds a frame of somebody who hasn't said who they are.
	helloBytesMax = 4 << 10
)

var (
	// ErrCorrupt: what arrived is not what was sent, or not by this protocol.
	ErrCorrupt = errors.New("corrupt message")
	// ErrTooLarge: a message has more bytes than are allowed.
	ErrTooLarge = errors.New("message too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// conn is a connection on which frames go back and forth. One goroutine uses
// it at a time in each direction.
type conn struct {
	net.Conn
	frameBytesMax int

	in  []byte // body of the last frame read
	out []byte // frame being built
}

// begin starts a frame of some kind in c.out.
func (c *conn) begin(k kind) {
	if cap(c.out) > keptBytesMax {
		c.out = nil
	}
	c.out = append(c.out[:0], 0, 0, 0, 0, 0, 0, 0, 0, byte(k))
}

// send writes the frame in c.out.
func (c *conn) send(deadline time.Time) error {
	body := c.out[frameHeaderBytes:]
	if len(body) > c.frameBytesMax {
		return fmt.Errorf("send %d bytes to %v: %w; at most %d are allowed", len(body), c.RemoteAddr(), ErrTooLarge, c.frameBytesMax)
	}
	binary.LittleEndian.PutUint32(c.out, uint32(len(body)))
	binary.LittleEndian.PutUint32(c.out[4:], crc32.Checksum(body, castagnoli))
	if err := c.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err := c.Write(c.out)
	return err
}

// receive reads a frame and returns its body, valid until the next call.
func (c *conn) receive(deadline time.Time) ([]byte, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	var header [frameHeaderBytes]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(header[:]))
	if n < 1 || n > c.frameBytesMax {
		return nil, fmt.Errorf("receive a message of %d bytes: %w; 1 to %d are allowed", n, ErrTooLarge, c.frameBytesMax)
	}
	if cap(c.in) < n || cap(c.in) > keptBytesMax && n <= keptBytesMax {
		c.in = make([]byte, n)
	}
	c.in = c.in[:n]
	if _, err := io.ReadFull(c, c.in); err != nil {
		return nil, err
	}
	if sum, want := crc32.Checksum(c.in, castagnoli), binary.LittleEndian.Uint32(header[4:]); sum != want {
		return nil, fmt.Errorf("receive a message: %w: checksum %08x, expected %08x", ErrCorrupt, sum, want)
	}
	return c.in, nil
}
