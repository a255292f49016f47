package remoting

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting/certificate"
)

// selfSignedTLS is the configuration of a server without certificate files.
func selfSignedTLS(t testing.TB) *tls.Config {
	t.Helper()
	s, err := certificate.NewServer(certificate.ServerOptions{SelfSigned: true, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return s.Config()
}

// anyServer is a client's configuration that takes any certificate.
func anyServer() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// dialSecure connects as a peer that knows TLS from the standard library alone.
func dialSecure(t testing.TB, s *Server) *rawPeer {
	t.Helper()
	return dialRaw(t, s).overTLS()
}

func (p *rawPeer) overTLS() *rawPeer {
	p.t.Helper()
	client := tls.Client(p.Conn, anyServer())
	if err := client.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.Conn = client
	p.r.Reset(client)
	return p
}

func TestPlainAndTLSClientsShareAPort(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t)})
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS 1.2": {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, "TLS 1.3": anyServer()} {
		client, err := Dial(within(t), s.Addr().String(), ClientOptions{TLS: config, Logger: quiet()})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, n := range []int{0, 1, 1 << 10, directBodyBytes, 100 << 10, 5 << 20} {
			body := make([]byte, n)
			for i := range body {
				body[i] = byte(i>>8) ^ byte(i)
			}
			got, err := client.Call(within(t), &Request{Code: 7, Body: body})
			if err != nil || got.Code != 7 || string(got.Body) != string(body) {
				t.Fatalf("%s, %d bytes: %v", name, n, err)
			}
		}
		want := 0
		if config != nil {
			want = 1
		}
		if got := s.Stats().Secure; got != want {
			t.Errorf("%s: %d TLS connections are counted", name, got)
		}
		client.Close()
		await(t, "the connection is gone", func() bool { return s.Connections() == 0 })
	}
}

func TestTLSModeDecidesWhoIsLetIn(t *testing.T) {
	t.Parallel()
	enforcing := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), TLSMode: TLSEnforcing})
	plain := dialRaw(t, enforcing)
	plain.send(requestFrame(t, &Request{}, 1, 0, JSON))
	plain.expectEnd()
	await(t, "the plain connection is counted", func() bool { return enforcing.Stats().Ended[EndMode] == 1 })
	secure := dialSecure(t, enforcing)
	secure.send(requestFrame(t, &Request{}, 1, 0, JSON))
	secure.receive()

	disabled := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), TLSMode: TLSDisabled})
	if _, err := Dial(within(t), disabled.Addr().String(), ClientOptions{TLS: anyServer(), Logger: quiet()}); !errors.Is(err, errHandshake) {
		t.Errorf("TLS where it is disabled: %v", err)
	}
	await(t, "the TLS connection is counted", func() bool { return disabled.Stats().Ended[EndMode] == 1 })
}

func TestPartsOfAProcessNeedNoTLS(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), TLSMode: TLSEnforcing})
	client := s.DialInside(ClientOptions{Logger: quiet()})
	defer client.Close()
	if got, err := client.Call(within(t), &Request{Code: 7, Body: make([]byte, 1<<20)}); err != nil || got.Code != 7 || len(got.Body) != 1<<20 {
		t.Errorf("%v", err)
	}
}

func TestTLSRecordsThatArriveByteByByteAreHandled(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t)})
	p := dialRaw(t, s)
	slow := &byteByByte{Conn: p.Conn}
	client := tls.Client(slow, anyServer())
	frames := append(requestFrame(t, &Request{Code: 1}, 1, 0, JSON), requestFrame(t, &Request{Code: 2}, 2, 0, Binary)...)
	if _, err := client.Write(frames); err != nil {
		t.Fatal(err)
	}
	for i := range int32(2) {
		got, err := readCommand(client)
		if err != nil || got.Opaque != i+1 || got.Code != i+1 {
			t.Fatalf("reply %d: %+v, %v", i+1, got, err)
		}
	}
}

// byteByByte writes one byte at a time.
type byteByByte struct{ net.Conn }

