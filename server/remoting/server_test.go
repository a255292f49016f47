package remoting

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFramesThatArriveByteByByteAreHandled(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{})
	for _, kind := range []Serialization{JSON, Binary} {
		p := dialRaw(t, s)
		r := Request{Code: 100, Header: []TextField{{"k", "v\x01"}}, Body: []byte("body")}
		stream := append(requestFrame(t, &r, 1, 0, kind), requestFrame(t, &r, 2, 0, kind)...)
		for i := range stream {
			p.send(stream[i : i+1])
		}
		for opaque := range int32(2) {
			if c := p.receive(); c.Opaque != opaque+1 || !c.IsResponse() || c.Serialization != kind || c.Text("k") != "v\x01" || string(c.Body) != "body" {
				t.Errorf("%v: got %+v", kind, c)
			}
		}
	}
}

func TestPipelinedRequestsAreHandledAndAnsweredInOrder(t *testing.T) {
	t.Parallel()
	const count = 5000
	s := startServer(t, newTestHandler(echo), Options{})
	p := dialRaw(t, s)
	go func() {
		r := Request{Body: bytes.Repeat([]byte("x"), 300)}
		var stream []byte
		for i := range int32(count) {
			stream, _ = r.appendHeader(stream, i, 0, Serialization(i%2))
			stream = append(stream, r.Body...)
		}
		_, _ = p.Write(stream)
	}()
	for i := range int32(count) {
		if c := p.receive(); c.Opaque != i || len(c.Body) != 300 {
			t.Fatalf("reply %d has opaque %d and %d bytes", i, c.Opaque, len(c.Body))
		}
	}
}

func TestLargeRequestsAndRepliesPass(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{})
	client, err := Dial(within(t), s.Addr().String(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, n := range []int{0, 1, 4 << 10, directBodyBytes - 1, directBodyBytes, 70 << 10, 1 << 20, FrameBytesMax - 4 - 100} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(i>>8) ^ byte(i)
		}
		got, err := client.Call(within(t), &Request{Body: body})
		if n > FrameBytesMax-200 && err == nil && got.Code == ResponseSystemError {
			continue // with a longer header in the reply than in the request
		}
		if err != nil || !bytes.Equal(got.Body, body) {
			t.Errorf("%d bytes: error %v, got %d bytes", n, err, len(got.Body))
		}
	}
	if used := s.conn.input.used.Load(); used != 0 {
		client.Close()
		await(t, "large buffers are given back", func() bool { return s.conn.input.used.Load() == 0 })
	}
}

func TestLyingLengthsCloseTheConnectionUnanswered(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string][]byte{
		"length over 16 MiB, four bytes only": {0x01, 0, 0, 1},
		"negative length":                     {0xff, 0xff, 0xff, 0xff},
		"length too small":                    {0, 0, 0, 3},
		"a web browser":                       []byte("GET / HTTP/1.1\r\n\r\n"),
		"a web form":                          []byte("POST / HTTP/1.1\r\n\r\n"),
		"header longer than the frame":        {0, 0, 0, 8, 0, 0, 0, 5, '{', '}', 0, 0},
		"unknown serialization":               {0, 0, 0, 4, 9, 0, 0, 0},
		"bad JSON":                            jsonFrame(`{"code":`, ""),
		"no header":                           {0, 0, 0, 4, 0, 0, 0, 0},
	} {
		h := newTestHandler(func(ReplyTo, *Command) { t.Errorf("%s: was handled", name) })
		s := startServer(t, h, Options{})
		p := dialRaw(t, s)
		p.send(stream)
		p.expectEnd()
		receiveFrom(t, h.closed, name)
		await(t, name, func() bool { return s.Stats().Ended[EndMalformed] == 1 && s.Connections() == 0 })
	}
}

