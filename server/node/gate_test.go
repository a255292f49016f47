package node

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// echo answers every request with its code.
type echo struct{ closed chan uint64 }

func (e echo) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	rt.Send(&remoting.Reply{Code: cmd.Code})
}
func (e echo) Closed(c *remoting.Conn) { e.closed <- c.ID() }

func serveGate(t *testing.T, h remoting.Handler) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := remoting.Serve(listener, h, remoting.Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return netip.MustParseAddrPort(listener.Addr().String())
}

func TestABrokerThatStartsSaysSo(t *testing.T) {
	t.Parallel()
	g := &gate{}
	address := serveGate(t, g)
	if response := call(t, address, remoting.RequestSendMessage, ""); response.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("before: %d %s, want 14", response.Code, response.Remark)
	}
	behind := echo{make(chan uint64, 1)}
	g.open(behind)
	if response := call(t, address, remoting.RequestSendMessage, ""); response.Code != remoting.RequestSendMessage {
		t.Errorf("after: %d %s, want what stands behind the gate", response.Code, response.Remark)
	}
	<-behind.closed
}

func TestTheFastPortTakesNoRequestsThatMayWait(t *testing.T) {
	t.Parallel()
	g := &fastGate{}
	g.open(echo{make(chan uint64, 16)})
	address := serveGate(t, g)
	for _, code := range []int32{11, 361, 200050, 200052, 200054, 200055} {
		response := call(t, address, code, "")
		if response.Code != remoting.ResponseRequestCodeNotSupported {
			t.Errorf("request %d: %d, want 3", code, response.Code)
		}
	}
	for _, code := range []int32{10, 310, 34, 14, 30} {
		if response := call(t, address, code, ""); response.Code != code {
			t.Errorf("request %d: %d, want what stands behind the gate", code, response.Code)
		}
	}
}
