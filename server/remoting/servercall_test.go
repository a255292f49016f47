package remoting

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// connectionOf lets a peer send one request and returns the server's end of
// its connection.
func connectionOf(t *testing.T, o Options) (*Conn, *rawPeer, *Server) {
	t.Helper()
	conns := make(chan *Conn, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { conns <- rt.Conn }), o)
	p := dialRaw(t, s)
	p.send(requestFrame(t, &Request{}, 1, flagOneway, Binary))
	return receiveFrom(t, conns, "the connection"), p, s
}

func TestAServersUnansweredCallEndsInTimeAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		conns := make(chan *Conn, 1)
		s := Serve(l, newTestHandler(func(rt ReplyTo, _ *Command) { conns <- rt.Conn }), Options{CallTimeout: 20 * time.Second, CallsMax: 2, Logger: quiet()})
		peer := l.dial()
		requests := make(chan *Command, 10)
		go func() {
			defer close(requests)
			for {
				cmd, err := readCommand(peer)
				if err != nil {
					return
				}
				requests <- cmd
			}
		}()
		_, _ = peer.Write(requestFrame(t, &Request{}, 1, flagOneway, JSON))
		c := <-conns
		began, ends := time.Now(), make(chan error, 2)
		for range 2 {
			if err := c.Go(&Request{Code: RequestGetConsumerRunningInfo}, func(_ *Command, err error) { ends <- err }); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Go(&Request{Code: RequestGetConsumerRunningInfo}, func(*Command, error) { t.Error("a refused call was completed") }); !errors.Is(err, ErrTooManyCalls) {
			t.Errorf("a third call: %v", err)
		}
		for range 2 {
			if err := <-ends; !errors.Is(err, ErrTimeout) {
				t.Errorf("ended with %v", err)
			}
		}
		if d := time.Since(began); d < 20*time.Second || d > 27*time.Second {
			t.Errorf("ended after %v", d)
		}
		late := <-requests
		_, _ = peer.Write(requestFrame(t, &Request{}, late.Opaque, flagResponse, JSON)) // nobody waits for it any more
		if err := c.Oneway(&Request{Code: RequestNotifyConsumerIDsChanged}); err != nil {
			t.Errorf("the connection is gone: %v", err)
		}
		for cmd := range requests {
			if cmd.Code == RequestNotifyConsumerIDsChanged {
				break
			}
		}
		_ = peer.Close()
		_ = s.Shutdown(t.Context())
	})
}

func TestRequestsToAClientThatReadsNothingAreRefused(t *testing.T) {
	t.Parallel()
	c, p, s := connectionOf(t, Options{OutputSoftBytes: 64 << 10})
	notice := &Request{Code: RequestNotifyConsumerIDsChanged, Body: make([]byte, 4<<10)}
	var err error
	sent := 0
	for ; err == nil && sent < 100_000; sent++ {
		err = c.Oneway(notice)
	}
	if !errors.Is(err, ErrOverload) {
		t.Fatalf("after %d requests: %v", sent, err)
	}
	if err := c.Go(notice, func(*Command, error) { t.Error("a refused call was completed") }); !errors.Is(err, ErrOverload) {
		t.Errorf("a call: %v", err)
	}
	if n := c.pendingBytes.Load(); n > 128<<10 {
		t.Errorf("%d bytes wait", n)
	}
	for range sent - 1 {
		if got := p.receive(); got.Code != RequestNotifyConsumerIDsChanged || !got.IsOneway() || got.Serialization != Binary {
			t.Fatalf("%+v", got)
		}
	}
	await(t, "it has room again", func() bool { return c.Oneway(notice) == nil })
	if s.Connections() != 1 {
		t.Error("the connection was closed")
	}
}

func TestALargeRequestToAClientPassesTheSoftLimitAlone(t *testing.T) {
	t.Parallel()
	c, p, _ := connectionOf(t, Options{OutputSoftBytes: 64 << 10})
	if err := c.Oneway(&Request{Code: RequestConsumeMessageDirectly, Body: make([]byte, 4<<20)}); err != nil {
		t.Fatal(err)
	}
	if got := p.receive(); len(got.Body) != 4<<20 {
		t.Errorf("%d bytes", len(got.Body))
	}
}

func TestAClientThatGoesAwayEndsTheServersCallsOnce(t *testing.T) {
	t.Parallel()
	c, p, _ := connectionOf(t, Options{})
	var ended atomic.Int64
	for range 100 {
		if err := c.Go(&Request{Code: RequestGetConsumerRunningInfo}, func(cmd *Command, err error) {
			if cmd != nil || !errors.Is(err, ErrClosed) {
				t.Errorf("%+v, %v", cmd, err)
			}
			ended.Add(1)
		}); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Call(within(t), &Request{Code: RequestConsumeMessageDirectly})
		waiting <- err
	}()
	for range 101 {
		p.receive()
	}
	p.Close()
	if err := receiveFrom(t, waiting, "Call returns"); !errors.Is(err, ErrClosed) {
		t.Errorf("Call: %v", err)
	}
	await(t, "all have ended", func() bool { return ended.Load() == 100 })
	if err := c.Go(&Request{}, func(*Command, error) { t.Error("completed after the end") }); !errors.Is(err, ErrClosed) {
		t.Errorf("a call afterwards: %v", err)
	}
	if n := len(c.calls.slots); n != 0 {
		t.Errorf("%d slots are still taken", n)
	}
}
