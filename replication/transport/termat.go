package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// Inquirer asks one peer in which terms the entries of its log were stored.
type Inquirer struct {
	conn   *conn
	Peer   Hello
	bounds time.Duration
}

// termTime bounds the answer to a question for a term.
const termTime = 5 * time.Second

// Inquire connects to the node at an address, which has the same log.
func (n *Network) Inquire(ctx context.Context, address string, mine Hello) (*Inquirer, error) {
	c, theirs, err := n.dial(ctx, address, mine)
	if err != nil {
		return nil, err
	}
	if theirs.Log != mine.Log {
		return nil, errors.Join(fmt.Errorf("connect to %s: the log there is another one", address), c.Close())
	}
	return &Inquirer{conn: c, Peer: theirs, bounds: termTime}, nil
}

// TermAt is the term of an entry of the peer's log, 0 for one that it doesn't
// have.
func (i *Inquirer) TermAt(index event.Index) (event.Term, error) {
	deadline := time.Now().Add(i.bounds)
	i.conn.begin(kindTermAt)
	i.conn.out = appendUint64s(i.conn.out, uint64(index))
	if err := i.conn.send(deadline); err != nil {
		return 0, err
	}
	body, err := i.conn.receive(deadline)
	if err != nil {
		return 0, err
	}
	d := &decoder{left: body}
	if got := kind(d.uint8()); got != kindTermAt|kindResponse {
		d.fail("a response of kind %#x to a question for a term", byte(got))
	}
	term := d.uint64()
	return event.Term(term), d.end()
}

// Close ends the connection.
func (i *Inquirer) Close() error { return i.conn.Close() }

// tellTerm answers a question for the term of an entry.
func (t *Transport) tellTerm(c *conn, question []byte) error {
	d := &decoder{left: question}
	index := d.uint64()
	if err := d.end(); err != nil {
		return err
	}
	c.begin(kindTermAt | kindResponse)
	c.out = binary.LittleEndian.AppendUint64(c.out, uint64(t.config.Entries.TermAt(event.Index(index))))
	return c.send(time.Now().Add(t.config.RPCTimeout))
}
