package forward

import (
	"errors"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// waitTime is how long requests of a client wait for a leader that they can be
	// given to, counted from the first that couldn't. Most elections take less, and
	// an outbox that waits for the answer doesn't wait for much longer.
	waitTime = 1200 * time.Millisecond
	// missesApart is after what time without one a request waits as if it were
	// the first.
	missesApart = 2 * waitTime
	// waitPause is between two tries to reach a leader.
	waitPause = 20 * time.Millisecond
	// answerTimeMin is what the leader has to answer a request that has waited.
	answerTimeMin = 500 * time.Millisecond
	// acceptTime is how long a link waits for this node to lead: the others may
	// hear of it before it has begun.
	acceptTime = 300 * time.Millisecond
)

// deliver gives a request to the leader. What nobody else can do waits for one,
// and with it, in their order, what its client sends behind it.
func (f *Forwarder) deliver(rt remoting.ReplyTo, cmd *remoting.Command, kind kind) {
	arrived := time.Now()
	for {
		at := f.place.Load()
		err := errNobody
		switch {
		case at.leads:
			f.options.Local.Handle(rt, cmd)
			return
		case at.closed:
			err = errClosed
		case at.leader != "" && !f.arrived(rt.Conn):
			if err = f.forward(rt, cmd, kind, at.leader, arrived); err == nil {
				f.link(rt.Conn).missed = misses{}
				return
			}
		}
		if !f.mayWait(rt, kind, err) || !f.link(rt.Conn).await(at) {
			f.serve(rt, cmd, kind, err)
			return
		}
	}
}

// mayWait reports whether a request can be given to a leader later. One that
// another node has passed on is that node's to try again, where it leads to.
func (f *Forwarder) mayWait(rt remoting.ReplyTo, kind kind, cause error) bool {
	var busy *overload
	return kind == change && !f.arrived(rt.Conn) && !errors.Is(cause, errClosed) && !errors.As(cause, &busy)
}

// misses are requests of one client that found no leader, one after the other.
type misses struct{ first, last time.Time }

// await returns when another try is worth it, false when the client has waited
// enough. All its requests wait within the same time: one that is behind others
// in the connection would otherwise wait longer than its client does.
func (l *link) await(at *place) bool {
	now := time.Now()
	if now.Sub(l.missed.last) > missesApart {
		l.missed.first = now
		l.forwarder.metrics.waits.Inc()
	}
	l.missed.last = now
	left := waitTime - now.Sub(l.missed.first)
	if left <= 0 {
		return false
	}
	if at.leader != "" {
		left = min(left, waitPause)
	}
	l.client.Flush() // those that wait for answers needn't wait for this
	at.await(left)
	return true
}

// place is where requests go at present. It is never changed.
type place struct {
	leads  bool   // here
	leader string // its address for clients, "" for nobody
	closed bool
	left   chan struct{} // closed when another place has followed
}

func newPlace(p place) *place {
	p.left = make(chan struct{})
	return &p
}

func (p *place) same(o place) bool {
	return p.leads == o.leads && p.leader == o.leader && p.closed == o.closed
}

// await returns when requests go elsewhere, or after some time.
func (p *place) await(most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-p.left:
	case <-timer.C:
	}
}
