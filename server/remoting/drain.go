package remoting

import (
	"errors"
	"io"
	"os"
	"time"
)

// lingerTime is how long a drained connection waits for the peer to close, so
// that the last replies are not lost to a reset.
const lingerTime = time.Second

// awaitWriter waits until nobody writes to the closed connection any more.
func (c *Conn) awaitWriter() {
	c.mu.Lock()
	c.out.waiting = true
	for c.out.flushing {
		c.changed.Wait()
	}
	c.uncountOutput()
	c.mu.Unlock()
}

// startDrain makes the reader goroutine stop reading requests, see drain.
func (c *Conn) startDrain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	c.ending.Store(true)
	_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	c.changed.Broadcast()
}

// drain waits until all requests are answered and all answers are written,
// tells the peer that no more come, and lets it close. It returns the cause of
// the connection's end.
func (c *Conn) drain() error {
	c.in.release()
	c.Flush()
	c.wait(func() bool { return c.unanswered.Load() <= 0 && !c.out.flushing && c.out.queued == nil })
	if c.secure != nil {
		_ = c.secure.tls.CloseWrite() // tells the peer that the stream is whole; it goes out with the next flush
		c.Flush()
		c.wait(func() bool { return !c.out.flushing })
	}
	half, ok := c.socket.(interface{ CloseWrite() error })
	if !ok {
		return ErrClosed
	}
	c.mu.Lock()
	err := c.socket.SetReadDeadline(time.Now().Add(lingerTime))
	c.mu.Unlock()
	if err != nil || half.CloseWrite() != nil {
		return ErrClosed
	}
	_, err = io.Copy(io.Discard, c.socket)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return ErrClosed
}
