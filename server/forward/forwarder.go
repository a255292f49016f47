package forward

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// dialTime bounds how long a client waits for its link.
	dialTime = time.Second
	// dialPause is how long none is opened after one couldn't be.
	dialPause = 200 * time.Millisecond
	// retireTime is how long links to a former leader stay.
	retireTime = 300 * time.Millisecond
	// heartbeatBytesMax bounds the heartbeats that are kept, of all clients.
	heartbeatBytesMax = 64 << 20
)

// Options of a Forwarder.
type Options struct {
	// Local serves what isn't forwarded.
	Local remoting.Handler
	// Dial connects to the address of another node for clients.
	Dial func(ctx context.Context, address string, o remoting.ClientOptions) (*remoting.Client, error)
	// Group is its name, Secret what its nodes share; without one they are all
	// on this machine.
	Group  string
	Secret []byte
	// RequestsMax and BytesMax bound what is in flight; 0 means 65536 and 256 MiB.
	RequestsMax, BytesMax int64
	Log                   *slog.Logger // slog.Default() when nil
}

// Forwarder is a remoting.Handler that stands before a broker of a group.
type Forwarder struct {
	options  Options
	kindOf   func(code int32) kind
	greet    func(ctx context.Context, c *remoting.Client, client string) error // begins a link
	metrics  *forwardMetrics
	place    atomic.Pointer[place]
	links    sync.Map // of *link by *remoting.Conn: clients of this node
	arrivals sync.Map // of arrival by *remoting.Conn: links from other nodes
	flights  sync.Pool

	requests, bytes atomic.Int64 // in flight
	keptBytes       atomic.Int64 // of heartbeats
	failure         atomic.Pointer[dialFailure]
}

// dialFailure is the last link that couldn't be opened.
type dialFailure struct {
	address string
	until   time.Time
	cause   error
}

var (
	errNobody = errors.New("the group has no leader at present")
	errClosed = errors.New("this node stops")
)

// New makes a forwarder that knows no leader yet.
func New(o Options) *Forwarder {
	if o.RequestsMax == 0 {
		o.RequestsMax = 1 << 16
	}
	if o.BytesMax == 0 {
		o.BytesMax = 256 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	f := &Forwarder{options: o, kindOf: kindInGroup}
	f.greet = f.introduce
	f.metrics = newMetrics(f)
	f.place.Store(newPlace(place{}))
	return f
}

// NewProxy makes a forwarder to a server that knows nothing of it: the client's
// connection there is that of the proxy. Everything is forwarded; what can't
// be, as the server isn't in reach, goes to Options.Local.
func NewProxy(o Options, address string) *Forwarder {
	f := New(o)
	f.kindOf = kindForProxy
	f.greet = func(context.Context, *remoting.Client, string) error { return nil }
	f.place.Store(newPlace(place{leader: address}))
	return f
}

// Lead has requests served here.
func (f *Forwarder) Lead() { f.move(place{leads: true}) }

// Follow has requests forwarded to the node that clients reach at address; ""
// for nobody.
func (f *Forwarder) Follow(address string) { f.move(place{leader: address}) }

// Close answers what is in flight and forwards no more. It is called before
// the clients' connections are drained, as that waits for their answers. A
// leader goes on serving; its place must not change any more.
func (f *Forwarder) Close() {
	for at := f.place.Load(); !at.leads && !at.closed && !f.leave(at, place{closed: true}); {
		at = f.place.Load()
	}
	f.retire()
}

// leave changes the place, unless another has followed already.
func (f *Forwarder) leave(now *place, to place) bool {
	if !f.place.CompareAndSwap(now, newPlace(to)) {
		return false
	}
	close(now.left)
	return true
}

func (f *Forwarder) move(to place) {
	now := f.place.Load()
	if now.closed || now.same(to) || !f.leave(now, to) {
		return
	}
	time.AfterFunc(retireTime, f.retire)
}

// retire closes the links that lead elsewhere.
func (f *Forwarder) retire() {
	f.links.Range(func(_, v any) bool {
		v.(*link).retire()
		return true
	})
}

// Handle implements remoting.Handler.
func (f *Forwarder) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	if cmd.Code == remoting.RequestForward {
		f.accept(rt, cmd)
		return
	}
	at := f.place.Load()
	if at.leads {
		if cmd.Code == remoting.RequestHeartBeat || cmd.Code == remoting.RequestUnregisterClient {
			f.note(rt.Conn, cmd) // for the next leader
		}
		f.options.Local.Handle(rt, cmd)
		return
	}
	if kind := f.kindOf(cmd.Code); kind == ofThisNode {
		f.options.Local.Handle(rt, cmd)
	} else {
		f.deliver(rt, cmd, kind)
	}
}

// serve does what can be done without the leader.
func (f *Forwarder) serve(rt remoting.ReplyTo, cmd *remoting.Command, kind kind, cause error) {
	var busy *overload
	switch {
	case errors.As(cause, &busy):
		f.metrics.refused.Inc()
		rt.Send(&remoting.Reply{Code: remoting.ResponseSystemBusy, Remark: "[OVERLOAD]" + cause.Error() + "; nothing was stored, try again"})
	case kind == read || kind == pull || kind == registration:
		if kind == registration {
			f.note(rt.Conn, cmd)
		}
		f.metrics.served.Inc()
		f.options.Local.Handle(rt, cmd)
	default:
		f.metrics.refused.Inc()
		rt.Send(&remoting.Reply{Code: remoting.ResponseServiceNotAvailable,
			Remark: "this broker is not the master and can't reach it: " + cause.Error() + "; nothing was stored, try again"})
	}
}

// note keeps what a client says about itself.
func (f *Forwarder) note(c *remoting.Conn, cmd *remoting.Command) {
	if !f.arrived(c) {
		f.link(c).note(cmd)
	}
}

// link is that of a client's connection.
func (f *Forwarder) link(c *remoting.Conn) *link {
	if v, found := f.links.Load(c); found {
		return v.(*link)
	}
	l := &link{forwarder: f, client: c}
	f.links.Store(c, l) // the connection's reader is the only one that adds
	return l
}

// Closed implements remoting.Handler.
func (f *Forwarder) Closed(c *remoting.Conn) {
	f.arrivals.Delete(c)
	if v, found := f.links.LoadAndDelete(c); found {
		v.(*link).end()
	}
	f.options.Local.Closed(c)
}
