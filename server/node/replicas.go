package node

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/remoting"
)

// joinTime bounds how long an administrator waits for a new replica to catch
// up. It goes on doing so.
const joinTime = time.Hour

// replicas stands before the broker of a group and answers what is asked about
// the group.
type replicas struct {
	remoting.Handler // the forwarder before the broker

	group      *replication.Group
	authorizer broker.Authorizer // nil: everything is served
	aside      func() []replication.Divergence
	run        func(func(context.Context))
	changing   atomic.Bool // one change at a time
}

// groupView is the answer to GET_REPLICAS.
type groupView struct {
	Leads   bool         `json:"leads"`
	Term    uint64       `json:"term"`
	Leader  string       `json:"leader"` // its name, empty for nobody
	Members []memberView `json:"members"`
	// Of a master and its slaves: how many slaves must have what is confirmed, and
	// how many of those that count do.
	MasterSlave  bool `json:"masterSlave"`
	SlavesWanted int  `json:"slavesWanted"`
	SlavesInSync int  `json:"slavesInSync"` // known to the master
	// Divergent are the folders of frames that this node had and its master hadn't.
	Divergent []string `json:"divergent"`
	// Health of the copy of the node that was asked.
	Health healthView `json:"health"`
}

type memberView struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Address    string `json:"address"`
	Service    string `json:"service"` // where clients reach it
	Self       bool   `json:"self"`
	Voter      bool   `json:"voter"`
	InSync     bool   `json:"inSync"` // a slave that is waited for; known to the master
	Leader     bool   `json:"leader"`
	Match      uint64 `json:"match"`      // frame up to which it has the log; known to the leader
	LagFrames  uint64 `json:"lagFrames"`  // known to the leader
	LagBytes   int64  `json:"lagBytes"`   // known to the leader
	SilentMsec int64  `json:"silentMsec"` // since it answered last, -1 where that isn't known
}

// Handle implements remoting.Handler.
func (r *replicas) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	switch cmd.Code {
	case remoting.RequestGetReplicas, remoting.RequestGetState, remoting.RequestAddReplica, remoting.RequestRemoveReplica,
		remoting.RequestTransferLeadership, remoting.RequestPromoteReplica, remoting.RequestGetBrokerHAStatus:
	default:
		r.Handler.Handle(rt, cmd)
		return
	}
	if r.authorizer != nil {
		if err := r.authorizer.Authorize(rt.Conn, cmd); err != nil {
			rt.Send(&remoting.Reply{Code: remoting.ResponseNoPermission, Remark: err.Error()})
			return
		}
	}
	switch cmd.Code {
	case remoting.RequestGetReplicas:
		r.show(rt)
	case remoting.RequestGetState:
		r.showState(rt, cmd)
	case remoting.RequestGetBrokerHAStatus:
		r.showStatus(rt)
	default:
		r.change(rt, cmd)
	}
}

// change does what may take long beside the connection's requests.
func (r *replicas) change(rt remoting.ReplyTo, cmd *remoting.Command) {
	code, which, force := cmd.Code, cmd.Text("peer"), cmd.Bool("force")
	if !r.changing.CompareAndSwap(false, true) {
		rt.Send(&remoting.Reply{Code: remoting.ResponseSystemBusy, Remark: "another change of the group is under way"})
		return
	}
	r.run(func(ctx context.Context) {
		err := r.carryOut(ctx, code, which, force)
		r.changing.Store(false)
		if err == nil {
			r.show(rt)
			return
		}
		reply := &remoting.Reply{Code: remoting.ResponseSystemError, Remark: err.Error()}
		if errors.Is(err, replication.ErrNotLeading) {
			reply.Code = remoting.ResponseServiceNotAvailable
		}
		rt.Send(reply)
	})
}

func (r *replicas) carryOut(ctx context.Context, code int32, which string, force bool) (err error) {
	switch code {
	case remoting.RequestAddReplica:
		ctx, cancel := context.WithTimeout(ctx, joinTime)
		defer cancel()
		_, err = r.group.AddPeer(ctx, which)
	case remoting.RequestRemoveReplica:
		_, err = r.group.RemovePeer(which)
	case remoting.RequestTransferLeadership:
		err = r.group.Transfer(which)
	case remoting.RequestPromoteReplica:
		err = r.group.Promote(ctx, force)
	}
	return err
}

// show answers with the group as this node knows it.
func (r *replicas) show(rt remoting.ReplyTo) {
	role := r.group.Role()
	v := groupView{Leads: role.Leads, Term: uint64(role.Term), Leader: role.Leader.Name, Health: r.health()}
	v.MasterSlave, v.SlavesWanted, v.SlavesInSync = r.group.Slaves()
	for _, d := range r.aside() {
		v.Divergent = append(v.Divergent, d.Name())
	}
	end, _, _ := r.group.Engine().Log().End()
	for _, p := range r.group.Members() {
		m := memberView{Name: p.Name, ID: p.ID, Address: p.Address, Service: p.Service, Self: p.Self, Voter: p.Voter, InSync: p.InSync,
			Leader: p.ID == role.Leader.ID, SilentMsec: -1}
		if role.Leads {
			m.Match, m.LagFrames, m.LagBytes = uint64(p.Match), uint64(end-min(end, p.Match)), p.Behind
		}
		switch {
		case p.Self:
			m.SilentMsec = 0
		case !p.LastContact.IsZero():
			m.SilentMsec = time.Since(p.LastContact).Milliseconds()
		}
		v.Members = append(v.Members, m)
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a view of the group can't be written: " + err.Error())
	}
	rt.Send(&remoting.Reply{Body: body})
}
