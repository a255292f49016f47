package remoting

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// goodClient calls again and again until the test ends; calls tells how often
// it got its answer.
type goodClient struct {
	calls atomic.Int64
	t     *testing.T
}

func startGoodClient(t *testing.T, s *Server) *goodClient {
	t.Helper()
	client, err := Dial(within(t), s.Addr().String(), ClientOptions{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g := &goodClient{t: t}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := client.Call(context.Background(), &Request{Code: 7, Body: []byte("good")})
			if err != nil || got.Code != 7 || string(got.Body) != "good" {
				t.Errorf("the good client: %+v, %v", got, err)
				return
			}
			g.calls.Add(1)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		client.Close()
	})
	return g
}

// expectService waits until the good client has had more answers.
func (g *goodClient) expectService() {
	g.t.Helper()
	before := g.calls.Load()
	await(g.t, "the good client is served", func() bool { return g.calls.Load() >= before+10 })
}

// goodEcho answers the good client and drops everything else.
func goodEcho(rt ReplyTo, cmd *Command) {
	if cmd.Code == 7 {
		echo(rt, cmd)
	}
}

func TestBrokenStreamsDoNotDisturbAGoodClient(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(goodEcho), Options{TLS: selfSignedTLS(t)})
	good := startGoodClient(t, s)
	good.expectService()
	streams := [][]byte{
		{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 3}, {1, 0, 0, 1}, {0, 0, 0, 4, 9, 0, 0, 0}, {0, 0, 0, 8, 0, 0, 0, 5, '{', '}', 0, 0},
		jsonFrame(`{"code":`, ""), []byte("GET / HTTP/1.1\r\n\r\n"), []byte("PROXY TCP9\r\n"), {tlsRecordByte, 3, 1, 0, 1, 0},
		append([]byte(proxyBinary), 0x21, 0x11, 0xff, 0xff),
	}
	for i := range 20 * len(streams) {
		p := dialRaw(t, s)
		p.send(streams[i%len(streams)])
	}
	await(t, "all are closed", func() bool { return s.Connections() == 1 })
	good.expectService()
	if st := s.Stats(); st.Ended[EndMalformed]+st.Ended[EndHandshake] != uint64(20*len(streams)) {
		t.Errorf("%+v", st)
	}
}

func TestAFrameThatTakesTooLongClosesItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := Serve(l, newTestHandler(goodEcho), Options{FrameTimeout: 60 * time.Second, IdleTimeout: 120 * time.Second, Logger: quiet()})
		client := NewClient(l.dial(), ClientOptions{Logger: quiet()})
		slow := l.dial()
		began, ended := time.Now(), make(chan time.Time)
		go func() {
			frame := requestFrame(t, &Request{Code: 1, Body: make([]byte, 1000)}, 1, flagOneway, JSON)
			for _, part := range [][]byte{frame, frame[:1], frame[1:]} { // two whole frames, the second one in two parts
				_, _ = slow.Write(part)
				<-time.After(20 * time.Second)
			}
			for _, b := range frame { // one byte a second: never idle, never whole
				if _, err := slow.Write([]byte{b}); err != nil {
					break
				}
				<-time.After(time.Second)
			}
			ended <- time.Now()
		}()
		for {
			select {
			case at := <-ended:
				if d := at.Sub(began.Add(60 * time.Second)); d < 60*time.Second || d > 70*time.Second {
					t.Errorf("closed after %v", d)
				}
				if st := s.Stats(); st.Ended[EndSlow] != 1 {
					t.Errorf("%+v", st)
				}
				client.Close()
				_ = s.Shutdown(t.Context())
				return
			case <-time.After(time.Second):
				if got, err := client.Call(t.Context(), &Request{Code: 7}); err != nil || got.Code != 7 {
					t.Fatalf("the good client: %+v, %v", got, err)
				}
			}
		}
	})
}

func TestAPeerThatSendsAndTakesNothingIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := Serve(l, newTestHandler(echo), Options{IdleTimeout: 120 * time.Second, Logger: quiet()})
		peer := l.dial() // whose end takes a byte only when it is read
		began := time.Now()
		for {
			if _, err := peer.Write(requestFrame(t, &Request{}, 1, 0, JSON)); err != nil {
				break
			}
			<-time.After(10 * time.Second) // never idle
		}
		synctest.Wait()
		if d, st := time.Since(began), s.Stats(); st.Ended[EndUnread] != 1 || d < 120*time.Second || d > 160*time.Second {
			t.Errorf("after %v: %+v", d, st)
		}
		_ = s.Shutdown(t.Context())
	})
}

func TestRepliesThatNobodyReadsAreBoundedForAllConnectionsTogether(t *testing.T) {
	t.Parallel()
	const total = 32 << 20
	h := newTestHandler(func(rt ReplyTo, cmd *Command) {
		if cmd.Code == 7 {
			echo(rt, cmd)
			return
		}
		rt.Send(&Reply{Body: make([]byte, 12<<20)})
	})
	s := startServer(t, h, Options{OutputBytesMax: total})
	good := startGoodClient(t, s)
	for range 30 {
		dialRaw(t, s).send(requestFrame(t, &Request{Code: 1}, 1, 0, JSON))
	}
	receiveFrom(t, h.closed, "a connection is closed")
	good.expectService()
	if used := s.conn.output.used.Load(); used > total {
		t.Errorf("%d bytes wait, at most %d are allowed", used, total)
	}
	if n := s.Stats().Ended[EndOverload]; n == 0 {
		t.Errorf("%+v", s.Stats())
	}
	await(t, "the bytes are given back", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			if c.pendingBytes.Load() > 64<<10 {
				c.Close()
			}
		}
		return s.conn.output.used.Load() == 0
	})
}

func TestConnectionsOverTheLimitDoNotDisturbTheOthers(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(goodEcho), Options{ConnectionsMax: 10})
	good := startGoodClient(t, s)
	good.expectService()
	for range 100 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	await(t, "the others are refused", func() bool { return s.Stats().Refused == 91 })
	good.expectService()
}
