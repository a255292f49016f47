package remoting

import (
	"fmt"
	"sync"
	"time"
)

const (
	outputStartBytes = 1 << 10
	outputKeepBytes  = 64 << 10  // larger buffers are left to the garbage collector
	directBodyBytes  = 16 << 10  // bodies from this size on are written without being copied
	writeChunkBytes  = 256 << 10 // the writer goroutine reports progress this often
	uncountBytes     = 1 << 20   // the common limit on waiting bytes is given back in such steps
	flushRoundsMax   = 4         // writes of one Flush before it hands over to the writer goroutine
)

// outputBuffer is a pooled buffer of encoded frames.
type outputBuffer struct {
	b      []byte
	sealed bool // they are encrypted
}

var outputPool = sync.Pool{New: func() any { return &outputBuffer{b: make([]byte, 0, outputStartBytes)} }}

func releaseOutput(o *outputBuffer) {
	keep, pool := outputKeepBytes, &outputPool
	if o.sealed {
		keep, pool = sealedKeepBytes, &sealedPool
	}
	if cap(o.b) <= keep {
		o.b = o.b[:0]
		pool.Put(o)
	}
}

// output is what a connection has to send. At any time one goroutine at most
// writes: the one that has set flushing. Guarded by Conn.mu, except for
// current and vector, which belong to the writing goroutine.
type output struct {
	queued   *outputBuffer // encoded and not taken by a writer; nil when empty
	flushing bool          // some goroutine writes and looks at queued again afterwards
	waiting  bool          // the reader waits for changed
	batch    *Batch        // the batch that has this connection on its list

	current *outputBuffer // being written
	vector  [2][]byte     // what is left of current, and a body behind it
	written int           // by the last attempt
	failure error         // of the last attempt

	counted int // bytes taken from the budget of all connections together
}

// encodeReply appends a reply to the output. It reports false when there is
// nothing to flush: the connection is closed, or the reply went out directly.
// With a batch the connection is put on the batch's list.
func (c *Conn) encodeReply(rt ReplyTo, r answer, b *Batch) bool {
	if !rt.received.IsZero() {
		c.options.observe(rt.request, r.responseCode(), time.Since(rt.received))
	}
	c.mu.Lock()
	c.answered()
	if c.closing {
		c.mu.Unlock()
		return false
	}
	o := c.outputQueue()
	before := len(o.b)
	var whole bool
	o.b, whole = r.appendHeader(o.b, rt.Opaque, rt.Serialization)
	var body []byte
	if whole {
		body = r.payload()
	}
	if b != nil {
		b.takeLocked(c)
	}
	if err := c.countOutput(len(o.b) - before + len(body)); err != nil {
		c.failLocked(fmt.Errorf("%w; the peer reads too slowly", err))
		c.mu.Unlock()
		return false
	}
	return c.finishEncode(o, body)
}

// encodeRequest appends a request to the output. A request that is over the
// limit is refused; unlike replies nothing has been promised for it. With a
// batch the connection is put on the batch's list.
func (c *Conn) encodeRequest(r outgoing, opaque, flag int32, s Serialization, b *Batch) (bool, error) {
	c.mu.Lock()
	if c.closing {
		err := c.causeLocked()
		c.mu.Unlock()
		return false, err
	}
	o := c.outputQueue()
	before := len(o.b)
	var err error
	if o.b, err = r.appendHeader(o.b, opaque, flag, s); err == nil {
		err = c.countRequest(len(o.b) - before + len(r.payload()))
	}
	if err != nil {
		o.b = o.b[:before]
		if before == 0 {
			c.out.queued = nil
			releaseOutput(o)
		}
		c.mu.Unlock()
		return false, err
	}
	if b != nil {
		b.takeLocked(c)
	}
	return c.finishEncode(o, r.payload()), nil
}

// countOutput accounts for a frame of n bytes that is about to wait, within
// the hard limit, and beyond the soft one within that of all connections
// together. The caller holds c.mu.
func (c *Conn) countOutput(n int) error {
	total := int(c.pendingBytes.Add(int64(n)))
	if total <= c.options.OutputSoftBytes {
		return nil
	}
	if total > c.options.OutputHardBytes {
		c.pendingBytes.Add(int64(-n))
		return fmt.Errorf("%w: %d bytes would wait to be sent, at most %d are allowed", ErrOverload, total, c.options.OutputHardBytes)
	}
	if more := total - c.out.counted; more > 0 {
		if !c.options.output.take(more) {
			c.pendingBytes.Add(int64(-n))
			return fmt.Errorf("%w: %d bytes would wait to be sent, and all connections together are at their limit", ErrOverload, total)
		}
		c.out.counted = total
	}
	return nil
}

// countRequest accounts for a request of ours. Unlike a reply it can be
// refused, so it is from the soft limit on; a single one may be larger.
func (c *Conn) countRequest(n int) error {
	if waiting := c.pendingBytes.Load(); waiting > int64(c.options.OutputSoftBytes) {
		return fmt.Errorf("%w: %d bytes wait to be sent already", ErrOverload, waiting)
	}
	return c.countOutput(n)
}

