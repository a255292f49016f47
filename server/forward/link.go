package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// callTime is how long a client may take to answer the leader.
const callTime = time.Minute

// link is what a follower has for one connection of a client: a connection to
// the leader, and the client's last heartbeat.
type link struct {
	forwarder *Forwarder
	client    *remoting.Conn

	heartbeat *remoting.Command // of the client's reader goroutine; nil for none
	missed    misses            // of the client's reader goroutine

	mu     sync.Mutex
	leader *remoting.Client // nil for none
	to     string           // its address
	ended  bool
}

// send gives the leader a request. After an error it doesn't have it. It runs on
// the reader of the client's connection.
func (l *link) send(address string, cmd *remoting.Command, patience time.Duration, done func(*remoting.Command, error)) error {
	c, fresh, err := l.connection(address)
	if err != nil {
		return err
	}
	err = forwardTo(c, cmd, patience, done)
	if fresh || !errors.Is(err, remoting.ErrClosed) {
		return err
	}
	if c, _, err = l.connection(address); err != nil { // it had ended since the last request
		return err
	}
	return forwardTo(c, cmd, patience, done)
}

func forwardTo(c *remoting.Client, cmd *remoting.Command, patience time.Duration, done func(*remoting.Command, error)) error {
	err := c.Conn().Forward(cmd, patience, done)
	if errors.Is(err, remoting.ErrTooManyCalls) || errors.Is(err, remoting.ErrOverload) {
		return &overload{err.Error()}
	}
	if err != nil && errors.Is(err, remoting.ErrClosed) {
		c.Conn().Close()
	}
	return err
}

// connection is the one to the leader; fresh when it was opened just now.
func (l *link) connection(address string) (c *remoting.Client, fresh bool, err error) {
	l.mu.Lock()
	c, to := l.leader, l.to
	l.mu.Unlock()
	if c != nil && to == address && c.Conn().Alive() {
		return c, false, nil
	}
	f := l.forwarder
	if failed := f.failure.Load(); failed != nil && failed.address == address && time.Now().Before(failed.until) {
		return nil, false, failed.cause
	}
	l.client.Flush() // those that wait for answers needn't wait for this
	if c, err = f.open(l, address); err != nil {
		f.metrics.dialFailures.Inc()
		f.failure.Store(&dialFailure{address: address, until: time.Now().Add(dialPause), cause: err})
		f.options.Log.Warn("the leader can't be reached for a client", "leader", address, "client", l.client.RemoteAddr(), "cause", err)
		return nil, false, err
	}
	if !l.keep(c, address) {
		c.Conn().Close()
		return nil, false, errClosed
	}
	if l.heartbeat != nil {
		_ = c.Conn().Forward(l.heartbeat, answerTime, func(*remoting.Command, error) {}) // the next one comes within half a minute
	}
	return c, true, nil
}

// keep takes a new connection. The one before stays until it is retired, or
// goes at once if its end is known.
func (l *link) keep(c *remoting.Client, address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.forwarder.place.Load().closed {
		return false
	}
	if before := l.leader; before != nil {
		if l.to == address || !before.Conn().Alive() {
			before.Conn().Close()
		} else {
			time.AfterFunc(retireTime, before.Conn().Close)
		}
	}
	l.leader, l.to = c, address
	return true
}

// retire closes a connection that leads elsewhere than to the present leader.
func (l *link) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.forwarder.place.Load(); l.leader != nil && (at.closed || l.to != at.leader) {
		l.leader.Conn().Close()
		l.leader, l.to = nil, ""
	}
}

// end follows the end of the client's connection.
func (l *link) end() {
	l.forget()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.leader != nil {
		l.leader.Conn().Close()
		l.leader = nil
	}
}

// note keeps the client's last heartbeat for the next leader, as far as there
// is room.
func (l *link) note(cmd *remoting.Command) {
	l.forget()
	if cmd.Code != remoting.RequestHeartBeat {
		return // what it belonged to may be what it leaves
	}
	kept := &l.forwarder.keptBytes
	if n := frameBytes(cmd); kept.Add(n) > heartbeatBytesMax {
		kept.Add(-n)
		return
	}
	l.heartbeat = cmd.Clone()
}

func (l *link) forget() {
	if l.heartbeat != nil {
		l.forwarder.keptBytes.Add(-frameBytes(l.heartbeat))
		l.heartbeat = nil
	}
}

// open opens a connection to the leader that acts for the client.
func (f *Forwarder) open(l *link, address string) (*remoting.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	c, err := f.options.Dial(ctx, address, remoting.ClientOptions{
		CallTimeout: time.Second, Handler: downstream{l}, Logger: f.options.Log})
	if err != nil {
		return nil, err
	}
	if err := f.greet(ctx, c, l.client.RemoteAddr().String()); err != nil {
		c.Conn().Close()
		return nil, fmt.Errorf("speak for %v at %s: %w", l.client.RemoteAddr(), address, err)
	}
	f.metrics.opened.Inc()
	return c, nil
}

// downstream takes what the leader asks of the client, or tells it.
type downstream struct{ link *link }

// Handle implements remoting.Handler.
func (d downstream) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	d.link.forwarder.metrics.calls.Inc()
	err := d.link.client.Forward(cmd, callTime, func(response *remoting.Command, err error) {
		if err != nil {
			rt.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: "the client gave no answer: " + err.Error()})
			return
		}
		rt.Pass(response)
	})
	if err != nil {
		rt.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: "the client can't be reached: " + err.Error()})
	}
}

// Closed implements remoting.Handler.
func (downstream) Closed(*remoting.Conn) {}
