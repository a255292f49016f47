package remoting

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// ClientOptions configures a client. Zero values stand for the defaults.
type ClientOptions struct {
	Serialization   Serialization // of requests; default JSON
	CallsMax        int           // calls in flight; default 4096
	CallTimeout     time.Duration // after which an unanswered Go fails, at most a quarter later; default 60 s
	OutputHardBytes int           // waiting requests from which on further ones are refused; default 64 MiB
	TLS             *tls.Config   // speaks TLS; nil: does not
	Signer          Signer        // signs each request; nil: nobody does
	Handler         Handler       // takes the server's requests; default: not supported
	Logger          *slog.Logger  // default slog.Default()
}

// Signer proves to a server who sends a request.
type Signer interface {
	// Sign returns a signed copy of the request.
	Sign(r *Request) *Request
}

// Client is one connection to a server. It sends any number of requests
// without waiting for the answers. It does not reconnect: when the connection
// fails all calls fail, and a new client has to be dialled.
type Client struct {
	conn   *Conn
	signer Signer
	done   chan struct{}
}

// timeoutSweeps is how many sweeps make an unanswered call late.
const timeoutSweeps = 4

// Dial connects to a server at addr, host:port.
func Dial(ctx context.Context, addr string, o ClientOptions) (*Client, error) {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	if o.TLS == nil {
		return NewClient(socket, o), nil
	}
	host, _, _ := net.SplitHostPort(addr)
	secure, err := dialTLS(ctx, socket, host, o.TLS)
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return newClient(socket, secure, o), nil
}

// NewClient makes a client of a plain connection, which it owns from now on.
func NewClient(socket net.Conn, o ClientOptions) *Client { return newClient(socket, nil, o) }

func newClient(socket net.Conn, secure *secure, o ClientOptions) *Client {
	if o.Handler == nil {
		o.Handler = refusal{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	hard := positive(o.OutputHardBytes, 64<<20)
	options := &connOptions{
		FrameBytesMax: FrameBytesMax, OutputSoftBytes: hard, OutputHardBytes: hard,
		CallsMax: positive(o.CallsMax, 4096), sweepPeriod: max(positive(o.CallTimeout, 60*time.Second)/timeoutSweeps, time.Millisecond), logger: o.Logger,
	}
	c := &Client{signer: o.Signer, conn: newConn(socket, o.Handler, options), done: make(chan struct{})}
	c.conn.serialization.Store(uint32(o.Serialization))
	if secure != nil {
		secure.carrier.read = c.conn.readSocket
		c.conn.secure = secure
	}
	ended := make(chan struct{})
	go func() {
		c.conn.run()
		close(ended)
	}()
	go c.sweep(ended)
	return c
}

// sweep ends late calls until the connection has ended.
func (c *Client) sweep(ended <-chan struct{}) {
	defer close(c.done)
	ticker := time.NewTicker(c.conn.options.sweepPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			c.conn.sweepCalls(timeoutSweeps)
		}
	}
}

// Call sends a request and waits for the response; see Conn.Call.
func (c *Client) Call(ctx context.Context, r *Request) (*Command, error) {
	return c.conn.Call(ctx, c.signed(r))
}

// Go sends a request and calls done with the response; see Conn.Go.
func (c *Client) Go(r *Request, done func(*Command, error)) error {
	return c.conn.Go(c.signed(r), done)
}

// Oneway sends a request that is not answered; see Conn.Oneway.
func (c *Client) Oneway(r *Request) error { return c.conn.Oneway(c.signed(r)) }

func (c *Client) signed(r *Request) *Request {
	if c.signer == nil {
		return r
	}
	return c.signer.Sign(r)
}

// Conn is the client's connection.
func (c *Client) Conn() *Conn { return c.conn }

// Done is closed when the connection has ended and all calls have failed.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close closes the connection and waits until it has ended: all calls have
// failed and no callback runs. It must not be called from a callback.
func (c *Client) Close() {
	c.conn.Close()
	<-c.done
}

// refusal is the handler of clients that serve no requests.
type refusal struct{}

func (refusal) Handle(rt ReplyTo, cmd *Command) {
	rt.Send(&Reply{Code: ResponseRequestCodeNotSupported, Remark: NotSupported(cmd.Code)})
}

func (refusal) Closed(*Conn) {}