func (c *byteByByte) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestTLSRequestsOfOneReadAreAnsweredTogether(t *testing.T) {
	t.Parallel()
	const requests = 50
	conns := make(chan *Conn, requests)
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		conns <- rt.Conn
		echo(rt, cmd)
	}), Options{TLS: selfSignedTLS(t)})
	p := dialSecure(t, s)
	var frames []byte
	for i := range int32(requests) {
		frames = append(frames, requestFrame(t, &Request{}, i, 0, JSON)...)
	}
	p.send(frames) // one record
	for i := range int32(requests) {
		if c := p.receive(); c.Opaque != i {
			t.Fatalf("reply %d has opaque %d", i, c.Opaque)
		}
	}
	if n := receiveFrom(t, conns, "the connection").writes.Load(); n > 3 {
		t.Errorf("%d replies took %d writes", requests, n)
	}
}

func TestTLSRepliesOfManyGoroutinesDoNotMix(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		body := append([]byte(nil), cmd.Body...)
		go rt.Send(&Reply{Body: body})
	}), Options{TLS: selfSignedTLS(t)})
	client, err := Dial(within(t), s.Addr().String(), ClientOptions{TLS: anyServer(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var callers sync.WaitGroup
	for g := range 16 {
		callers.Go(func() {
			for i := range 50 {
				body := make([]byte, (g*50+i)*37%40000)
				for k := range body {
					body[k] = byte(g)
				}
				got, err := client.Call(within(t), &Request{Body: body})
				if err != nil || string(got.Body) != string(body) {
					t.Errorf("caller %d: %v", g, err)
					return
				}
			}
		})
	}
	callers.Wait()
}

func TestHandshakeThatDoesNotEndIsGivenUp(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), HandshakeTimeout: 50 * time.Millisecond})
	p := dialRaw(t, s)
	p.send([]byte{tlsRecordByte, 3, 1, 2, 0, 1})
	p.expectEnd()
	await(t, "it is counted", func() bool { return s.Stats().Ended[EndHandshake] == 1 })
}

func TestTLSPeerThatNeverReadsIsCutOffAtTheHardLimit(t *testing.T) {
	t.Parallel()
	h := newTestHandler(func(rt ReplyTo, _ *Command) { go rt.Send(&Reply{Body: make([]byte, 1<<20)}) })
	s := startServer(t, h, Options{TLS: selfSignedTLS(t), OutputSoftBytes: 64 << 20, OutputHardBytes: 8 << 20})
	p := dialSecure(t, s)
	for i := range int32(64) {
		if _, err := p.Write(requestFrame(t, &Request{}, i, 0, JSON)); err != nil {
			break
		}
	}
	receiveFrom(t, h.closed, "the connection is cut off")
	await(t, "it is counted", func() bool { return s.Stats().Ended[EndOverload] == 1 })
}

func TestShutdownEndsTheTLSStreamInOrder(t *testing.T) {
	t.Parallel()
	requests := make(chan ReplyTo, 1)
	s := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { requests <- rt }), Options{TLS: selfSignedTLS(t)})
	p := dialSecure(t, s)
	p.send(requestFrame(t, &Request{}, 1, 0, JSON))
	rt := receiveFrom(t, requests, "the request")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(within(t)) }()
	rt.Send(&Reply{Body: make([]byte, 1<<20)})
	if got := p.receive(); len(got.Body) != 1<<20 {
		t.Errorf("the reply has %d bytes", len(got.Body))
	}
	if _, err := p.Read(make([]byte, 1)); err != io.EOF { // not io.ErrUnexpectedEOF: the end was announced
		t.Errorf("the stream ends with %v", err)
	}
	p.Close()
	if err := receiveFrom(t, stopped, "Shutdown returns"); err != nil {
		t.Error(err)
	}
}

func TestShutdownDoesNotWaitForAHandshake(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), HandshakeTimeout: time.Hour})
	p := dialRaw(t, s)
	p.send([]byte{tlsRecordByte, 3, 1, 2, 0, 1})
	await(t, "the server has the connection", func() bool { return s.Connections() == 1 && s.Stats().BytesIn > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	p.Close()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
