package link

import (
	"io"
	"net"
	"sync"
	"time"
)

type direction uint8

const (
	there direction = iota // towards the target
	back
)

const (
	chunkBytes  = 16 << 10
	queueChunks = 64
)

// pair is a connection and its continuation.
type pair struct {
	near   net.Conn
	ended  <-chan struct{}
	cancel func() // closes ended

	mu   sync.Mutex
	far  net.Conn // nil until it is there
	over bool
}

// connect gives the pair its continuation, unless it has ended.
func (p *pair) connect(far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = far.Close()
		return false
	}
	p.far = far
	return true
}

// finish closes both connections after both streams have ended well: what is
// still in their buffers arrives, which a reset would drop.
func (p *pair) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.over = true
	p.cancel()
	_ = p.near.Close()
	_ = p.far.Close()
}

// end resets both connections.
func (p *pair) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.over = true
	p.cancel()
	abort(p.near)
	if p.far != nil {
		abort(p.far)
	}
}

// abort closes a connection so that its peer sees a reset.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// chunk is a piece of a stream, or its end.
type chunk struct {
	bytes []byte
	read  time.Time
	end   bool
}

// pump carries one direction. A stream that ends well ends the other side's
// stream; an error ends the pair.
func (p *pair) pump(l *Link, d direction, from, to net.Conn) {
	queue := make(chan chunk, queueChunks)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(queue)
		p.read(from, queue)
	})
	for c := range queue {
		if !p.deliver(l, d, c, to) {
			p.end()
			break
		}
	}
	for range queue { // lets the reader end
	}
	reading.Wait()
}

func (p *pair) read(from net.Conn, queue chan<- chunk) {
	for {
		b := make([]byte, chunkBytes)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case queue <- chunk{bytes: b[:n], read: time.Now()}:
			case <-p.ended:
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				p.end()
				return
			}
			select {
			case queue <- chunk{read: time.Now(), end: true}:
			case <-p.ended:
			}
			return
		}
	}
}

// deliver writes a chunk when the direction's condition allows it, and reports
// whether it did.
func (p *pair) deliver(l *Link, d direction, c chunk, to net.Conn) bool {
	for {
		condition, changed := l.condition(d)
		due := c.read.Add(condition.Delay)
		if condition.BytesPerSecond > 0 {
			due = latest(due, time.Now()).Add(time.Duration(len(c.bytes)) * time.Second / time.Duration(condition.BytesPerSecond))
		}
		if p.hold(condition.Cut, time.Until(due), changed) {
			break
		}
		select {
		case <-p.ended:
			return false
		default:
		}
	}
	if c.end {
		tcp, ok := to.(*net.TCPConn)
		return ok && tcp.CloseWrite() == nil
	}
	_, err := to.Write(c.bytes)
	return err == nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hold waits, and reports whether the chunk is due; it isn't when the
// condition changed or the pair ended.
func (p *pair) hold(cut bool, wait time.Duration, changed <-chan struct{}) bool {
	var due <-chan time.Time
	if !cut {
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return true
	case <-changed:
	case <-p.ended:
	}
	return false
}
