package node

import (
	"encoding/json"
	"time"

	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/remoting"
)

// promoter stands before a broker that asks who the master is, and lets an
// administrator end that.
type promoter struct {
	authorizer broker.Authorizer // nil: everything is served
	forced     chan<- struct{}
}

// takes answers a request to lead and reports whether it was one.
func (p *promoter) takes(rt remoting.ReplyTo, cmd *remoting.Command) bool {
	if cmd.Code != remoting.RequestPromoteReplica {
		return false
	}
	if p.authorizer != nil {
		if err := p.authorizer.Authorize(rt.Conn, cmd); err != nil {
			rt.Send(&remoting.Reply{Code: remoting.ResponseNoPermission, Remark: err.Error()})
			return true
		}
	}
	if !cmd.Bool("force") {
		rt.Send(&remoting.Reply{Code: remoting.ResponseSystemError,
			Remark: "the broker is asking its slaves and the nameservers whether there is another master; if those who don't answer are gone, use --force"})
		return true
	}
	select {
	case p.forced <- struct{}{}:
	default: // it was told already
	}
	rt.Send(&remoting.Reply{})
	return true
}

// haStatus is RocketMQ's HARuntimeInfo.
type haStatus struct {
	Client      haClient       `json:"haClientRuntimeInfo"`
	Connections []haConnection `json:"haConnectionInfo"`
	InSync      int            `json:"inSyncSlaveNums"`
	Master      bool           `json:"master"`
	End         int64          `json:"masterCommitLogMaxOffset"`
}

type haClient struct {
	Activated  bool   `json:"activated"`
	LastRead   int64  `json:"lastReadTimestamp"`
	LastWrite  int64  `json:"lastWriteTimestamp"`
	Master     string `json:"masterAddr"`
	MasterMark int64  `json:"masterFlushOffset"`
	End        int64  `json:"maxOffset"`
	Rate       int64  `json:"transferredByteInSecond"`
}

type haConnection struct {
	Address string `json:"addr"`
	Behind  int64  `json:"diff"`
	InSync  bool   `json:"inSync"`
	Acked   int64  `json:"slaveAckOffset"`
	From    int64  `json:"transferFromWhere"`
	Rate    int64  `json:"transferredByteInSecond"`
}

const (
	// silenceMax is how long a member that is in sync may not have been heard of,
	// gapMax how much of the log it may lack: RocketMQ's haMaxGapNotInSync.
	silenceMax = 5 * time.Second
	gapMax     = 256 << 20
)

// keepsUp reports whether a member of a group has what there is, or is about to.
// A master that waits for slaves counts them itself.
func keepsUp(p replication.Peering) bool {
	return p.Match > 0 && p.Behind < gapMax && time.Since(p.LastContact) < silenceMax
}

// showStatus answers mqadmin's getBrokerHAStatus. Rates are not known and zero.
func (r *replicas) showStatus(rt remoting.ReplyTo) {
	role := r.group.Role()
	_, _, end := r.group.Engine().Log().End()
	_, wanted, _ := r.group.Slaves()
	v := haStatus{Master: role.Leads, End: int64(end), Connections: []haConnection{}}
	for _, p := range r.group.Members() {
		if p.Self {
			continue
		}
		if role.Leads {
			acked, inSync := int64(end)-p.Behind, p.InSync || wanted == 0 && keepsUp(p)
			v.Connections = append(v.Connections, haConnection{Address: p.Address, Behind: p.Behind, InSync: inSync, Acked: acked, From: acked})
			if inSync {
				v.InSync++
			}
		}
	}
	if !role.Leads {
		v.End = 0
		v.Client = haClient{Activated: role.Leader.ID != "", Master: role.Leader.Address, End: int64(end)}
		if v.Client.Activated {
			v.Client.LastRead = time.Now().UnixMilli()
		}
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: the state of replication can't be written: " + err.Error())
	}
	rt.Send(&remoting.Reply{Body: body})
}
