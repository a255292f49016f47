package node

import (
	"sync/atomic"

	"github.com/apogeemq/apogee/server/remoting"
)

// gate stands before the broker while it starts: requests are answered with
// SERVICE_NOT_AVAILABLE, upon which clients try another broker, instead of
// being left without an answer.
type gate struct {
	behind   atomic.Pointer[remoting.Handler]
	starting atomic.Pointer[promoter] // takes what it knows before; nil for nothing
}

func (g *gate) open(h remoting.Handler) { g.behind.Store(&h) }

// Handle implements remoting.Handler.
func (g *gate) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	if h := g.behind.Load(); h != nil {
		(*h).Handle(rt, cmd)
		return
	}
	if p := g.starting.Load(); p != nil && p.takes(rt, cmd) {
		return
	}
	remark := "the broker is starting: it reads its log; nothing was stored, try again"
	if g.starting.Load() != nil {
		remark = "the broker is starting: it asks its slaves and the nameservers who is the master, and its log names those that haven't answered; nothing was stored"
	}
	rt.Send(&remoting.Reply{Code: remoting.ResponseServiceNotAvailable, Remark: remark})
}

// Closed implements remoting.Handler.
func (g *gate) Closed(c *remoting.Conn) {
	if h := g.behind.Load(); h != nil {
		(*h).Closed(c)
	}
}

// fastGate is the gate of the fast port, which RocketMQ keeps free of requests
// that may wait: it takes no pulls.
type fastGate struct{ gate }

// Handle implements remoting.Handler.
func (g *fastGate) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	switch cmd.Code {
	case remoting.RequestPullMessage, remoting.RequestLitePullMessage, remoting.RequestPeekMessage,
		remoting.RequestPopMessage, remoting.RequestNotification, remoting.RequestPollingInfo:
		rt.Send(&remoting.Reply{Code: remoting.ResponseRequestCodeNotSupported,
			Remark: remoting.NotSupported(cmd.Code)})
	default:
		g.gate.Handle(rt, cmd)
	}
}
