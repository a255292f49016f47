package clustertest

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// stream is one direction of a connection. The network's lock guards it.
type stream struct {
	parts   []sentPart
	bytes   int
	last    time.Time     // when the newest part arrives
	broken  bool          // reset: both ends get an error
	gone    bool          // nobody reads any more
	changed chan struct{} // closed when something of this changes
}

// sentPart is what one Write sent; nil is the end of the stream.
type sentPart struct {
	at   time.Time
	data []byte
}

// streamBytesMax may be under way: what the kernel's buffers hold.
const streamBytesMax = 256 << 10

func (s *stream) changeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// conn is one end of a connection: a net.Conn.
type conn struct {
	network         *network
	local, remote   string
	in, out         *stream
	closed          bool
	dead            bool // this end's machine is gone: it sends nothing any more
	reading, writes time.Time
}

// breakLocked ends the connection with an error at both ends.
func (c *conn) breakLocked() {
	for _, s := range []*stream{c.in, c.out} {
		s.broken = true
		s.changeLocked()
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		c.network.mu.Lock()
		n, wait, err := c.readLocked(b)
		changed, links, deadline := c.in.changed, c.network.changed, c.reading
		c.network.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		if err := await(deadline, wait, changed, links); err != nil {
			return 0, err
		}
	}
}

// readLocked takes what has arrived; wait is when the next part does, 0 where
// nobody knows.
func (c *conn) readLocked(b []byte) (n int, wait time.Duration, err error) {
	s := c.in
	switch {
	case c.closed:
		return 0, 0, net.ErrClosed
	case c.dead, s.broken:
		return 0, 0, syscall.ECONNRESET
	case len(s.parts) == 0 || c.network.linkLocked(c.remote, c.local).cut:
		return 0, 0, nil
	}
	p := &s.parts[0]
	if wait := time.Until(p.at); wait > 0 {
		return 0, wait, nil
	}
	if p.data == nil {
		return 0, 0, io.EOF
	}
	n = copy(b, p.data)
	if p.data = p.data[n:]; len(p.data) == 0 {
		s.parts = s.parts[1:]
	}
	s.bytes -= n
	s.changeLocked()
	return n, 0, nil
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	for {
		c.network.mu.Lock()
		sent, err := c.writeLocked(b)
		changed, links, deadline := c.out.changed, c.network.changed, c.writes
		c.network.mu.Unlock()
		if sent {
			return len(b), nil
		}
		if err != nil {
			return 0, err
		}
		if err := await(deadline, 0, changed, links); err != nil {
			return 0, err
		}
	}
}

func (c *conn) writeLocked(b []byte) (sent bool, err error) {
	s := c.out
	switch {
	case c.closed:
		return false, net.ErrClosed
	case c.dead, s.broken, s.gone:
		return false, syscall.ECONNRESET
	case s.bytes > 0 && s.bytes+len(b) > streamBytesMax:
		return false, nil
	}
	c.sendLocked(append(make([]byte, 0, len(b)), b...))
	return true, nil
}

func (c *conn) sendLocked(data []byte) {
	s := c.out
	at := time.Now().Add(c.network.delayLocked(c.local, c.remote))
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	s.parts = append(s.parts, sentPart{at: at, data: data})
	s.bytes += len(data)
	s.changeLocked()
}

// await waits for a time, a change or the deadline.
func await(deadline time.Time, wait time.Duration, changed, links <-chan struct{}) error {
	var late, due <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		defer t.Stop()
		late = t.C
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
	case <-links:
	case <-due:
	case <-late:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return nil
	}
	if !c.dead && !c.out.broken {
		c.sendLocked(nil)
	}
	c.closed, c.in.gone = true, true
	c.in.changeLocked()
	c.out.changeLocked()
	delete(c.network.conns, c)
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return place(c.local) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return place(c.remote) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, t, true, true) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, t, true, false) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, t, false, true) }

func (c *conn) setDeadlines(reading, writing time.Time, r, w bool) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if r {
		c.reading = reading
		c.in.changeLocked()
	}
	if w {
		c.writes = writing
		c.out.changeLocked()
	}
	return nil
}
