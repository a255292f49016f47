package remoting

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// outgoing is a request that can be encoded.
type outgoing interface {
	// appendHeader appends the frame's prefix and header; payload follows.
	appendHeader(dst []byte, opaque, flag int32, s Serialization) ([]byte, error)
	payload() []byte
}

func (r *Request) payload() []byte { return r.Body }

// forwarded is somebody else's request.
type forwarded struct{ *Command }

func (f forwarded) payload() []byte { return f.Body }

// appendHeader appends the header as its sender wrote it, but for the number
// and the flag. What a signature covers stays the same.
func (f forwarded) appendHeader(dst []byte, opaque, flag int32, s Serialization) ([]byte, error) {
	at := len(dst)
	dst = openFrame(dst)
	if s == Binary {
		dst = f.appendBinary(dst, opaque, flag)
	} else {
		dst = f.appendJSON(dst, opaque, flag)
	}
	if !closeFrame(dst, at, len(f.Body), s) {
		return dst[:at], fmt.Errorf("forward request %d: %w: body of %d bytes, a frame has at most %d", f.Code, ErrTooLarge, len(f.Body), FrameBytesMax)
	}
	return dst, nil
}

func (f forwarded) appendBinary(dst []byte, opaque, flag int32) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, uint16(f.Code))
	dst = append(dst, f.Language)
	dst = be.AppendUint16(dst, uint16(f.Version))
	dst = be.AppendUint32(dst, uint32(opaque))
	dst = be.AppendUint32(dst, uint32(flag))
	dst = be.AppendUint32(dst, uint32(len(f.Remark)))
	dst = append(dst, f.Remark...)
	dst = append(dst, 0, 0, 0, 0)
	from := len(dst)
	for _, field := range f.Fields {
		dst = appendBinaryField(dst, field.Key, field.Value)
	}
	endBinaryFields(dst, from)
	return dst
}

func (f forwarded) appendJSON(dst []byte, opaque, flag int32) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(f.Code), 10)
	dst = append(dst, `,"language":"`...)
	dst = append(dst, LanguageName(f.Language)...)
	dst = append(dst, `","version":`...)
	dst = strconv.AppendInt(dst, int64(f.Version), 10)
	dst = append(dst, `,"opaque":`...)
	dst = strconv.AppendInt(dst, int64(opaque), 10)
	dst = append(dst, `,"flag":`...)
	dst = strconv.AppendInt(dst, int64(flag), 10)
	if len(f.Remark) > 0 {
		dst = append(dst, `,"remark":`...)
		dst = appendJSONText(dst, f.Remark)
	}
	dst = append(dst, `,"serializeTypeCurrentRPC":"JSON"`...)
	for i, field := range f.Fields {
		dst = appendJSONField(dst, i, field.Key, field.Value)
	}
	return endJSON(dst, len(f.Fields))
}

// passed is somebody else's response.
type passed struct{ *Command }

func (p passed) payload() []byte     { return p.Body }
func (p passed) responseCode() int32 { return p.Code }

func (p passed) appendHeader(dst []byte, opaque int32, s Serialization) ([]byte, bool) {
	at := len(dst)
	dst, err := forwarded(p).appendHeader(dst, opaque, flagResponse, s)
	if err != nil {
		return appendTooLarge(dst[:at], len(p.Body), opaque, s), false
	}
	return dst, true
}

// AppendFrame appends the command as a frame of its serialization that Decode
// reads: with everything that its sender said.
func (c *Command) AppendFrame(dst []byte) ([]byte, error) {
	dst, err := forwarded{c}.appendHeader(dst, c.Opaque, c.Flag, c.Serialization)
	if err != nil {
		return dst, err
	}
	return append(dst, c.Body...), nil
}

// Forward sends on a request that came from elsewhere. Its fields, body,
// remark, language, version and serialization stay those of its sender; the
// number is one of this connection's. It differs from Go in its patience, after
// which done gets ErrTimeout, and in that done isn't called for a one-way
// request. cmd isn't kept.
func (c *Conn) Forward(cmd *Command, patience time.Duration, done func(*Command, error)) error {
	return c.forward(cmd, patience, done, nil)
}

func (c *Conn) forward(cmd *Command, patience time.Duration, done func(*Command, error), b *Batch) error {
	if cmd.IsOneway() {
		return c.sendOneway(forwarded{cmd}, cmd.Code, cmd.Serialization, b)
	}
	select {
	case c.calls.slots <- struct{}{}:
	default:
		return fmt.Errorf("forward %d to %v: %w: at most %d", cmd.Code, c.remote, ErrTooManyCalls, cap(c.calls.slots))
	}
	call := pendingCall{done: done, expires: true, patience: int((patience + c.options.sweepPeriod - 1) / c.options.sweepPeriod)}
	if _, err := c.start(forwarded{cmd}, cmd.Serialization, call, b); err != nil {
		return fmt.Errorf("forward %d to %v: %w", cmd.Code, c.remote, err)
	}
	return nil
}

// ActFor says whose requests a connection brings that another server forwards:
// RemoteAddr is that client's address from now on. A handler calls it in Handle,
// before the connection's first request that anybody else sees.
func (c *Conn) ActFor(client netip.AddrPort) { c.remote, c.actsFor = client, true }

// ActsFor reports whether another server forwards what comes by the connection.
func (c *Conn) ActsFor() bool { return c.actsFor }

// Alive reports whether the connection hasn't begun to close.
func (c *Conn) Alive() bool { return !c.ending.Load() }
