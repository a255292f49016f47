package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Entry names an entry of the log, 0 and 0 for none.
type Entry struct{ Term, Index uint64 }

// Before reports whether a log that ends with e lacks something that one has
// which ends with o, as Raft compares logs for an election.
func (e Entry) Before(o Entry) bool {
	return e.Term < o.Term || e.Term == o.Term && e.Index < o.Index
}

// Standing is where a node is in its group.
type Standing struct {
	Term  uint64
	Last  Entry // of its log
	Leads bool
	// Lost: the log may lack entries that the node has acknowledged.
	Lost bool
	// Full: its disk has no room for another segment.
	Full bool
}

func (s Standing) append(b []byte) []byte {
	return appendFlag(appendFlag(appendFlag(appendUint64s(b, s.Term, s.Last.Term, s.Last.Index), s.Leads), s.Lost), s.Full)
}

func decodeStanding(d *decoder) Standing {
	return Standing{Term: d.uint64(), Last: Entry{Term: d.uint64(), Index: d.uint64()}, Leads: d.flag(), Lost: d.flag(), Full: d.flag()}
}

// framesTime bounds how long a peer takes for a part of the frames, standingTime
// that for its standing.
const (
	framesTime   = 10 * time.Second
	standingTime = time.Second
)

// framesMax bounds the frames of one answer.
const framesMax = 1024

// tell answers what is not Raft's to answer.
func (t *Transport) tell(c *conn, k kind, body []byte) error {
	switch k {
	case kindTermAt:
		return t.tellTerm(c, body)
	case kindState:
		return t.tellState(c, body)
	}
	d := &decoder{left: body}
	if k == kindStanding {
		if err := d.end(); err != nil {
			return err
		}
		c.begin(k | kindResponse)
		var s Standing
		if t.config.Standing != nil {
			s = t.config.Standing()
		}
		c.out = s.append(appendBytes(c.out, ""))
		return c.send(time.Now().Add(standingTime))
	}
	first, last := d.uint64(), d.uint64()
	if err := d.end(); err != nil {
		return err
	}
	c.begin(k | kindResponse)
	t.appendFrames(c, first, last)
	return c.send(time.Now().Add(framesTime))
}

// appendFrames appends frames first to last, or the first of them, as many as
// make a message.
func (t *Transport) appendFrames(c *conn, first, last uint64) {
	begin := len(c.out)
	c.out = appendBytes(c.out, "")
	countAt := len(c.out)
	c.out = binary.LittleEndian.AppendUint32(c.out, 0)
	n, from := 0, len(c.out)
	for index := first; index <= last && n < framesMax; index++ {
		at := len(c.out)
		err := errors.New("this node lends no frames")
		c.out = append(c.out, 0, 0, 0, 0)
		if t.config.CopyFrame != nil {
			c.out, err = t.config.CopyFrame(index, c.out)
		}
		if err != nil && n == 0 {
			c.out = binary.LittleEndian.AppendUint32(appendBytes(c.out[:begin], errorText(err)), 0)
			return
		}
		if err != nil || n > 0 && len(c.out)-from > sendBytesMax {
			c.out = c.out[:at]
			break
		}
		binary.LittleEndian.PutUint32(c.out[at:], uint32(len(c.out)-at-4))
		n++
	}
	binary.LittleEndian.PutUint32(c.out[countAt:], uint32(n))
}

// ask sends a question and returns what follows the error text of the answer.
func (c *conn) ask(k kind, limit time.Duration, fields []byte) (*decoder, error) {
	deadline := time.Now().Add(limit)
	c.begin(k)
	c.out = append(c.out, fields...)
	if err := c.send(deadline); err != nil {
		return nil, err
	}
	body, err := c.receive(deadline)
	if err != nil {
		return nil, err
	}
	d := &decoder{left: body}
	if got := kind(d.uint8()); got != k|kindResponse {
		d.fail("an answer of kind %#x to a question of kind %#x", byte(got), byte(k))
	}
	if text := d.text(errorBytesMax); text != "" {
		return nil, &RemoteError{Text: text}
	}
	return d, d.err
}

// Standing asks the node at an address where it is.
func (n *Network) Standing(ctx context.Context, address string, mine Hello) (s Standing, err error) {
	c, _, err := n.dial(ctx, address, mine)
	if err != nil {
		return s, err
	}
	d, err := c.ask(kindStanding, standingTime, nil)
	if err == nil {
		s = decodeStanding(d)
		err = d.end()
	}
	return s, errors.Join(err, c.Close())
}

// Frames asks the node at an address for frames first to last of the log, which
// take gets in order, each valid until it returns.
func (n *Network) Frames(ctx context.Context, address string, mine Hello, first, last uint64, take func(frame []byte) error) error {
	c, _, err := n.dial(ctx, address, mine)
	if err != nil {
		return err
	}
	for next := first; next <= last && err == nil; {
		var count uint64
		if count, err = c.frames(next, last, take); err == nil && count == 0 {
			err = fmt.Errorf("%w: no frame from %d on", ErrCorrupt, next)
		}
		next += count
	}
	return errors.Join(err, c.Close())
}

func (c *conn) frames(first, last uint64, take func([]byte) error) (count uint64, err error) {
	d, err := c.ask(kindFrames, framesTime, appendUint64s(nil, first, last))
	if err != nil {
		return 0, err
	}
	n := d.uint32()
	if n > framesMax || uint64(n) > last-first+1 {
		d.fail("%d frames where %d are expected", n, last-first+1)
	}
	for range n {
		b := d.bytes(c.frameBytesMax)
		if d.err != nil {
			break
		}
		if err := take(b); err != nil {
			return count, err
		}
		count++
	}
	return count, d.end()
}