// fillFrom gives b, a part of a frame, to a connection and lets it read until
// it has all of it.
func fillFrom(t *testing.T, c *Conn, peer net.Conn, b []byte) {
	t.Helper()
	want := len(c.in.pending()) + len(b)
	go func() { _, _ = peer.Write(b) }()
	for len(c.in.pending()) < want {
		if err := c.fill(); err != nil {
			t.Fatal(err)
		}
		if err := c.handleFrames(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuffersGrowByWhatArrivesNotByWhatIsClaimed(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer ours.Close()
	c := newConn(theirs, newTestHandler(echo), &connOptions{FrameBytesMax: FrameBytesMax, OutputSoftBytes: 1, OutputHardBytes: 1, CallsMax: 1, logger: quiet()})
	claim := []byte{0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}
	fillFrom(t, c, ours, claim)
	if n := len(c.in.buffer.b); n != inputClassBytes[0] {
		t.Errorf("%d bytes arrived and the buffer has %d", len(claim), n)
	}
	fillFrom(t, c, ours, make([]byte, 100<<10))
	if n := len(c.in.buffer.b); n > 4*(100<<10) {
		t.Errorf("100 KiB arrived and the buffer has %d", n)
	}
}

func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	t.Parallel()
	l := listen(t)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	socket, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	options := &connOptions{FrameBytesMax: FrameBytesMax, OutputSoftBytes: 1 << 20, OutputHardBytes: 1 << 20, CallsMax: 1, logger: quiet(), input: &budget{limit: 4 << 20}}
	c := newConn(socket, newTestHandler(echo), options)
	// reach reads until condition holds; each read ends when the socket is empty.
	reach := func(what string, condition func() bool) {
		t.Helper()
		await(t, what, func() bool {
			_ = socket.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			err := c.fill()
			if err == nil {
				err = c.handleFrames()
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			return condition()
		})
	}
	frame := requestFrame(t, &Request{Body: make([]byte, 300<<10)}, 1, flagOneway, JSON)
	go func() { _, _ = peer.Write(frame) }()
	reach("without bytes no buffer is held", func() bool {
		return c.sequence == 1 && c.in.buffer == nil && options.input.used.Load() == 0
	})
	_, _ = peer.Write(frame[:100])
	reach("a part of a frame is held in the smallest buffer", func() bool {
		return bytes.Equal(c.in.pending(), frame[:100]) && len(c.in.buffer.b) == inputClassBytes[0]
	})
	go func() { _, _ = peer.Write(frame[100:]) }()
	reach("the frame is handled when its rest arrives", func() bool { return c.sequence == 2 && c.in.buffer == nil })
}

func TestUnfinishedLargeFramesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	h := newTestHandler(echo)
	s := startServer(t, h, Options{InputBytesMax: 300 << 10})
	for range 2 {
		p := dialRaw(t, s)
		_, _ = p.Write(append([]byte{0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}, make([]byte, 200<<10)...))
	}
	receiveFrom(t, h.closed, "one of two connections with 200 KiB of an unfinished frame is closed")
	await(t, "the end is counted", func() bool { return s.Stats().Ended[EndOverload] == 1 && s.Connections() == 1 })
}

func TestSlowReaderPausesItsRequests(t *testing.T) {
	t.Parallel()
	const soft, body, count = 256 << 10, 60 << 10, 1000
	var conn atomic.Pointer[Conn]
	var over atomic.Int64
	content := bytes.Repeat([]byte("0123456789"), body/10)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) {
		conn.Store(rt.Conn)
		if rt.Conn.pendingBytes.Load() > soft {
			over.Add(1)
		}
		rt.Send(&Reply{Body: content})
	}), Options{OutputSoftBytes: soft})
	p := dialRaw(t, s)
	var stream []byte
	for i := range int32(count) {
		stream = append(stream, requestFrame(t, &Request{}, i, 0, JSON)...)
	}
	go func() { _, _ = p.Write(stream) }()
	await(t, "the reader pauses", func() bool {
		c := conn.Load()
		if c == nil {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.out.waiting
	})
	for i := range int32(count) {
		if c := p.receive(); c.Opaque != i || !bytes.Equal(c.Body, content) {
			t.Fatalf("reply %d has opaque %d and a body of %d bytes", i, c.Opaque, len(c.Body))
		}
	}
	if n := over.Load(); n != 0 {
		t.Errorf("%d requests were handled over the soft limit", n)
	}
}

func TestPeerThatNeverReadsIsCutOffAtTheHardLimit(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	finished := make(chan struct{})
	h := newTestHandler(func(rt ReplyTo, _ *Command) {
		go func() {
			defer close(finished)
			r := Reply{Body: make([]byte, 1<<20)}
			for {
				select {
				case <-gone:
					return
				default:
					rt.Send(&r)
				}
			}
		}()
	})
	s := startServer(t, h, Options{OutputHardBytes: 8 << 20})
	p := dialRaw(t, s)
	p.send(requestFrame(t, &Request{}, 1, 0, JSON))
	receiveFrom(t, h.closed, "the connection is closed")
	close(gone)
	<-finished
	await(t, "the end is counted", func() bool { return s.Stats().Ended[EndOverload] == 1 })
}

