package remoting

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func dialClient(t testing.TB, s *Server, o ClientOptions) *Client {
	t.Helper()
	o.Logger = quiet()
	c, err := Dial(within(t), s.Addr().String(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestBothSidesCallEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	const callers, calls = 8, 50
	server := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		number := cmd.Text("number")
		go func() { // a handler must not wait for the peer
			r := Request{Code: RequestGetConsumerRunningInfo}
			r.Set("number", number)
			if err := rt.Conn.Oneway(&r); err != nil {
				t.Error(err)
			}
			got, err := rt.Conn.Call(within(t), &r)
			if err != nil {
				t.Error(err)
				return
			}
			rt.Send(&Reply{Code: got.Code, Body: got.Body})
		}()
	}), Options{})
	var oneways atomic.Int64
	for _, s := range []Serialization{JSON, Binary} {
		client := dialClient(t, server, ClientOptions{Serialization: s, CallsMax: 3, Handler: newTestHandler(func(rt ReplyTo, cmd *Command) {
			if cmd.Serialization != s {
				t.Errorf("the server calls in %v, the client in %v", cmd.Serialization, s)
			}
			if rt.Oneway {
				oneways.Add(1)
			}
			rt.Send(&Reply{Code: 5, Body: []byte("echo " + cmd.Text("number"))})
		})})
		var work sync.WaitGroup
		for caller := range callers {
			work.Go(func() {
				for i := range calls {
					number := fmt.Sprint(caller, "-", i)
					r := Request{Code: 1, Header: []TextField{{"number", number}}}
					got, err := client.Call(within(t), &r)
					if err != nil || got.Code != 5 || string(got.Body) != "echo "+number {
						t.Errorf("call %s: %+v, %v", number, got, err)
					}
				}
			})
		}
		work.Wait()
	}
	await(t, "all one-way requests arrive", func() bool { return oneways.Load() == 2*callers*calls })
}

