package forward

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

const patience = 20 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// node is a forwarder before a broker that tells what it got.
type node struct {
	*Forwarder
	local   *local
	server  *remoting.Server
	address string
}

// local stands for a broker. It answers with its name, what it saw, and the
// client's address; it holds pulls for good.
type local struct {
	name   string
	mu     sync.Mutex
	seen   []int32
	pulled chan struct{}
	beat   chan *remoting.Conn
	gone   chan *remoting.Conn
}

func (l *local) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	l.mu.Lock()
	l.seen = append(l.seen, cmd.Code)
	l.mu.Unlock()
	switch cmd.Code {
	case remoting.RequestPullMessage:
		if strings.HasPrefix(l.name, "holds") {
			l.pulled <- struct{}{}
			return
		}
	case remoting.RequestHeartBeat:
		l.beat <- rt.Conn
	}
	r := remoting.Reply{Remark: l.name, Body: cmd.Body}
	for _, f := range cmd.Fields {
		r.SetBytes(string(f.Key), f.Value)
	}
	r.SetText("from", rt.Conn.RemoteAddr().String())
	r.SetText("language", remoting.LanguageName(cmd.Language))
	rt.Send(&r)
}

func (l *local) Closed(c *remoting.Conn) { l.gone <- c }

func (l *local) count(code int32) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seen {
		if s == code {
			n++
		}
	}
	return n
}

func start(t *testing.T, name string, change ...func(*Options)) *node {
	t.Helper()
	n := &node{local: &local{name: name, pulled: make(chan struct{}, 64), beat: make(chan *remoting.Conn, 64), gone: make(chan *remoting.Conn, 64)}}
	o := Options{Local: n.local, Dial: remoting.Dial, Group: "g", Secret: []byte("a secret of this test"), Log: quiet}
	for _, c := range change {
		c(&o)
	}
	n.Forwarder = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.server, n.address = remoting.Serve(l, n, remoting.Options{Logger: quiet}), l.Addr().String()
	t.Cleanup(n.stop)
	return n
}

// stop cuts all connections off.
func (n *node) stop() {
	n.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.server.Shutdown(ctx)
}

func dial(t *testing.T, n *node, o remoting.ClientOptions) *remoting.Client {
	t.Helper()
	o.Logger = quiet
	c, err := remoting.Dial(t.Context(), n.address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func request(code int32, pairs ...string) *remoting.Request {
	r := &remoting.Request{Code: code}
	for i := 0; i < len(pairs); i += 2 {
		r.Set(pairs[i], pairs[i+1])
	}
	return r
}

func call(t *testing.T, c *remoting.Client, r *remoting.Request) *remoting.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := c.Call(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: not after %v", what, patience)
		panic("unreachable")
	}
}

// pair is a leader and a follower of it.
func pair(t *testing.T, name string, change ...func(*Options)) (leader, follower *node) {
	leader, follower = start(t, name), start(t, "follower", change...)
	leader.Lead()
	follower.Follow(leader.address)
	return leader, follower
}
