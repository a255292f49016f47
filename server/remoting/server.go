package remoting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Options configures a server. Zero values stand for the defaults.
type Options struct {
	ConnectionsMax  int           // further connections are closed at once; default 65536
	FrameBytesMax   int           // length field of a request; default and maximum FrameBytesMax
	InputBytesMax   int64         // of all unfinished large requests together; default 1 GiB
	OutputSoftBytes int           // waiting replies from which on a connection's requests are not read; default 256 KiB
	OutputHardBytes int           // waiting replies from which on a connection is closed; default 64 MiB
	OutputBytesMax  int64         // waiting replies of all connections with more than OutputSoftBytes; default 1 GiB
	IdleTimeout     time.Duration // without any traffic, then a connection is closed; default 120 s, as in RocketMQ
	FrameTimeout    time.Duration // from a frame's first bytes to its last, then its connection is closed; default 60 s
	CallsMax        int           // requests in flight to the client of one connection; default 1024
	CallTimeout     time.Duration // after which an unanswered Conn.Go fails, at most a quarter later; default 60 s

	TLSMode          TLSMode        // default TLSPermissive with TLS, else TLSDisabled
	TLS              *tls.Config    // the server's certificate and whom it lets in
	HandshakeTimeout time.Duration  // of TLS; default 10 s
	ProxyTrusted     []netip.Prefix // whose PROXY headers are believed; others' are read and have no effect

	// Observe is told about each answer to a request: both codes and the time
	// since the request was read. It is called often and must not block.
	Observe func(request, response int32, took time.Duration)
	Logger  *slog.Logger // default slog.Default()
}

func (o Options) withDefaults() Options {
	o.ConnectionsMax = positive(o.ConnectionsMax, 1<<16)
	o.FrameBytesMax = min(positive(o.FrameBytesMax, FrameBytesMax), FrameBytesMax)
	o.InputBytesMax = positive(o.InputBytesMax, 1<<30)
	o.OutputHardBytes = positive(o.OutputHardBytes, 64<<20)
	o.OutputSoftBytes = min(positive(o.OutputSoftBytes, 256<<10), o.OutputHardBytes)
	o.OutputBytesMax = positive(o.OutputBytesMax, 1<<30)
	o.IdleTimeout = positive(o.IdleTimeout, 120*time.Second)
	o.FrameTimeout = positive(o.FrameTimeout, 60*time.Second)
	o.CallsMax = positive(o.CallsMax, 1024)
	o.CallTimeout = positive(o.CallTimeout, 60*time.Second)
	o.HandshakeTimeout = positive(o.HandshakeTimeout, 10*time.Second)
	switch {
	case o.TLS == nil:
		o.TLSMode = TLSDisabled
	case o.TLSMode == "":
		o.TLSMode = TLSPermissive
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func positive[N int | int64 | time.Duration](value, instead N) N {
	if value > 0 {
		return value
	}
	return instead
}

// Server accepts connections and gives their requests to a handler.
type Server struct {
	listener net.Listener
	handler  Handler
	options  Options
	conn     connOptions
	inside   connOptions // of connections from the process itself

	counters counters

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	stopping bool
	stop     chan struct{}  // closed when stopping
	work     sync.WaitGroup // accept loop, sweeper and readers
}

// Serve starts to accept connections from l, which it owns from now on. It
// returns at once.
func Serve(l net.Listener, h Handler, o Options) *Server {
	o = o.withDefaults()
	s := &Server{listener: l, handler: h, options: o, conns: make(map[*Conn]struct{}), stop: make(chan struct{})}
	s.conn = connOptions{
		FrameBytesMax: o.FrameBytesMax, OutputSoftBytes: o.OutputSoftBytes, OutputHardBytes: o.OutputHardBytes,
		CallsMax: o.CallsMax, sweepPeriod: o.sweeps().period, followPeer: true, observe: o.Observe, logger: o.Logger,
		input: &budget{limit: o.InputBytesMax}, output: &budget{limit: o.OutputBytesMax},
		opening: &opening{mode: o.TLSMode, config: o.TLS, handshakeTime: o.HandshakeTimeout, trusted: o.ProxyTrusted, distrust: s.distrust},
	}
	s.inside = s.conn
	s.inside.opening = nil
	s.work.Add(2)
	go s.accept()
	go s.sweep()
	return s
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// accept runs until the listener is closed. Other errors, such as a lack of
// file descriptors, pass: it waits a little longer each time.
func (s *Server) accept() {
	defer s.work.Done()
	const pauseMin, pauseMax = 5 * time.Millisecond, time.Second
	pause := pauseMin
	for {
		socket, err := s.listener.Accept()
		if err == nil {
			pause = pauseMin
			s.admit(socket, &s.conn)
			continue
		}
		select {
		case <-s.stop:
			return
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			s.options.Logger.Error("the listener was closed by someone else, no further connections are accepted", "address", s.listener.Addr())
			return
		}
		s.options.Logger.Warn("cannot accept a connection, trying again", "address", s.listener.Addr(), "pause", pause, "cause", err)
		select {
		case <-s.stop:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseMax)
	}
}

// DialInside connects a client to the server without a network: no TLS mode
// and no certificate stands between two parts of a process.
func (s *Server) DialInside(o ClientOptions) *Client {
	near, far := net.Pipe()
	s.admit(far, &s.inside)
	return NewClient(near, o)
}

// admit starts a connection's reader goroutine, or closes the connection when
// there are too many.
func (s *Server) admit(socket net.Conn, options *connOptions) {
	s.mu.Lock()
	full := len(s.conns) >= s.options.ConnectionsMax
	if full || s.stopping {
		s.mu.Unlock()
		if full && s.counters.refused.Add(1) == 1 {
			s.options.Logger.Warn("too many connections: new ones are closed; raise the limit or find the client that leaks them", "limit", s.options.ConnectionsMax, "remote", socket.RemoteAddr())
		}
		_ = socket.Close()
		return
	}
	c := newConn(socket, s.handler, options)
	s.conns[c] = struct{}{}
	s.work.Add(1)
	s.mu.Unlock()
	s.counters.accepted.Add(1)
	go s.serve(c)
}

func (s *Server) serve(c *Conn) {
	defer s.work.Done()
	c.run()
	s.mu.Lock()
	delete(s.conns, c)
	s.counters.ended(c)
	s.mu.Unlock()
}

// distrust counts PROXY headers from places that are not trusted.
func (s *Server) distrust(c *Conn) {
	if s.counters.distrusted.Add(1) == 1 {
		s.options.Logger.Warn("a PROXY header from an address that is not trusted has no effect: add the address to those trusted if that is a proxy of yours", "remote", c.remote)
	}
}

// Shutdown stops accepting connections and reading requests, waits until the
// requests that were read are answered and the answers sent, and closes the
// connections. When ctx ends first it closes them as they are and returns
// ctx's error. After it has returned no handler runs.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	for c := range s.conns {
		c.startDrain()
	}
	s.mu.Unlock()
	if first {
		close(s.stop)
		_ = s.listener.Close()
	}
	stopped := make(chan struct{})
	go func() {
		s.work.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	<-stopped
	return fmt.Errorf("shut down the server at %v: connections were not drained in time: %w", s.listener.Addr(), ctx.Err())
}
