package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// connectionsMax bounds the connections that a Network takes.
	connectionsMax = 1024
	// dialTime bounds an attempt to connect.
	dialTime = 2 * time.Second
	// acceptPause follows an error of the listener.
	acceptPause = 50 * time.Millisecond
)

// Options of a Network.
type Options struct {
	// Listener takes the connections of peers. The Network closes it.
	Listener net.Listener
	// Dial connects to a peer; nil dials TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Secret that all nodes of the cluster know; empty for none.
	Secret []byte
	// ServerTLS and ClientTLS encrypt what arrives and what is dialed, where
	// they are set.
	ServerTLS, ClientTLS *tls.Config
	// EntryBytesMax is the largest entry of any group.
	EntryBytesMax int
	Log           *slog.Logger
}

// Network is what the groups of a process share: a listener, and a way to reach
// those of others.
type Network struct {
	options Options
	work    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	groups map[string]greeter
	conns  map[net.Conn]struct{}
	closed bool
}

// greeter is one group that takes connections.
type greeter interface {
	// greet answers a peer, or refuses it.
	greet(Hello) (Hello, error)
	// serve answers requests until the connection ends.
	serve(*conn, Hello)
}

// NewNetwork takes connections from now on. Those for groups that nobody has
// joined yet are refused.
func NewNetwork(o Options) *Network {
	if o.Dial == nil {
		dialer := &net.Dialer{Timeout: dialTime}
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{options: o, groups: make(map[string]greeter), conns: make(map[net.Conn]struct{})}
	n.work, n.stop = context.WithCancel(context.Background())
	n.running.Go(n.accept)
	return n
}

// Address is where the Network listens.
func (n *Network) Address() string { return n.options.Listener.Addr().String() }

// Close ends all connections and takes no more.
func (n *Network) Close() error {
	n.stop()
	err := n.options.Listener.Close()
	n.mu.Lock()
	n.closed = true
	for c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
	return err
}

func (n *Network) accept() {
	for {
		c, err := n.options.Listener.Accept()
		if err != nil {
			if n.work.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			n.options.Log.Warn("replication: a connection was not accepted", "cause", err)
			select {
			case <-n.work.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		if !n.track(c) {
			_ = c.Close()
			continue
		}
		n.running.Go(func() {
			defer n.forget(c)
			n.serve(c)
		})
	}
}

func (n *Network) track(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.conns) >= connectionsMax {
		return false
	}
	n.conns[c] = struct{}{}
	return true
}

func (n *Network) forget(c net.Conn) {
	_ = c.Close()
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
}

// serve finds out who connects and for which group, and hands over.
func (n *Network) serve(raw net.Conn) {
	if n.options.ServerTLS != nil {
		raw = tls.Server(raw, n.options.ServerTLS)
	}
	deadline := time.Now().Add(handshakeTime)
	_ = raw.SetDeadline(deadline)
	if err := secret(n.options.Secret).accept(raw); errors.Is(err, io.EOF) {
		return // somebody looked whether this port is open
	} else if err != nil {
		n.options.Log.Warn("replication: a peer was refused", "address", raw.RemoteAddr(), "cause", err)
		return
	}
	c := &conn{Conn: raw, frameBytesMax: helloBytesMax}
	body, err := c.receive(deadline)
	if err != nil {
		return
	}
	d := &decoder{left: body}
	if kind(d.uint8()) != kindHello {
		return
	}
	peer := decodeHello(d)
	if d.end() != nil {
		return
	}
	n.mu.Lock()
	g := n.groups[peer.Group]
	n.mu.Unlock()
	mine := Hello{Group: peer.Group}
	if g == nil {
		err = fmt.Errorf("nobody here is in group %q", peer.Group)
	} else {
		mine, err = g.greet(peer)
	}
	c.begin(kindHello | kindResponse)
	c.out = appendBytes(c.out, errorText(err))
	c.out = mine.append(c.out)
	if c.send(deadline) != nil || err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	c.frameBytesMax = n.frameBytesMax()
	g.serve(c, peer)
}

// frameBytesMax is what the largest message needs: entries up to sendBytesMax,
// or one that is larger.
func (n *Network) frameBytesMax() int { return n.options.EntryBytesMax + sendBytesMax + helloBytesMax }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	return text[:min(len(text), errorBytesMax)]
}

// errorBytesMax bounds the text of an error that is sent.
const errorBytesMax = 1024

// dial connects to a peer and says hello.
func (n *Network) dial(ctx context.Context, address string, mine Hello) (*conn, Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime+handshakeTime)
	defer cancel()
	raw, err := n.options.Dial(ctx, address)
	if err != nil {
		return nil, Hello{}, err
	}
	if n.options.ClientTLS != nil {
		raw = tls.Client(raw, forHost(n.options.ClientTLS, address))
	}
	unhook := context.AfterFunc(n.work, func() { _ = raw.Close() })
	c, theirs, err := n.introduce(raw, mine)
	unhook()
	if err != nil {
		return nil, Hello{}, errors.Join(fmt.Errorf("connect to %s: %w", address, err), raw.Close())
	}
	return c, theirs, nil
}

// forHost is a configuration that expects the certificate of an address's host.
func forHost(c *tls.Config, address string) *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if err != nil || c.ServerName != "" {
		return c
	}
	c = c.Clone()
	c.ServerName = host
	return c
}

func (n *Network) introduce(raw net.Conn, mine Hello) (*conn, Hello, error) {
	deadline := time.Now().Add(handshakeTime)
	_ = raw.SetDeadline(deadline)
	if err := secret(n.options.Secret).connectTo(raw); err != nil {
		return nil, Hello{}, err
	}
	c := &conn{Conn: raw, frameBytesMax: helloBytesMax}
	c.begin(kindHello)
	c.out = mine.append(c.out)
	if err := c.send(deadline); err != nil {
		return nil, Hello{}, err
	}
	body, err := c.receive(deadline)
	if err != nil {
		return nil, Hello{}, err
	}
	d := &decoder{left: body}
	if kind(d.uint8()) != kindHello|kindResponse {
		d.fail("no hello")
	}
	refusal := d.text(errorBytesMax)
	theirs := decodeHello(d)
	if err := d.end(); err != nil {
		return nil, Hello{}, err
	}
	if refusal != "" {
		return nil, Hello{}, &Refusal{Address: raw.RemoteAddr().String(), Text: refusal}
	}
	_ = raw.SetDeadline(time.Time{})
	c.frameBytesMax = n.frameBytesMax()
	return c, theirs, nil
}

// Refusal is a peer that is there and says no.
type Refusal struct{ Address, Text string }

// Error implements error.
func (r *Refusal) Error() string { return "the node at " + r.Address + " refuses: " + r.Text }

// Ask connects to the node at an address only to learn who it is.
func (n *Network) Ask(ctx context.Context, address string, mine Hello) (Hello, error) {
	c, theirs, err := n.dial(ctx, address, mine)
	if err != nil {
		return Hello{}, err
	}
	return theirs, c.Close()
}