func TestResponsesFindTheirCallsInAnyOrder(t *testing.T) {
	t.Parallel()
	const count = 100
	requests := make(chan ReplyTo, count)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{})
	client := dialClient(t, s, ClientOptions{})
	results := make(chan error, count)
	for i := range count {
		err := client.Go(&Request{Header: []TextField{{"i", fmt.Sprint(i)}}}, func(cmd *Command, err error) {
			if n, _ := cmd.Int("i"); err == nil && n != int64(i) {
				err = fmt.Errorf("call %d got the response to %d", i, n)
			}
			results <- err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	targets := make([]ReplyTo, count)
	for i := range count {
		targets[i] = receiveFrom(t, requests, "a request")
	}
	ReplyTo{Conn: targets[0].Conn, Opaque: 1 << 30}.Send(&Reply{}) // nobody asked for that
	for i := count - 1; i >= 0; i-- {
		var r Reply
		r.SetInt("i", int64(i))
		targets[i].Send(&r)
	}
	for range count {
		if err := receiveFrom(t, results, "a response"); err != nil {
			t.Error(err)
		}
	}
}

func TestCallsAreBoundedInFlight(t *testing.T) {
	t.Parallel()
	requests := make(chan ReplyTo, 2)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{})
	client := dialClient(t, s, ClientOptions{CallsMax: 1})
	results := make(chan error, 1)
	if err := client.Go(&Request{}, func(_ *Command, err error) { results <- err }); err != nil {
		t.Fatal(err)
	}
	if err := client.Go(&Request{}, func(*Command, error) { t.Error("the second callback was called") }); !errors.Is(err, ErrTooManyCalls) {
		t.Errorf("error %v, expected ErrTooManyCalls", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client.Call(ctx, &Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, expected the context's", err)
	}
	receiveFrom(t, requests, "the first request").Send(&Reply{})
	if err := receiveFrom(t, results, "the first response"); err != nil {
		t.Error(err)
	}
	if err := client.Go(&Request{}, func(*Command, error) {}); err != nil {
		t.Errorf("with a free slot again: %v", err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	requests := make(chan ReplyTo, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		if cmd.Code == 1 {
			requests <- rt
			return
		}
		echo(rt, cmd)
	}), Options{})
	client := dialClient(t, s, ClientOptions{CallsMax: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := client.Call(ctx, &Request{Code: 1})
		ended <- err
	}()
	rt := receiveFrom(t, requests, "the request")
	cancel()
	if err := receiveFrom(t, ended, "the call ends"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected the context's", err)
	}
	rt.Send(&Reply{Code: 99}) // too late: dropped
	if got, err := client.Call(within(t), &Request{Code: 2}); err != nil || got.Code != 2 {
		t.Errorf("the next call: %+v, %v", got, err)
	}
}

func TestConnectionErrorFailsAllCallsOnce(t *testing.T) {
	t.Parallel()
	const count = 20
	requests := make(chan ReplyTo, count)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{})
	client := dialClient(t, s, ClientOptions{CallsMax: count})
	results := make(chan error, 2*count)
	for range count {
		if err := client.Go(&Request{}, func(_ *Command, err error) { results <- err }); err != nil {
			t.Fatal(err)
		}
	}
	receiveFrom(t, requests, "a request").Conn.Close()
	for range count {
		if err := receiveFrom(t, results, "a call fails"); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, expected ErrClosed", err)
		}
	}
	receiveFrom(t, client.Done(), "the client ends")
	if err := client.Go(&Request{}, func(*Command, error) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, expected ErrClosed", err)
	}
	if err := client.Oneway(&Request{}); !errors.Is(err, ErrClosed) {
		t.Errorf("one-way: error %v, expected ErrClosed", err)
	}
	if len(results) != 0 {
		t.Errorf("%d calls failed twice", len(results))
	}
}

func TestUnansweredGoTimesOutAndCallDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		requests := make(chan ReplyTo, 2)
		s := Serve(l, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{IdleTimeout: time.Hour, Logger: quiet()})
		client := NewClient(l.dial(), ClientOptions{CallTimeout: 40 * time.Second, Logger: quiet()})
		started := time.Now()
		called := make(chan error, 1)
		go func() {
			_, err := client.Call(t.Context(), &Request{})
			called <- err
		}()
		rt := <-requests
		timedOut := make(chan error, 1)
		if err := client.Go(&Request{}, func(_ *Command, err error) { timedOut <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-timedOut; !errors.Is(err, ErrTimeout) {
			t.Errorf("error %v, expected ErrTimeout", err)
		}
		if d := time.Since(started); d < 40*time.Second || d > 50*time.Second {
			t.Errorf("timed out after %v", d)
		}
		rt.Send(&Reply{})
		if err := <-called; err != nil {
			t.Errorf("the call with a context: %v", err)
		}
		(<-requests).Send(&Reply{}) // so that Shutdown does not wait for it
		client.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRequestsOverTheLimitsAreRefusedAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{})
	client := dialClient(t, s, ClientOptions{OutputHardBytes: 1 << 20})
	if err := client.Oneway(&Request{Body: make([]byte, FrameBytesMax)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, expected ErrTooLarge", err)
	}
	if _, err := client.Call(within(t), &Request{Body: make([]byte, 2<<20)}); !errors.Is(err, ErrOverload) {
		t.Errorf("error %v, expected ErrOverload", err)
	}
	if got, err := client.Call(within(t), &Request{Code: 3, Body: []byte("x")}); err != nil || string(got.Body) != "x" {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	if n := client.Conn().pendingBytes.Load(); n != 0 {
		t.Errorf("%d bytes are said to wait", n)
	}
}

func TestClientWithoutHandlerRefusesRequests(t *testing.T) {
	t.Parallel()
	conns := make(chan *Conn, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		conns <- rt.Conn
		echo(rt, cmd)
	}), Options{})
	client := dialClient(t, s, ClientOptions{})
	if _, err := client.Call(within(t), &Request{}); err != nil {
		t.Fatal(err)
	}
	server := receiveFrom(t, conns, "the connection")
	got, err := server.Call(within(t), &Request{Code: RequestNotifyConsumerIDsChanged})
	if err != nil || got.Code != ResponseRequestCodeNotSupported || string(got.Remark) != " request type 40 not supported" {
		t.Errorf("%+v, %v", got, err)
	}
	if server.RemoteAddr() != client.Conn().LocalAddr() || server.LocalAddr() != client.Conn().RemoteAddr() || server.ID() == client.Conn().ID() {
		t.Errorf("server %v-%v, client %v-%v", server.LocalAddr(), server.RemoteAddr(), client.Conn().LocalAddr(), client.Conn().RemoteAddr())
	}
}

func TestCallbacksMaySendTheNextRequest(t *testing.T) {
	t.Parallel()
	const chains, length = 16, 100
	s := startServer(t, newTestHandler(echo), Options{})
	client := dialClient(t, s, ClientOptions{})
	finished := make(chan error, chains)
	for range chains {
		left := length
		var next func(*Command, error)
		next = func(_ *Command, err error) {
			if left--; err != nil || left == 0 {
				finished <- err
				return
			}
			if err := client.Go(&Request{}, next); err != nil {
				finished <- err
			}
		}
		if err := client.Go(&Request{}, next); err != nil {
			t.Fatal(err)
		}
	}
	for range chains {
		if err := receiveFrom(t, finished, "a chain ends"); err != nil {
			t.Error(err)
		}
	}
}

func TestDialSaysWhereItCouldNotConnect(t *testing.T) {
	t.Parallel()
	l := listen(t)
	addr := l.Addr().String()
	l.Close()
	if _, err := Dial(within(t), addr, ClientOptions{}); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v", err)
	}
}

func TestCallsFailInTheOrderInWhichTheyWereSent(t *testing.T) {
	t.Parallel()
	server := startServer(t, newTestHandler(func(ReplyTo, *Command) {}), Options{})
	c, err := Dial(t.Context(), server.Addr().String(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const count = 200
	failed := make(chan int, count)
	for i := range count {
		if err := c.Go(sendV2(), func(*Command, error) { failed <- i }); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for want := range count {
		if got := <-failed; got != want {
			t.Fatalf("call %d fails as number %d", got, want)
		}
	}
}

func TestACommandIsReadAgainFromItsFrame(t *testing.T) {
	t.Parallel()
	for _, s := range []Serialization{JSON, Binary} {
		var sent, got Command
		if err := sent.Decode(requestFrame(t, sendV2(), 7, 0, s)); err != nil {
			t.Fatal(err)
		}
		sent.Language, sent.Version, sent.Flag = 9, 317, flagOneway
		frame, err := sent.AppendFrame(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Decode(frame); err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("%v: %+v becomes %+v, %v", s, sent, got, err)
		}
	}
}
