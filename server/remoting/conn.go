package remoting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrClosed says that the connection is closed.
	ErrClosed = errors.New("connection closed")
	// ErrOverload says that a limit on waiting bytes was reached. A peer that
	// causes it is cut off; a request of our own is refused.
	ErrOverload = errors.New("connection over its limit")
)

// Handler is what a connection's requests go to.
type Handler interface {
	// Handle takes one request. It runs on the connection's reader goroutine,
	// one request at a time in the order of the wire, and must not wait for
	// disk or commit: it hands over and returns. cmd is valid until it returns.
	Handle(rt ReplyTo, cmd *Command)
	// Closed says that the connection is gone. It is called once, after the
	// last Handle has returned.
	Closed(c *Conn)
}

// connOptions is what servers and clients configure of a connection.
type connOptions struct {
	FrameBytesMax   int
	OutputSoftBytes int
	OutputHardBytes int
	CallsMax        int
	sweepPeriod     time.Duration                                     // of late calls
	followPeer      bool                                              // calls are serialized like the peer's last request
	observe         func(request, response int32, took time.Duration) // nil for nobody
	logger          *slog.Logger
	input, output   *budget  // shared with the server's other connections
	opening         *opening // nil on clients
}

// Conn is one connection, of a server or of a client. Its exported methods
// are safe from any goroutine.
type Conn struct {
	id            uint64
	socket        net.Conn
	raw           syscall.RawConn // nil unless socket is a plain TCP connection
	remote, local netip.AddrPort
	actsFor       bool    // another server's clients: see ActFor
	secure        *secure // nil unless it speaks TLS
	options       *connOptions
	handler       Handler
	calls         calls

	// Of the reader goroutine.
	in          input
	command     Command
	sequence    uint64
	frames      uint64 // handled
	burst       Batch
	readFailure error
	readAttempt func(fd uintptr) bool
	fd          int // during readAttempt

	bytesIn       atomic.Uint64 // that the socket brought
	bytesOut      atomic.Uint64 // that it took
	isSecure      atomic.Bool   // it speaks TLS
	partial       atomic.Uint64 // 0, or a number for the frame of which a part has arrived
	reads         atomic.Uint64 // reads that brought something
	handling      atomic.Uint64 // sequence of the request in Handle, 0 for none
	completing    atomic.Bool   // the reader is calling back for responses, and flushes afterwards
	serialization atomic.Uint32 // of calls
	ending        atomic.Bool   // closing or draining: no further request is handled

	mu           sync.Mutex
	changed      sync.Cond // output, answers or state moved; signalled when out.waiting
	out          output
	closing      bool
	cause        error // why, once closing
	draining     bool
	writeAttempt func(fd uintptr) bool
	pendingBytes atomic.Int64  // encoded and not written
	unanswered   atomic.Int64  // requests handled that want a reply and have none
	writes       atomic.Uint64 // writes that made progress

	watch watch // of the sweeper
}

var connectionIDs atomic.Uint64

func newConn(socket net.Conn, handler Handler, options *connOptions) *Conn {
	c := &Conn{
		id:      connectionIDs.Add(1),
		socket:  socket,
		remote:  addrPort(socket.RemoteAddr()),
		local:   addrPort(socket.LocalAddr()),
		options: options,
		handler: handler,
	}
	c.in.budget = options.input
	c.changed.L = &c.mu
	c.calls.slots = make(chan struct{}, options.CallsMax)
	if tcp, ok := socket.(*net.TCPConn); ok {
		keepAlive(tcp)
		if raw, err := tcp.SyscallConn(); err == nil {
			limitUnacknowledged(raw)
			c.raw = raw
			c.readAttempt, c.writeAttempt = c.attemptRead, c.attemptWrite
		}
	}
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// ID numbers the connections of this process; it is never used again.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr is the peer's address, the zero value when it is not a TCP
// address. Behind a proxy that may say so it is the address of the proxy's client.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is our end's address, the zero value when it is not a TCP address.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Close closes the connection. What waits to be sent is dropped. It does not
// wait: Handler.Closed follows from the reader goroutine.
func (c *Conn) Close() { c.fail(ErrClosed) }

func (c *Conn) fail(cause error) {
	c.mu.Lock()
	c.failLocked(cause)
	c.mu.Unlock()
}

// failLocked begins to close. The first cause stands. The socket is closed on
// a goroutine of its own, since that may have to wait for a write to return.
func (c *Conn) failLocked(cause error) {
	if c.closing {
		return
	}
	c.closing, c.cause = true, cause
	c.ending.Store(true)
	go c.socket.Close()
	c.changed.Broadcast()
}

func (c *Conn) causeLocked() error {
	if errors.Is(c.cause, ErrClosed) {
		return c.cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.cause)
}

// run is the reader goroutine.
func (c *Conn) run() {
	err := c.readFrames()
	if err == nil {
		err = c.drain()
	}
	c.mu.Lock()
	c.failLocked(err)
	err = c.causeLocked()
	c.mu.Unlock()
	_ = c.socket.Close() // the one in failLocked may not have run yet
	c.in.release()
	if c.secure != nil {
		c.secure.carrier.in.release()
	}
	c.command = Command{}
	c.logEnd(err)
	c.failCalls(err)
	c.awaitWriter()
	c.handler.Closed(c)
}

func (c *Conn) logEnd(err error) {
	level := slog.LevelDebug
	if errors.Is(err, ErrProtocol) || errors.Is(err, ErrOverload) {
		level = slog.LevelWarn
	}
	c.options.logger.Log(context.Background(), level, "connection ended", "connection", c.id, "remote", c.remote, "cause", err)
}
