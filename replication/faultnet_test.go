package replication

import (
	"context"
	"errors"
	"net"
	"sync"
)

// faultNet is the network between nodes of a test: TCP on loopback, of which
// parts can be cut.
type faultNet struct {
	mu    sync.Mutex
	cut   map[[2]string]bool // who can't reach whom, by address
	conns map[*faultConn]struct{}
}

var errCut = errors.New("the network is cut")

func newFaultNet() *faultNet {
	return &faultNet{cut: map[[2]string]bool{}, conns: map[*faultConn]struct{}{}}
}

type faultConn struct {
	net.Conn
	network  *faultNet
	from, to string
}

func (c *faultConn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}

// dialer is how the node with an address reaches others.
func (n *faultNet) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		n.mu.Lock()
		gone := n.cut[[2]string{from, to}]
		n.mu.Unlock()
		if gone {
			return nil, errCut
		}
		raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if err != nil {
			return nil, err
		}
		c := &faultConn{Conn: raw, network: n, from: from, to: to}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.cut[[2]string{from, to}] {
			_ = raw.Close()
			return nil, errCut
		}
		n.conns[c] = struct{}{}
		return c, nil
	}
}

// set cuts or mends what is between two nodes, in both directions.
func (n *faultNet) set(a, b string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = cut, cut
	for c := range n.conns {
		if n.cut[[2]string{c.from, c.to}] {
			_ = c.Conn.Close()
		}
	}
}
