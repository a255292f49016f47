package remoting

import (
	"io"
	"time"
)

// readFrames reads and handles frames until the connection fails. It returns
// nil when we end the connection, by startDrain or Close.
func (c *Conn) readFrames() error {
	err := c.open()
	for err == nil && !c.ending.Load() {
		if err = c.handleFrames(); err == nil && !c.ending.Load() {
			err = c.fill()
		}
	}
	if c.ending.Load() {
		return nil // startDrain woke us with a deadline, or Close closed the socket
	}
	return err
}

// handleFrames handles all complete frames that have arrived and then writes
// the replies that they have brought up so far.
func (c *Conn) handleFrames() error {
	defer c.endHandling()
	c.arrived()
	for {
		b := c.in.pending()
		p, whole, err := findFrame(b, c.options.FrameBytesMax)
		if err != nil {
			return err
		}
		if !whole {
			if len(b) > 0 {
				c.partial.Store(c.frames + 1)
			}
			return nil
		}
		if c.pendingBytes.Load() > int64(c.options.OutputSoftBytes) {
			c.awaitOutput()
		}
		if c.ending.Load() {
			return nil
		}
		if err := c.command.decode(p, b); err != nil {
			return err
		}
		c.dispatch()
		c.frames++
		c.in.discard(p.frameBytes)
	}
}

// arrived says that what is here is being handled: we, not the peer, take the
// time from now on.
func (c *Conn) arrived() {
	if c.partial.Load() != 0 {
		c.partial.Store(0)
	}
}

func (c *Conn) dispatch() {
	cmd := &c.command
	if cmd.IsResponse() {
		c.completing.Store(true)
		c.completeCall(cmd)
		return
	}
	if c.completing.Load() {
		c.completing.Store(false)
		c.Flush() // Handle may take longer than a callback
		c.burst.Flush()
	}
	if s := uint32(cmd.Serialization); c.options.followPeer && c.serialization.Load() != s {
		c.serialization.Store(s)
	}
	c.sequence++
	rt := ReplyTo{Conn: c, Opaque: cmd.Opaque, Serialization: cmd.Serialization, Oneway: cmd.IsOneway(), sequence: c.sequence, request: cmd.Code}
	if c.options.observe != nil {
		rt.received = time.Now()
	}
	if !rt.Oneway {
		c.unanswered.Add(1)
	}
	c.handling.Store(c.sequence)
	c.handler.Handle(rt, cmd)
}

func (c *Conn) endHandling() {
	c.handling.Store(0)
	if c.completing.Load() {
		c.completing.Store(false)
	}
	c.Flush()
	c.burst.Flush()
	// The command must not keep a buffer alive that has been given back.
	fields := c.command.Fields
	clear(fields[:cap(fields)])
	if cap(fields) > fieldsKeep {
		fields = nil
	}
	c.command = Command{Fields: fields[:0]}
}

// fill reads what has arrived, and waits for it if need be.
func (c *Conn) fill() error {
	if c.raw != nil {
		c.readFailure = nil
		if err := c.raw.Read(c.readAttempt); err != nil {
			return err
		}
		if c.readFailure == nil {
			c.reads.Add(1)
		}
		return c.readFailure
	}
	if len(c.in.pending()) == 0 {
		c.in.park()
		c.in.class = 0 // nobody tells whether the read below will wait for long
	}
	room, err := c.in.makeRoom()
	if err != nil {
		return err
	}
	n, err := c.socket.Read(room)
	if n > 0 {
		c.in.filled(n)
		c.bytesIn.Add(uint64(n))
		c.reads.Add(1)
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// awaitOutput waits on the reader goroutine, which therefore reads no
// requests, until half of the soft limit has been sent.
func (c *Conn) awaitOutput() {
	c.Flush()
	c.burst.Flush()
	c.wait(func() bool { return c.pendingBytes.Load() <= int64(c.options.OutputSoftBytes)/2 || c.draining })
}

// wait blocks the reader goroutine until ready holds or the connection closes.
func (c *Conn) wait(ready func() bool) {
	c.mu.Lock()
	c.out.waiting = true
	for !c.closing && !ready() {
		c.changed.Wait()
	}
	c.out.waiting = false
	c.mu.Unlock()
}

// answered accounts for a reply. The caller holds c.mu.
func (c *Conn) answered() {
	if c.unanswered.Add(-1) == 0 && c.out.waiting {
		c.changed.Broadcast()
	}
}
