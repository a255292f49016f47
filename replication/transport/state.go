package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// State is what a node has made of its log, in short.
type State struct {
	Version uint32     // of the Sum, which is empty where this program makes others
	Sum     engine.Sum // after one frame
}

const (
	// StateTime bounds how long a node waits for the frame that it is asked for.
	StateTime = 3 * time.Second
	// answerTime is what the way there and back may take besides.
	answerTime = time.Second
	// statePartsMax bounds the parts of a state, sumBytesMax the sum of one.
	statePartsMax = 256
	sumBytesMax   = 255
)

func (s *State) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, s.Version)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Sum.Index))
	b = binary.LittleEndian.AppendUint32(b, s.Sum.Chain)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Sum.Parts)))
	for _, p := range s.Sum.Parts {
		b = appendBytes(appendBytes(b, p.Name), p.Sum)
	}
	return b
}

func decodeState(d *decoder) (s State) {
	s.Version = d.uint32()
	if d.err == nil && s.Version != engine.SumVersion {
		d.left = nil
		return s
	}
	s.Sum.Index, s.Sum.Chain = event.Index(d.uint64()), d.uint32()
	n := d.uint32()
	if n > statePartsMax || int(n)*8 > len(d.left) {
		d.fail("%d parts of a state in %d bytes; at most %d are allowed", n, len(d.left), statePartsMax)
		return s
	}
	if n > 0 {
		s.Sum.Parts = make([]engine.PartSum, n)
	}
	for i := range s.Sum.Parts {
		s.Sum.Parts[i] = engine.PartSum{Name: d.text(nameBytesMax), Sum: d.text(sumBytesMax)}
	}
	return s
}

// tellState answers a question for the state after a frame. It waits on the
// goroutine of the connection, which is the question's own.
func (t *Transport) tellState(c *conn, question []byte) error {
	d := &decoder{left: question}
	at := event.Index(d.uint64())
	if err := d.end(); err != nil {
		return err
	}
	var s State
	err := errors.New("this node tells no state")
	if t.config.State != nil {
		ctx, cancel := context.WithTimeout(t.work, StateTime)
		s, err = t.config.State(ctx, at)
		cancel()
	}
	c.begin(kindState | kindResponse)
	c.out = appendBytes(c.out, errorText(err))
	if err == nil {
		c.out = s.append(c.out)
	}
	return c.send(time.Now().Add(answerTime))
}

// State asks the node at an address for its state after a frame, until the
// context ends.
func (n *Network) State(ctx context.Context, address string, mine Hello, at event.Index) (s State, err error) {
	c, _, err := n.dial(ctx, address, mine)
	if err != nil {
		return s, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = c.Conn.Close() })
	defer unhook()
	s, err = c.state(at)
	return s, errors.Join(err, c.Close())
}

func (c *conn) state(at event.Index) (s State, err error) {
	d, err := c.ask(kindState, StateTime+answerTime, appendUint64s(nil, uint64(at)))
	if err != nil {
		return s, err
	}
	s = decodeState(d)
	return s, d.end()
}