func TestRepliesOfManyGoroutinesDoNotMix(t *testing.T) {
	t.Parallel()
	const count = 400
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		size := 10 << (cmd.Opaque % 16) // up to 320 KiB, over and under the direct write
		go rt.Send(&Reply{Body: bytes.Repeat([]byte{byte(cmd.Opaque)}, int(size))})
	}), Options{OutputSoftBytes: 1 << 30, OutputHardBytes: 1 << 30})
	p := dialRaw(t, s)
	go func() {
		for i := range int32(count) {
			b, _ := new(Request).appendHeader(nil, i, 0, Binary)
			_, _ = p.Write(b)
		}
	}()
	seen := map[int32]bool{}
	for range count {
		c := p.receive()
		if want := bytes.Repeat([]byte{byte(c.Opaque)}, 10<<(c.Opaque%16)); !bytes.Equal(c.Body, want) || seen[c.Opaque] {
			t.Fatalf("reply %d: %d bytes, seen before: %v", c.Opaque, len(c.Body), seen[c.Opaque])
		}
		seen[c.Opaque] = true
	}
}

func TestBatchWritesOncePerConnection(t *testing.T) {
	t.Parallel()
	const perConn = 10
	requests := make(chan ReplyTo, 2*perConn)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{})
	peers := []*rawPeer{dialRaw(t, s), dialRaw(t, s)}
	var targets []ReplyTo
	for i := range int32(perConn) {
		for _, p := range peers {
			p.send(requestFrame(t, &Request{}, i, 0, JSON))
			targets = append(targets, receiveFrom(t, requests, "a request"))
		}
	}
	var b Batch
	var r Reply
	for _, rt := range targets {
		r.Reset()
		r.SetInt("o", int64(rt.Opaque))
		b.Send(rt, &r)
	}
	b.Flush()
	for _, p := range peers {
		for i := range int64(perConn) {
			if n, _ := p.receive().Int("o"); n != i {
				t.Errorf("reply %d instead of %d", n, i)
			}
		}
	}
	for _, rt := range targets[:2] {
		if n := rt.Conn.writes.Load(); n != 1 {
			t.Errorf("%d writes, expected 1", n)
		}
	}
	if b.Flush(); len(b.touched) != 0 {
		t.Error("the batch still has connections")
	}
}

func TestOnewayRequestsAreNotAnswered(t *testing.T) {
	t.Parallel()
	var b Batch
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		echo(rt, cmd)
		b.Send(rt, &Reply{})
		b.Flush()
		if !rt.Oneway {
			return
		}
		if n := rt.Conn.unanswered.Load(); n != 0 {
			t.Errorf("%d answers are owed for a one-way request", n)
		}
	}), Options{})
	p := dialRaw(t, s)
	p.send(append(requestFrame(t, &Request{}, 1, flagOneway, JSON), requestFrame(t, &Request{}, 2, 0, JSON)...))
	if c := p.receive(); c.Opaque != 2 {
		t.Errorf("got an answer to request %d", c.Opaque)
	}
}

func TestConnectionsOverTheLimitAreClosed(t *testing.T) {
	t.Parallel()
	h := newTestHandler(echo)
	s := startServer(t, h, Options{ConnectionsMax: 1})
	first := dialRaw(t, s)
	first.send(requestFrame(t, &Request{}, 1, 0, JSON))
	first.receive()
	dialRaw(t, s).expectEnd()
	if st := s.Stats(); st.Refused != 1 || st.Accepted != 1 || st.Connections != 1 {
		t.Errorf("%+v", st)
	}
	first.Close()
	receiveFrom(t, h.closed, "the first is gone")
	await(t, "there is room again", func() bool { return s.Connections() == 0 })
	again := dialRaw(t, s)
	again.send(requestFrame(t, &Request{}, 1, 0, JSON))
	again.receive()
}

