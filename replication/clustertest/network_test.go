package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// network connects the nodes of a cluster in memory. What goes from one address
// to another goes over a link, which holds it back for a time drawn from the
// seed, or until the link is whole again.
type network struct {
	mu        sync.Mutex
	rng       *rand.Rand
	listeners map[string]*listener
	dark      map[string]bool // addresses of machines without power: nothing answers
	links     map[[2]string]*link
	conns     map[*conn]struct{}
	changed   chan struct{} // closed when a link or an address changes
}

// link is one direction between two addresses.
type link struct {
	cut              bool
	delayMin, spread time.Duration
}

// The usual time from node to node.
const (
	usualDelay  = 100 * time.Microsecond
	usualSpread = 400 * time.Microsecond
)

func newNetwork(seed uint64) *network {
	return &network{
		rng: rand.New(rand.NewPCG(seed, 0x6e6574)), listeners: map[string]*listener{}, dark: map[string]bool{},
		links: map[[2]string]*link{}, conns: map[*conn]struct{}{}, changed: make(chan struct{}),
	}
}

func (n *network) linkLocked(from, to string) *link {
	l := n.links[[2]string{from, to}]
	if l == nil {
		l = &link{delayMin: usualDelay, spread: usualSpread}
		n.links[[2]string{from, to}] = l
	}
	return l
}

// delayLocked is how long something takes over a link.
func (n *network) delayLocked(from, to string) time.Duration {
	l := n.linkLocked(from, to)
	return l.delayMin + time.Duration(n.rng.Int64N(int64(l.spread)+1))
}

// change changes what the network does.
func (n *network) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

// cut holds back everything from one address to another, or lets it go on.
func (n *network) cut(from, to string, cut bool) {
	n.change(func() { n.linkLocked(from, to).cut = cut })
}

// delay sets how long a link takes.
func (n *network) delay(from, to string, least, spread time.Duration) {
	n.change(func() {
		l := n.linkLocked(from, to)
		l.delayMin, l.spread = least, spread
	})
}

// heal makes all links whole and as fast as usual.
func (n *network) heal() { n.change(func() { clear(n.links) }) }

// reset ends the connections between two addresses with an error.
func (n *network) reset(a, b string) {
	n.change(func() {
		for c := range n.conns {
			if c.local == a && c.remote == b || c.local == b && c.remote == a {
				c.breakLocked()
			}
		}
	})
}

// fail takes an address off the network: what was sent arrives, nothing else
// does. Where the process ends, others see their connections break, and nobody
// listens; where the machine has no power they see nothing.
func (n *network) fail(address string, dark bool) {
	n.change(func() {
		n.dark[address] = dark
		delete(n.listeners, address)
		for c := range n.conns {
			switch {
			case c.local == address:
				c.dead = true
			case c.remote == address && !dark:
				c.breakLocked()
			}
		}
	})
}

// listen begins to take connections. Those of an earlier life of the machine
// break.
func (n *network) listen(address string) *listener {
	l := &listener{network: n, address: address, backlog: make(chan *conn, 64), ended: make(chan struct{})}
	n.change(func() {
		for c := range n.conns {
			if c.remote == address {
				c.breakLocked()
			}
		}
		n.dark[address] = false
		n.listeners[address] = l
	})
	return l
}

// dialTime bounds an attempt to connect, as package transport's own dialer does.
const dialTime = 2 * time.Second

// dialer connects from an address until the machine there is over.
func (n *network) dialer(from string, over <-chan struct{}) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		for {
			select {
			case <-over:
				return nil, fmt.Errorf("dial %s: %w", to, syscall.ENETDOWN)
			default:
			}
			n.mu.Lock()
			there := n.delayLocked(from, to) + n.delayLocked(to, from)
			reachable := !n.dark[to] && !n.linkLocked(from, to).cut && !n.linkLocked(to, from).cut
			l, changed := n.listeners[to], n.changed
			n.mu.Unlock()
			if !reachable {
				select {
				case <-changed:
					continue
				case <-over:
					continue
				case <-ctx.Done():
					return nil, fmt.Errorf("dial %s: %w", to, ctx.Err())
				}
			}
			select {
			case <-time.After(there):
			case <-ctx.Done():
				return nil, fmt.Errorf("dial %s: %w", to, ctx.Err())
			}
			if l == nil {
				return nil, fmt.Errorf("dial %s: %w", to, syscall.ECONNREFUSED)
			}
			if c := n.connect(from, to, l, over); c != nil {
				return c, nil
			}
			return nil, fmt.Errorf("dial %s: %w", to, syscall.ECONNRESET)
		}
	}
}

// connect makes both ends of a connection, nil where one of the two is gone.
func (n *network) connect(from, to string, l *listener, over <-chan struct{}) *conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-over:
		return nil
	default:
	}
	if n.listeners[to] != l {
		return nil
	}
	out, in := &stream{changed: make(chan struct{})}, &stream{changed: make(chan struct{})}
	mine := &conn{network: n, local: from, remote: to, in: in, out: out}
	theirs := &conn{network: n, local: to, remote: from, in: out, out: in}
	select {
	case l.backlog <- theirs:
	default:
		return nil
	}
	n.conns[mine], n.conns[theirs] = struct{}{}, struct{}{}
	return mine
}

// listener is a net.Listener.
type listener struct {
	network *network
	address string
	backlog chan *conn
	once    sync.Once
	ended   chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.ended)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if l.network.listeners[l.address] == l {
			delete(l.network.listeners, l.address)
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return place(l.address) }

// place is an address.
type place string

// Network implements net.Addr.
func (place) Network() string { return "memory" }

// String implements net.Addr.
func (p place) String() string { return string(p) }
