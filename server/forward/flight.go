package forward

import (
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// answerTime is how long the leader may take, below the 3 s of clients.
	answerTime = 2500 * time.Millisecond
	// pullMargin comes on top of the time that a pull may be held.
	pullMargin = 5 * time.Second
	// holdTimeMax bounds what a client may ask for.
	holdTimeMax = time.Minute
)

// overload says that a bound is reached; the request wasn't forwarded.
type overload struct{ text string }

// Error is what the client is told.
func (o *overload) Error() string { return o.text }

// flight is one request that the leader has. It is pooled.
type flight struct {
	forwarder *Forwarder
	replyTo   remoting.ReplyTo
	kind      kind
	offset    int64 // of a pull
	bytes     int64
	reply     remoting.Reply
	landed    func(*remoting.Command, error) // land
}

func (f *Forwarder) takeFlight() *flight {
	if g, ok := f.flights.Get().(*flight); ok {
		return g
	}
	g := &flight{forwarder: f}
	g.landed = g.land
	return g
}

// forward sends a request to the leader. After an error the leader doesn't
// have it.
func (f *Forwarder) forward(rt remoting.ReplyTo, cmd *remoting.Command, k kind, leader string, arrived time.Time) error {
	l := f.link(rt.Conn)
	if k == registration {
		l.note(cmd)
		here := rt
		here.Oneway = true // the leader answers
		f.options.Local.Handle(here, cmd)
	}
	if cmd.IsOneway() {
		return l.send(leader, cmd, 0, nil)
	}
	g := f.takeFlight()
	g.replyTo, g.kind, g.bytes = rt, k, frameBytes(cmd)
	patience := max(answerTime-time.Since(arrived), answerTimeMin)
	if k == pull {
		g.offset, _ = cmd.Int("queueOffset")
		hold, _ := cmd.Int("suspendTimeoutMillis")
		patience = time.Duration(min(max(hold, 0), holdTimeMax.Milliseconds()))*time.Millisecond + pullMargin
	}
	requests, bytes := f.requests.Add(1), f.bytes.Add(g.bytes)
	err := error(nil)
	switch {
	case requests > f.options.RequestsMax:
		err = &overload{fmt.Sprintf("the leader has %d requests of clients of this node", requests-1)}
	case bytes > f.options.BytesMax && requests > 1:
		err = &overload{fmt.Sprintf("the leader has %d bytes of requests of clients of this node", bytes-g.bytes)}
	default:
		err = l.send(leader, cmd, patience, g.landed)
	}
	if err != nil {
		g.finish()
		return err
	}
	f.metrics.forwarded.Inc()
	return nil
}

// frameBytes is about what a request takes.
func frameBytes(cmd *remoting.Command) int64 {
	n := len(cmd.Body) + len(cmd.Remark)
	for _, f := range cmd.Fields {
		n += len(f.Key) + len(f.Value)
	}
	return int64(n)
}

// land passes on the leader's answer, or says that there is none.
func (g *flight) land(response *remoting.Command, err error) {
	switch {
	case err == nil:
		g.replyTo.Pass(response)
		g.finish()
		return
	case g.kind == pull:
		g.forwarder.metrics.failed.Inc()
		g.fillAgain()
	default:
		g.forwarder.metrics.failed.Inc()
		g.fillUnknown(err)
	}
	g.replyTo.Send(&g.reply)
	g.finish()
}

// fillAgain has a consumer pull once more at the same offset.
func (g *flight) fillAgain() {
	r := &g.reply
	r.Reset()
	r.Code, r.Remark = remoting.ResponsePullRetryImmediately, "the leader was lost while it held the pull"
	r.SetInt("suggestWhichBrokerId", 0)
	r.SetInt("nextBeginOffset", g.offset)
	r.SetInt("minOffset", 0)
	r.SetInt("maxOffset", g.offset)
}

func (g *flight) fillUnknown(err error) {
	g.reply.Reset()
	g.reply.Code, g.reply.Remark = remoting.ResponseServiceNotAvailable, "outcome unknown, retry: the leader was lost"
	if errors.Is(err, remoting.ErrTimeout) {
		g.reply.Remark = "outcome unknown, retry: the leader doesn't answer"
	}
}

// finish takes back a flight that is answered, or didn't begin.
func (g *flight) finish() {
	g.forwarder.requests.Add(-1)
	g.forwarder.bytes.Add(-g.bytes)
	g.reply.Reset()
	g.replyTo, g.bytes, g.offset = remoting.ReplyTo{}, 0, 0
	g.forwarder.flights.Put(g)
}