func TestIdleConnectionsAreClosedAndBusyOnesAreNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		h := newTestHandler(echo)
		s := Serve(l, h, Options{IdleTimeout: 120 * time.Second, Logger: quiet()})
		started := time.Now()
		idle, busy := l.dial(), l.dial()
		frame := requestFrame(t, &Request{}, 1, 0, JSON)
		for range 10 {
			if _, err := busy.Write(frame); err != nil {
				t.Fatal(err)
			}
			if _, err := readCommand(busy); err != nil {
				t.Fatal(err)
			}
			<-time.After(30 * time.Second) // of the bubble's clock
		}
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("idle connection: %v, expected its end", err)
		}
		<-h.closed
		if st := s.Stats(); st.Connections != 1 || st.Ended[EndIdle] != 1 {
			t.Errorf("after %v: %+v", time.Since(started), st)
		}
		_ = busy.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleTimeIsKeptToAnEighth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := Serve(l, newTestHandler(echo), Options{IdleTimeout: 120 * time.Second, Logger: quiet()})
		started := time.Now()
		_, _ = l.dial().Read(make([]byte, 1))
		if d := time.Since(started); d < 120*time.Second || d > 135*time.Second {
			t.Errorf("closed after %v", d)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectionsThatAreNotTCPWork(t *testing.T) {
	t.Parallel()
	l := newPipeListener()
	s := Serve(l, newTestHandler(echo), Options{Logger: quiet()})
	client := NewClient(l.dial(), ClientOptions{Logger: quiet()})
	for _, n := range []int{0, 100, 1 << 20} {
		got, err := client.Call(within(t), &Request{Code: 7, Body: make([]byte, n)})
		if err != nil || got.Code != 7 || len(got.Body) != n {
			t.Fatalf("%d bytes: %+v, %v", n, got, err)
		}
	}
	client.Close()
	if err := s.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
}

func TestShutdownAnswersWhatWasRead(t *testing.T) {
	t.Parallel()
	requests := make(chan ReplyTo, 3)
	h := newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt })
	s := startServer(t, h, Options{})
	p := dialRaw(t, s)
	var targets []ReplyTo
	for i := range int32(3) {
		p.send(requestFrame(t, &Request{}, i, 0, JSON))
		targets = append(targets, receiveFrom(t, requests, "a request"))
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(within(t)) }()
	await(t, "no further connections", func() bool {
		c, err := net.Dial("tcp", s.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	p.send(requestFrame(t, &Request{}, 3, 0, JSON)) // comes too late
	for _, rt := range targets {
		select {
		case err := <-stopped:
			t.Fatalf("stopped before request %d was answered: %v", rt.Opaque, err)
		default:
		}
		rt.Send(&Reply{Body: make([]byte, 3<<20)})
	}
	for i := range int32(3) {
		if c := p.receive(); c.Opaque != i || len(c.Body) != 3<<20 {
			t.Errorf("reply %d: opaque %d, %d bytes", i, c.Opaque, len(c.Body))
		}
	}
	p.expectEnd()
	p.Close()
	if err := receiveFrom(t, stopped, "Shutdown returns"); err != nil {
		t.Error(err)
	}
	if len(h.closed) == 0 || len(requests) != 0 { // the dials may have got in before the listener was closed
		t.Errorf("%d connections closed, %d late requests handled", len(h.closed), len(requests))
	}
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	requests := make(chan ReplyTo, 1)
	h := newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt })
	s := startServer(t, h, Options{})
	p := dialRaw(t, s)
	p.send(requestFrame(t, &Request{}, 1, 0, JSON))
	rt := receiveFrom(t, requests, "a request")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected the context's", err)
	}
	p.expectEnd()
	if len(h.closed) != 1 {
		t.Error("Closed was not called")
	}
	rt.Send(&Reply{}) // to a closed connection: nothing
	if _, err := rt.Conn.Call(within(t), &Request{}); !errors.Is(err, ErrClosed) {
		t.Errorf("call on a closed connection: %v", err)
	}
	if err := s.Shutdown(within(t)); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}

func TestAnswersAreObservedWithBothCodes(t *testing.T) {
	t.Parallel()
	type answer struct {
		request, response int32
		took              time.Duration
	}
	seen := make(chan answer, 10)
	s := startServer(t, newTestHandler(echo), Options{Observe: func(request, response int32, took time.Duration) {
		seen <- answer{request, response, took}
	}})
	client, err := Dial(within(t), s.Addr().String(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Oneway(&Request{Code: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Call(within(t), &Request{Code: 8}); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.request != 8 || got.response != 8 || got.took <= 0 || len(seen) != 0 {
		t.Errorf("observed %+v and %d more; a one-way request has no answer", got, len(seen))
	}
}
