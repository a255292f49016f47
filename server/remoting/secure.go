package remoting

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// sealedKeepBytes bounds the buffers of encrypted output that are kept.
const sealedKeepBytes = 1 << 20

// secure is the TLS layer of a connection. crypto/tls neither reads nor writes
// the socket once the handshake is done: it turns bytes of one buffer of ours
// into bytes of another, so that a TLS connection reads and writes in the same
// goroutines, with the same system calls and as much at a time as a plain one.
type secure struct {
	tls     *tls.Conn
	carrier *carrier
}

// errNoBytes is what carrier.Read returns instead of waiting. It is temporary
// to crypto/tls, which keeps what it has of a record and goes on with it later.
var errNoBytes net.Error = noBytes{}

type noBytes struct{}

func (noBytes) Error() string   { return "no bytes have arrived" }
func (noBytes) Timeout() bool   { return true }
func (noBytes) Temporary() bool { return true }

// carrier is the socket as crypto/tls sees it. Until established it is the
// socket itself, which may block; then it is two buffers.
type carrier struct {
	net.Conn
	established bool

	in      input                          // encrypted bytes that have arrived
	read    func(room []byte) (int, error) // reads the socket without waiting
	mayRead bool                           // else only what is in the buffer is given out
	out     sealedOutput
}

// sealedOutput gathers encrypted bytes. The goroutine that writes fills it,
// and at times the reader: answers to a change of keys, and alerts.
type sealedOutput struct {
	mu     sync.Mutex
	buffer *outputBuffer
}

var sealedPool = sync.Pool{New: func() any { return &outputBuffer{b: make([]byte, 0, outputStartBytes), sealed: true} }}

func (k *carrier) Read(b []byte) (int, error) {
	if pending := k.in.pending(); len(pending) > 0 {
		n := copy(b, pending)
		k.in.discard(n)
		return n, nil
	}
	if !k.established {
		return k.Conn.Read(b)
	}
	if !k.mayRead {
		return 0, errNoBytes
	}
	room, err := k.in.makeRoom()
	if err != nil {
		return 0, err
	}
	n, err := k.read(room)
	if n == 0 {
		k.in.park()
		return 0, err
	}
	k.in.filled(n)
	n = copy(b, k.in.pending())
	k.in.discard(n)
	return n, nil
}

func (k *carrier) Write(b []byte) (int, error) {
	if !k.established {
		return k.Conn.Write(b)
	}
	k.out.mu.Lock()
	defer k.out.mu.Unlock()
	if k.out.buffer == nil {
		k.out.buffer = sealedPool.Get().(*outputBuffer)
	}
	k.out.buffer.b = append(k.out.buffer.b, b...)
	return len(b), nil
}

// SetWriteDeadline does nothing: crypto/tls sets deadlines when it says
// good-bye, and the socket's belong to the connection.
func (k *carrier) SetWriteDeadline(time.Time) error { return nil }

// takeSealed is what is to be written, nil when there is nothing.
func (k *carrier) takeSealed() *outputBuffer {
	k.out.mu.Lock()
	defer k.out.mu.Unlock()
	sealed := k.out.buffer
	k.out.buffer = nil
	return sealed
}

func (k *carrier) hasSealed() bool {
	k.out.mu.Lock()
	defer k.out.mu.Unlock()
	return k.out.buffer != nil
}

// open decrypts what has arrived into room. It reads the socket until there is
// a whole record, and takes the records behind it only as far as they have come
// with it. It returns errNoBytes when there is no whole record.
func (s *secure) open(room []byte) (int, error) {
	s.carrier.mayRead = true
	total := 0
	for total < len(room) {
		n, err := s.tls.Read(room[total:])
		total += n
		if err != nil {
			if total > 0 {
				return total, nil // an error that matters comes again
			}
			return 0, err
		}
		s.carrier.mayRead = false
	}
	return total, nil
}

// seal replaces what the vector holds by its encrypted form. It runs on the
// goroutine that has set flushing.
func (c *Conn) seal() error {
	s := c.secure
	if s == nil {
		return nil
	}
	plain := 0
	for _, part := range c.out.vector {
		if len(part) == 0 {
			continue
		}
		plain += len(part)
		if _, err := s.tls.Write(part); err != nil {
			c.out.vector = [2][]byte{} // never in the clear
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	sealed := s.carrier.takeSealed()
	if sealed == nil {
		return nil
	}
	releaseOutput(c.out.current)
	c.out.current = sealed
	c.out.vector = [2][]byte{sealed.b}
	c.pendingBytes.Add(int64(len(sealed.b) - plain))
	return nil
}

// beginTLS makes the server's side of a TLS connection. Its first bytes have
// been read already.
func (c *Conn) beginTLS(o *opening) error {
	if c.raw == nil {
		return fmt.Errorf("%w: TLS is for TCP connections", errHandshake)
	}
	k := &carrier{Conn: c.socket, in: c.in, read: c.readSocket}
	c.in = input{budget: c.options.input}
	late := time.Now().Add(o.handshakeTime)
	c.setReadDeadline(late)
	_ = c.socket.SetWriteDeadline(late)
	server := tls.Server(k, o.config)
	if err := server.Handshake(); err != nil {
		k.in.release()
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	c.setReadDeadline(time.Time{})
	_ = c.socket.SetWriteDeadline(time.Time{})
	k.established = true
	c.secure = &secure{tls: server, carrier: k}
	c.isSecure.Store(true)
	return nil
}

// setReadDeadline sets the deadline of reads, unless one is set to make the
// reader stop.
func (c *Conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining {
		_ = c.socket.SetReadDeadline(t)
	}
}

// dialTLS makes the client's side of a TLS connection to host.
func dialTLS(ctx context.Context, socket net.Conn, host string, config *tls.Config) (*secure, error) {
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName = host
	}
	k := &carrier{Conn: socket}
	client := tls.Client(k, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	k.established = true
	return &secure{tls: client, carrier: k}, nil
}
