package node

import (
	"encoding/json"

	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/remoting"
)

// groupGate answers what is asked about the groups of a cluster. It stands
// before each of its brokers.
type groupGate struct {
	remoting.Handler // of the broker

	shard *shard
}

// groupList is the answer to GET_GROUPS and SET_GROUP: the groups that the node
// runs.
type groupList struct {
	Base   string      `json:"brokerName"` // what the brokers' names begin with
	Node   string      `json:"node"`       // its name in clusterPeers
	Nodes  []string    `json:"nodes"`      // all of clusterPeers
	Groups []groupLine `json:"groups"`
}

type groupLine struct {
	Broker string     `json:"broker"`
	Name   string     `json:"name"` // n3
	State  groupState `json:"state"`
	Prefer string     `json:"prefer"`          // the node that leads it while it can
	Leader string     `json:"leader"`          // empty for nobody
	Waits  string     `json:"waits,omitempty"` // for what its start waits
	Left   int64      `json:"left"`            // messages that keep it from being removed; counted while it is drained
}

// Handle implements remoting.Handler.
func (g *groupGate) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	if cmd.Code != remoting.RequestGetGroups && cmd.Code != remoting.RequestSetGroup {
		g.Handler.Handle(rt, cmd)
		return
	}
	n := g.shard.node
	if a := n.authorizer(); a != nil {
		if err := a.Authorize(rt.Conn, cmd); err != nil {
			rt.Send(&remoting.Reply{Code: remoting.ResponseNoPermission, Remark: err.Error()})
			return
		}
	}
	set := cmd.Code == remoting.RequestSetGroup
	name, state, force := cmd.Text("group"), groupState(cmd.Text("state")), cmd.Text("force") == "true"
	n.running.Go(func() { // it may take long, and end the broker that was asked
		if set {
			if err := n.setGroup(name, state, force); err != nil {
				rt.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: err.Error()})
				return
			}
		}
		body, err := json.Marshal(n.groupList())
		if err != nil {
			panic("BUG: a list of groups can't be written: " + err.Error())
		}
		rt.Send(&remoting.Reply{Body: body})
	})
}

// groupList tells which groups the node runs.
func (n *Node) groupList() groupList {
	list := groupList{Base: n.config.BrokerName, Node: n.config.Replication.Self}
	for _, p := range n.config.Replication.ClusterPeers {
		list.Nodes = append(list.Nodes, p.Name)
	}
	for _, s := range n.hostedShards() {
		line := groupLine{Broker: s.config.BrokerName, Name: s.config.BrokerName[len(n.config.BrokerName)+1:],
			State: groupOpen, Prefer: s.config.Replication.Prefer}
		drained := s.permission.Load()&broker.PermissionWrite == 0
		if drained {
			line.State = groupDrained
		}
		if waits := s.waits.Load(); waits != nil {
			line.Waits = *waits
		}
		if s.serving() {
			line.Leader = s.replica.Role().Leader.Name
			if drained {
				left := s.broker.Unfinished()
				line.Left = left.Unconsumed + left.Waiting
			}
		}
		list.Groups = append(list.Groups, line)
	}
	return list
}
