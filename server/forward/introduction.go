package forward

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// Fields of FORWARD.
const (
	fieldClient    = "client"
	fieldProof     = "proof"
	fieldChallenge = "challenge"
)

// arrival is a link as the leader sees it.
type arrival struct {
	challenge string
	proven    bool
}

// introduce tells the leader for whom a connection is.
func (f *Forwarder) introduce(ctx context.Context, c *remoting.Client, client string) error {
	r := &remoting.Request{Code: remoting.RequestForward}
	challenge, err := ask(ctx, c, r)
	if err != nil {
		return err
	}
	r.Set(fieldClient, client)
	r.Set(fieldProof, f.proof(challenge.Text(fieldChallenge), client))
	_, err = ask(ctx, c, r)
	return err
}

func ask(ctx context.Context, c *remoting.Client, r *remoting.Request) (*remoting.Command, error) {
	response, err := c.Call(ctx, r)
	if err == nil && response.Code != remoting.ResponseSuccess {
		err = fmt.Errorf("it answers %d: %s", response.Code, response.Remark)
	}
	return response, err
}

// proof shows that a link comes from a node of the group.
func (f *Forwarder) proof(challenge, client string) string {
	mac := hmac.New(sha256.New, f.options.Secret)
	for _, part := range []string{"forward", f.options.Group, challenge, client} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// accept answers FORWARD: a link begins.
func (f *Forwarder) accept(rt remoting.ReplyTo, cmd *remoting.Command) {
	if !f.leadsSoon(rt.Conn) {
		rt.Send(&remoting.Reply{Code: remoting.ResponseServiceNotAvailable, Remark: "this broker is not the master"})
		return
	}
	proof, given := cmd.Get(fieldProof)
	if !given {
		a := arrival{challenge: rand.Text()}
		f.arrivals.Store(rt.Conn, a)
		var reply remoting.Reply
		reply.SetText(fieldChallenge, a.challenge)
		rt.Send(&reply)
		return
	}
	v, _ := f.arrivals.LoadAndDelete(rt.Conn) // a challenge is good for one try
	a, _ := v.(arrival)
	client := cmd.Text(fieldClient)
	address, err := netip.ParseAddrPort(client)
	local := rt.Conn.RemoteAddr().Addr().IsLoopback()
	if err != nil || a.challenge == "" || len(f.options.Secret) == 0 && !local || !hmac.Equal(proof, []byte(f.proof(a.challenge, client))) {
		f.metrics.strangers.Inc()
		f.options.Log.Warn("a connection claims to come from a node of the group and can't prove it: clusterSecret must be the same on all nodes",
			"remote", rt.Conn.RemoteAddr())
		rt.Send(&remoting.Reply{Code: remoting.ResponseNoPermission, Remark: "the proof is wrong: clusterSecret must be the same on all nodes"})
		return
	}
	rt.Conn.ActFor(address)
	f.arrivals.Store(rt.Conn, arrival{proven: true})
	rt.Send(&remoting.Reply{})
}

// leadsSoon reports whether this node leads, or does within a moment.
func (f *Forwarder) leadsSoon(c *remoting.Conn) bool {
	at := f.place.Load()
	if at.leads {
		return true
	}
	c.Flush()
	for end := time.Now().Add(acceptTime); !at.leads && !at.closed && time.Now().Before(end); at = f.place.Load() {
		at.await(time.Until(end))
	}
	return at.leads
}

// arrived reports whether a connection is a link from another node.
func (f *Forwarder) arrived(c *remoting.Conn) bool {
	v, found := f.arrivals.Load(c)
	return found && v.(arrival).proven
}
