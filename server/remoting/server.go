package remoting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures a server. Zero values stand for the defaults.
type Options struct {
	ConnectionsMax  int           // further connections are closed at once; default 65536
	FrameBytesMax   int           // length field of a request; default and maximum FrameBytesMax
	InputBytesMax   int64         // of all unfinished large requests together; default 1 GiB
	OutputSoftBytes int           // waiting replies from which on a connection's requests are not read; default 256 KiB
	OutputHardBytes int           // waiting replies from which on a connection is closed; default 64 MiB
	IdleTimeout     time.Duration // without any traffic, then a connection is closed; default 120 s, as in RocketMQ
	CallsMax        int           // requests in flight to the client of one connection; default 1024
	Logger          *slog.Logger  // default slog.Default()
}

func (o Options) withDefaults() Options {
	o.ConnectionsMax = positive(o.ConnectionsMax, 1<<16)
	o.FrameBytesMax = min(positive(o.FrameBytesMax, FrameBytesMax), FrameBytesMax)
	o.InputBytesMax = positive(o.InputBytesMax, 1<<30)
	o.OutputSoftBytes = positive(o.OutputSoftBytes, 256<<10)
	o.OutputHardBytes = positive(o.OutputHardBytes, 64<<20)
	o.IdleTimeout = positive(o.IdleTimeout, 120*time.Second)
	o.CallsMax = positive(o.CallsMax, 1024)
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

// Stats counts what has happened to a server's connections.
type Stats struct {
	Connections int    // open now
	Accepted    uint64 // ever
	Refused     uint64 // over ConnectionsMax
	IdleClosed  uint64 // by IdleTimeout
	Overloaded  uint64 // closed over a limit
	Malformed   uint64 // closed because of bytes that are not a frame
}

// Server accepts connections and gives their requests to a handler.
type Server struct {
	listener net.Listener
	handler  Handler
	options  Options
	conn     connOptions

	accepted, refused, idleClosed, overloaded, malformed atomic.Uint64

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
		CallsMax: o.CallsMax, followPeer: true, logger: o.Logger, budget: &budget{limit: o.InputBytesMax},
	}
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

// Stats is a snapshot of the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.Connections(), Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		IdleClosed: s.idleClosed.Load(), Overloaded: s.overloaded.Load(), Malformed: s.malformed.Load(),
	}
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
			s.admit(socket)
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

// admit starts a connection's reader goroutine, or closes the connection when
// there are too many.
func (s *Server) admit(socket net.Conn) {
	s.mu.Lock()
	full := len(s.conns) >= s.options.ConnectionsMax
	if full || s.stopping {
		s.mu.Unlock()
		_ = socket.Close()
		if full && s.refused.Add(1) == 1 {
			s.options.Logger.Warn("too many connections: new ones are closed; raise the limit or find the client that leaks them", "limit", s.options.ConnectionsMax, "remote", socket.RemoteAddr())
		}
		return
	}
	c := newConn(socket, s.handler, &s.conn)
	s.conns[c] = struct{}{}
	s.work.Add(1)
	s.mu.Unlock()
	s.accepted.Add(1)
	go s.serve(c)
}

func (s *Server) serve(c *Conn) {
	defer s.work.Done()
	c.run()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	switch {
	case errors.Is(c.cause, errIdle):
		s.idleClosed.Add(1)
	case errors.Is(c.cause, ErrOverload):
		s.overloaded.Add(1)
	case errors.Is(c.cause, ErrProtocol):
		s.malformed.Add(1)
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
