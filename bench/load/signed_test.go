package load

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

// who is an account whose key needs escapes in JSON.
var who = access.Credentials{AccessKey: "a \"b\" \x01", SecretKey: "secret"}

// signedOnly fails the test at a request that isn't signed by who.
type signedOnly struct {
	remoting.Handler
	t *testing.T
}

func (s signedOnly) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	r := remoting.RequestFrom(cmd)
	var rest []remoting.TextField
	for _, f := range r.Header {
		if f.Key != "Signature" && f.Key != "AccessKey" {
			rest = append(rest, f)
		}
	}
	r.Header = rest
	want := who.Sign(r).Header
	if got := cmd.Text("Signature"); cmd.Text("AccessKey") != who.AccessKey || got != want[len(want)-1].Value {
		s.t.Errorf("code %d is signed with %q by %q, want %+v", cmd.Code, got, cmd.Text("AccessKey"), want)
	}
	s.Handler.Handle(rt, cmd)
}

func TestEveryRequestIsSigned(t *testing.T) {
	t.Parallel()
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		for _, batch := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s header, batch %d", s, batch), func(t *testing.T) {
				t.Parallel()
				b := (&fakeBroker{backlog: 1234}).begin(t)
				to := target(serve(t, signedOnly{b, t}, remoting.Options{}), s)
				to.Self.Credentials = who
				sendAndPull(t, to, batch, b.backlog)
			})
		}
		t.Run(fmt.Sprintf("%s header, transactions", s), func(t *testing.T) {
			t.Parallel()
			b := newWaiting(t)
			o := kindOptions(serve(t, signedOnly{b, t}, remoting.Options{}), s, Transactional)
			o.Self.Credentials = who
			if r, err := Send(t.Context(), o); err != nil || r.Requests != o.Messages || r.Arrived == 0 {
				t.Errorf("%+v: %v", r, err)
			}
		})
	}
}

// sendAndPull does, with a route from the same server.
func sendAndPull(t *testing.T, to Target, batch int, backlog int64) {
	t.Helper()
	if _, err := Send(t.Context(), SendOptions{Target: to, InFlight: 7, Size: 100, Batch: batch, Topics: 1, Messages: 240,
		Producers: "P", Nameserver: to.Address}); err != nil {
		t.Fatal(err)
	}
	r, err := Pull(t.Context(), PullOptions{Target: to, Consumers: 2, Count: 10, Group: "G", Reading: ReadOnce})
	if err != nil || r.Messages != int64(to.Queues)*backlog {
		t.Fatalf("pulled %+v: %v", r, err)
	}
}

func TestLoadsSpeakTLS(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil) // has a certificate for the loopback address
	defer certified.Close()
	b := (&fakeBroker{backlog: 1234}).begin(t)
	to := target(serve(t, b, remoting.Options{TLSMode: remoting.TLSEnforcing,
		TLS: &tls.Config{Certificates: certified.TLS.Certificates}}), frame.JSON)
	if _, err := Send(t.Context(), SendOptions{Target: to, InFlight: 1, Size: 1, Batch: 1, Topics: 1, Messages: 1, Producers: "P"}); err == nil {
		t.Error("a load without TLS is served")
	}
	to.Self.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	to.Self.TLS.RootCAs.AddCert(certified.Certificate())
	sendAndPull(t, to, 1, b.backlog)
}