// uncountOutput gives back what the connection has of the common limit and
// needs no more. The caller holds c.mu.
func (c *Conn) uncountOutput() {
	if c.out.counted == 0 {
		return
	}
	need := int(c.pendingBytes.Load())
	if c.closing || need <= c.options.OutputSoftBytes {
		need = 0
	}
	if more := c.out.counted - need; need == 0 || more >= uncountBytes {
		c.options.output.give(more)
		c.out.counted = need
	}
}

func (c *Conn) outputQueue() *outputBuffer {
	if c.out.queued == nil {
		c.out.queued = outputPool.Get().(*outputBuffer)
	}
	return c.out.queued
}

// finishEncode adds the body to the frame at the end of the queue o, or writes
// a large one at once. It unlocks c.mu.
func (c *Conn) finishEncode(o *outputBuffer, body []byte) bool {
	if len(body) >= directBodyBytes && c.raw != nil && !c.out.flushing {
		c.out.flushing = true
		c.takeQueued()
		c.mu.Unlock()
		c.out.vector[1] = body
		c.flushRounds()
		return false
	}
	o.b = append(o.b, body...)
	c.mu.Unlock()
	return true
}

// Flush writes what waits to be sent, as far as the socket takes it without
// blocking; a goroutine that is started on demand writes the rest. A handler
// that is going to block should flush first.
func (c *Conn) Flush() {
	c.mu.Lock()
	if c.secure != nil && c.out.queued == nil && c.secure.carrier.hasSealed() {
		c.outputQueue()
	}
	if c.out.flushing || c.out.queued == nil || c.closing {
		c.mu.Unlock()
		return
	}
	c.out.flushing = true
	if c.raw == nil {
		c.mu.Unlock()
		go c.writeRest()
		return
	}
	c.takeQueued()
	c.mu.Unlock()
	c.flushRounds()
}

// takeQueued moves the queue to the writing goroutine, which the caller is.
func (c *Conn) takeQueued() {
	c.out.current, c.out.queued = c.out.queued, nil
	c.out.vector[0] = c.out.current.b
}

// flushRounds attempts to write the vector, and what others queue meanwhile.
// The caller has set flushing.
func (c *Conn) flushRounds() {
	for round := 1; ; round++ {
		c.out.written = 0
		if c.out.failure = c.seal(); c.out.failure == nil {
			if err := c.raw.Write(c.writeAttempt); err != nil {
				c.out.failure = err
			}
		}
		rest := c.dropWritten(c.out.written)
		c.mu.Lock()
		c.progressLocked(c.out.written)
		switch {
		case c.out.failure != nil:
			c.failLocked(fmt.Errorf("write to %v: %w", c.remote, c.out.failure))
		case rest:
			c.mu.Unlock()
			c.keepBody()
			go c.writeRest()
			return
		}
		c.releaseCurrent()
		if c.closing || c.out.queued == nil {
			c.endFlushLocked()
			c.mu.Unlock()
			return
		}
		if round == flushRoundsMax {
			c.mu.Unlock()
			go c.writeRest()
			return
		}
		c.takeQueued()
		c.mu.Unlock()
	}
}

// dropWritten cuts n bytes off the vector and reports whether some are left.
func (c *Conn) dropWritten(n int) bool {
	for i, part := range c.out.vector {
		cut := min(n, len(part))
		c.out.vector[i] = part[cut:]
		n -= cut
	}
	return len(c.out.vector[0])+len(c.out.vector[1]) > 0
}

// keepBody copies the unwritten part of a body that belongs to the caller.
func (c *Conn) keepBody() {
	o := c.out.current
	if len(c.out.vector[1]) == 0 {
		return
	}
	at := len(o.b) - len(c.out.vector[0])
	o.b = append(o.b, c.out.vector[1]...)
	c.out.vector = [2][]byte{o.b[at:]}
}

func (c *Conn) releaseCurrent() {
	releaseOutput(c.out.current)
	c.out.current, c.out.vector = nil, [2][]byte{}
}

// progressLocked accounts for n bytes that have left.
func (c *Conn) progressLocked(n int) {
	if n > 0 {
		c.pendingBytes.Add(int64(-n))
		c.bytesOut.Add(uint64(n))
		c.writes.Add(1)
		c.uncountOutput()
	}
	if c.out.waiting {
		c.changed.Broadcast()
	}
}

func (c *Conn) endFlushLocked() {
	c.out.flushing = false
	if c.out.waiting {
		c.changed.Broadcast()
	}
}

// writeRest is the writer goroutine. It takes over flushing, may block, and
// ends when nothing is left.
func (c *Conn) writeRest() {
	for {
		if c.out.current != nil {
			err := c.writeCurrent()
			c.mu.Lock()
			if err != nil {
				c.failLocked(fmt.Errorf("write to %v: %w", c.remote, err))
			}
			c.releaseCurrent()
		} else {
			c.mu.Lock()
		}
		if c.closing || c.out.queued == nil {
			c.endFlushLocked()
			c.mu.Unlock()
			return
		}
		c.takeQueued()
		c.mu.Unlock()
		if err := c.seal(); err != nil {
			c.fail(fmt.Errorf("write to %v: %w", c.remote, err))
		}
	}
}

func (c *Conn) writeCurrent() error {
	for b := c.out.vector[0]; len(b) > 0; {
		n, err := c.socket.Write(b[:min(len(b), writeChunkBytes)])
		b = b[n:]
		c.mu.Lock()
		c.progressLocked(n)
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
