package nameserver

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// watched is a nameserver whose requests and lost connections a test can wait
// for.
type watched struct {
	*Server
	requests chan int32
	closed   chan struct{}
}

func (w *watched) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	code := cmd.Code
	w.Server.Handle(rt, cmd)
	select {
	case w.requests <- code:
	default:
	}
}

func (w *watched) Closed(c *remoting.Conn) {
	w.Server.Closed(c)
	w.closed <- struct{}{}
}

func open(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves a nameserver on loopback at a time that the test moves.
func start(t *testing.T, address string) (*watched, *remoting.Server, *atomic.Int64) {
	t.Helper()
	clock := new(atomic.Int64)
	clock.Store(1_700_000_000_000)
	w := &watched{Server: open(t, Config{Clock: clock.Load, Log: quiet}),
		requests: make(chan int32, 1024), closed: make(chan struct{}, 1024)}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := remoting.Serve(listener, w, remoting.Options{Logger: quiet})
	t.Cleanup(func() { stop(t, server) })
	return w, server, clock
}

func stop(t *testing.T, server *remoting.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = server.Shutdown(ctx)
}

func dial(t *testing.T, address net.Addr) *remoting.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := remoting.Dial(ctx, address.String(), remoting.ClientOptions{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// call sends a request with header fields given as key, value, key, value.
func call(t *testing.T, client *remoting.Client, code int32, body string, fields ...string) *remoting.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := &remoting.Request{Code: code, Body: []byte(body)}
	for i := 0; i < len(fields); i += 2 {
		request.Set(fields[i], fields[i+1])
	}
	response, err := client.Call(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// expect is call, with the response code and body that must come.
func expect(t *testing.T, client *remoting.Client, code int32, fields []string, wantCode int32, wantBody string) {
	t.Helper()
	response := call(t, client, code, "", fields...)
	if response.Code != wantCode || string(response.Body) != wantBody {
		t.Errorf("request %d %v:\n got %d %s %s\nwant %d %s", code, fields,
			response.Code, response.Body, response.Remark, wantCode, wantBody)
	}
}

// identityFields are the header fields by which a broker introduces itself.
func identityFields(name, address string, id int) []string {
	return []string{"brokerName", name, "brokerAddr", address, "clusterName", "DefaultCluster",
		"brokerId", strconv.Itoa(id), "haServerAddr", address + "1", "enableActingMaster", "false"}
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not happen in %v", what, patience)
	}
}

// waitRequest waits for the next request with a code.
func (w *watched) waitRequest(t *testing.T, code int32) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-w.requests:
			if got == code {
				return
			}
		case <-timeout:
			t.Fatalf("request %d did not come in %v", code, patience)
		}
	}
}
