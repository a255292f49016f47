package remoting

import "time"

// Batch collects replies and forwarded requests to many connections, so that
// each connection gets one write for all of them. It belongs to one goroutine at a time. The zero value
// is ready.
type Batch struct{ touched []*Conn }

// Send encodes r into the output of rt's connection without writing it; a
// large body is written at once instead of being copied. It does nothing for a
// one-way request or a closed connection. r can be used again afterwards.
func (b *Batch) Send(rt ReplyTo, r *Reply) { b.send(rt, r) }

// Pass is Send for a response that came from elsewhere; see ReplyTo.Pass.
func (b *Batch) Pass(rt ReplyTo, response *Command) { b.send(rt, passed{response}) }

func (b *Batch) send(rt ReplyTo, r answer) {
	if rt.Oneway {
		return
	}
	rt.Conn.encodeReply(rt, r, b)
}

// Forward is Conn.Forward to a connection, without writing.
func (b *Batch) Forward(to *Conn, cmd *Command, patience time.Duration, done func(*Command, error)) error {
	return to.forward(cmd, patience, done, b)
}

// takeLocked puts a connection on the list. The caller holds its mu.
func (b *Batch) takeLocked(c *Conn) {
	if c.out.batch != b {
		c.out.batch = b
		b.touched = append(b.touched, c)
	}
}

// Flush writes to every connection touched since the last Flush.
func (b *Batch) Flush() {
	for i, c := range b.touched {
		c.mu.Lock()
		if c.out.batch == b {
			c.out.batch = nil
		}
		c.mu.Unlock()
		c.Flush()
		b.touched[i] = nil
	}
	b.touched = b.touched[:0]
}

// Burst is the batch for what the connection's reader sends to other
// connections: it is flushed when all that has arrived is handled. Only Handle of
// a request of this connection may use it, and the callback of a response, while
// they run; a callback that gets an error may not. Who is going to block flushes
// it before.
func (c *Conn) Burst() *Batch { return &c.burst }
