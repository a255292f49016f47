package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Condition is the state of one direction. The zero value is a whole link.
type Condition struct {
	Cut            bool
	Delay          time.Duration // of every byte
	BytesPerSecond int           // 0: as fast as it goes
}

// String is the condition for people.
func (c Condition) String() string {
	switch {
	case c.Cut:
		return "cut"
	case c == Condition{}:
		return "whole"
	}
	return fmt.Sprintf("%v late at %d bytes/s", c.Delay, c.BytesPerSecond)
}

// Link is a proxy. Its methods are safe for concurrent use.
type Link struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu          sync.Mutex
	there, back Condition
	changed     chan struct{} // closed with the next change
	refuse      bool
	closed      bool
	pairs       map[*pair]struct{}
}

// Listen carries connections from address to target. Both are host:port.
func Listen(address, target string) (*Link, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open link to %s: %w", target, err)
	}
	link := &Link{listener: l, target: target, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	link.running.Go(link.accept)
	return link, nil
}

// Address is where the link listens.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Set gives both directions a condition: there is towards the target. It holds
// for what is under way, too.
func (l *Link) Set(there, back Condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.there, l.back = there, back
	l.changeLocked()
}

// Refuse makes the link end new connections at once, or take them again.
func (l *Link) Refuse(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = yes
}

// Reset ends all connections and returns how many there were.
func (l *Link) Reset() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		p.end()
	}
	return len(l.pairs)
}

// Close ends everything and waits for it.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.changeLocked()
	_ = l.listener.Close()
	for p := range l.pairs {
		p.end()
	}
	l.mu.Unlock()
	l.running.Wait()
}

func (l *Link) changeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// condition is that of a direction, and a channel that is closed when it changes.
func (l *Link) condition(d direction) (Condition, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d == there {
		return l.there, l.changed
	}
	return l.back, l.changed
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that ended before it was accepted
		}
		l.running.Go(func() { l.carry(near) })
	}
}

// carry serves one connection until it has ended.
func (l *Link) carry(near net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &pair{near: near, ended: ctx.Done(), cancel: cancel}
	l.mu.Lock()
	if l.refuse || l.closed {
		l.mu.Unlock()
		abort(near)
		return
	}
	l.pairs[p] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.pairs, p)
		p.end()
	}()
	var dialer net.Dialer
	far, err := dialer.DialContext(ctx, "tcp", l.target)
	if err != nil || !p.connect(far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, there, near, far) })
	both.Go(func() { p.pump(l, back, far, near) })
	both.Wait()
	p.finish()
}
