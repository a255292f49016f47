package remoting

import (
	"net"
	"sync"
	"testing"
)

// hookedConn calls before ahead of each write. It is not a TCP connection, so
// the writer goroutine serves it.
type hookedConn struct {
	net.Conn
	before func()
}

func (h *hookedConn) Write(b []byte) (int, error) {
	h.before()
	return h.Conn.Write(b)
}

// sendOnceMore returns a function that queues another reply when it is called
// first, which the writing goroutine does in the middle of its write.
func sendOnceMore(rt func() ReplyTo) func() {
	called := false
	return func() {
		if !called {
			called = true
			rt().Send(&Reply{Code: 2})
		}
	}
}

// expectBoth reads two replies, of which the second was queued during the
// write of the first: nobody else flushes it.
func expectBoth(t *testing.T, peer net.Conn) {
	t.Helper()
	for code := range int32(2) {
		cmd, err := readCommand(peer)
		if err != nil || cmd.Code != code+1 {
			t.Fatalf("reply %d: %+v, %v", code+1, cmd, err)
		}
	}
}

func TestReplyQueuedDuringAWriteIsWrittenByTheSameFlush(t *testing.T) {
	t.Parallel()
	connected := make(chan *Conn, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { connected <- rt.Conn }), Options{})
	p := dialRaw(t, s)
	p.send(requestFrame(t, &Request{}, 1, 0, JSON))
	c := receiveFrom(t, connected, "the connection")
	again := sendOnceMore(func() ReplyTo { return ReplyTo{Conn: c, Opaque: 2} })
	c.mu.Lock() // the reader flushes when Handle has returned
	c.writeAttempt = func(fd uintptr) bool {
		again()
		return c.attemptWrite(fd)
	}
	c.mu.Unlock()
	ReplyTo{Conn: c, Opaque: 1}.Send(&Reply{Code: 1})
	expectBoth(t, p)
}

func TestReplyQueuedDuringAWriteIsWrittenByTheSameWriterGoroutine(t *testing.T) {
	t.Parallel()
	l := newPipeListener()
	peer, end := net.Pipe()
	hooked := &hookedConn{Conn: end}
	connected := make(chan *Conn, 1)
	h := newTestHandler(func(rt ReplyTo, _ *Command) { connected <- rt.Conn })
	s := Serve(l, h, Options{Logger: quiet()})
	l.ends <- hooked
	if _, err := peer.Write(requestFrame(t, &Request{}, 1, 0, JSON)); err != nil {
		t.Fatal(err)
	}
	c := receiveFrom(t, connected, "the connection")
	hooked.before = sendOnceMore(func() ReplyTo { return ReplyTo{Conn: c, Opaque: 2} })
	ReplyTo{Conn: c, Opaque: 1}.Send(&Reply{Code: 1})
	expectBoth(t, peer)
	_ = peer.Close()
	if err := s.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
}

func TestFlushHandsOverAfterAFewRounds(t *testing.T) {
	t.Parallel()
	const replies = 3 * flushRoundsMax
	connected := make(chan *Conn, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { connected <- rt.Conn }), Options{})
	p := dialRaw(t, s)
	p.send(requestFrame(t, &Request{}, 1, 0, JSON))
	c := receiveFrom(t, connected, "the connection")
	attempts := 0
	c.mu.Lock()
	c.writeAttempt = func(fd uintptr) bool {
		attempts++
		for range replies / flushRoundsMax {
			ReplyTo{Conn: c}.Send(&Reply{Code: 1})
		}
		return c.attemptWrite(fd)
	}
	c.mu.Unlock()
	ReplyTo{Conn: c}.Send(&Reply{Code: 1})
	if attempts != flushRoundsMax {
		t.Errorf("%d writes in one Flush, expected %d", attempts, flushRoundsMax)
	}
	for range replies + 1 {
		p.receive()
	}
}

func TestDirectWriteThatStopsAnywhereIsContinued(t *testing.T) {
	t.Parallel()
	body := make([]byte, 2*directBodyBytes)
	for i := range body {
		body[i] = byte(i * 7)
	}
	for _, stopAfter := range []int{0, 1, prefixBytes, 40, directBodyBytes, 2 * directBodyBytes} {
		connected := make(chan *Conn, 1)
		s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { connected <- rt.Conn }), Options{})
		p := dialRaw(t, s)
		p.send(requestFrame(t, &Request{}, 1, 0, JSON))
		c := receiveFrom(t, connected, "the connection")
		c.mu.Lock()
		c.writeAttempt = func(fd uintptr) bool {
			whole := c.out.vector
			c.out.vector[0] = whole[0][:min(stopAfter, len(whole[0]))]
			c.out.vector[1] = whole[1][:min(stopAfter-len(c.out.vector[0]), len(whole[1]))]
			if stopAfter > 0 {
				c.attemptWrite(fd)
			}
			c.out.vector = whole
			return true
		}
		c.mu.Unlock()
		ReplyTo{Conn: c, Opaque: 5}.Send(&Reply{Remark: "a remark that fills the header", Body: body})
		if cmd := p.receive(); cmd.Opaque != 5 || string(cmd.Body) != string(body) {
			t.Errorf("stopped after %d bytes: opaque %d, %d bytes", stopAfter, cmd.Opaque, len(cmd.Body))
		}
	}
}

func TestReplyFromAnotherGoroutineDoesNotWaitForABusyHandler(t *testing.T) {
	t.Parallel()
	parked := make(chan ReplyTo, 1)
	busy, proceed := make(chan struct{}), make(chan struct{})
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		if cmd.Opaque == 1 {
			parked <- rt
			return
		}
		close(busy)
		<-proceed
		rt.Send(&Reply{})
	}), Options{})
	release := sync.OnceFunc(func() { close(proceed) })
	t.Cleanup(release)
	p := dialRaw(t, s)
	p.send(append(requestFrame(t, &Request{}, 1, 0, JSON), requestFrame(t, &Request{}, 2, 0, JSON)...))
	rt := receiveFrom(t, parked, "the first request")
	receiveFrom(t, busy, "the second request")
	rt.Send(&Reply{})
	if cmd := p.receive(); cmd.Opaque != 1 {
		t.Errorf("got the reply to %d", cmd.Opaque)
	}
	release()
	if cmd := p.receive(); cmd.Opaque != 2 {
		t.Errorf("got the reply to %d", cmd.Opaque)
	}
}

func TestRepliesOfOneReadShareAWrite(t *testing.T) {
	t.Parallel()
	const count = 5
	conns := make(chan *Conn, count)
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		echo(rt, cmd)
		conns <- rt.Conn
	}), Options{})
	p := dialRaw(t, s)
	var stream []byte
	for i := range int32(count) {
		stream = append(stream, requestFrame(t, &Request{}, i, 0, JSON)...)
	}
	p.send(stream)
	for range count {
		p.receive()
	}
	c := <-conns
	if writes, reads := c.writes.Load(), c.reads.Load(); writes > reads {
		t.Errorf("%d writes for %d reads", writes, reads)
	}
}
