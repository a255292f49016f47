package node

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/forward"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/server/remoting/certificate"
)

var errNoSecret = errors.New("the nodes share no secret by which one could speak for a client; set clusterSecret")

// openForwarder makes what passes clients' requests to the leader while this
// node follows.
func (n *Node) openForwarder() error {
	dial, err := n.dialLeader()
	if err != nil {
		return err
	}
	r := &n.config.Replication
	n.forward = forward.New(forward.Options{Local: n.broker, Dial: dial, Group: n.groupName(), Secret: []byte(r.Secret), Log: n.log})
	n.metrics.add(n.forward.WriteMetrics)
	n.broker.Follow(n.followerID())
	return nil
}

// dialLeader is how a follower reaches the leader as a client. It is encrypted
// where replication is, or where the nodes take nothing else.
func (n *Node) dialLeader() (func(context.Context, string, remoting.ClientOptions) (*remoting.Client, error), error) {
	c := &n.config
	if c.Replication.TLS && c.Replication.Secret == "" {
		n.log.Warn("followers don't forward clients' requests to the leader: " + errNoSecret.Error())
		return func(context.Context, string, remoting.ClientOptions) (*remoting.Client, error) {
			return nil, errNoSecret
		}, nil
	}
	var config *tls.Config
	if c.Transport.Mode != remoting.TLSDisabled && (c.Replication.TLS || c.Transport.Mode == remoting.TLSEnforcing) {
		files := c.Transport.ClientFiles
		if c.Replication.TLS {
			files = c.Transport.Server
			files.VerifyPeer = true
		}
		var err error
		if config, err = certificate.NewClient(files); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, address string, o remoting.ClientOptions) (*remoting.Client, error) {
		o.TLS = config
		return remoting.Dial(ctx, n.faults.reach(address), o)
	}, nil
}

// followLeader has clients' requests forwarded to the leader, where there is
// one that isn't this node. What this node is to lead waits for Lead.
func (n *Node) followLeader(r replication.Role) {
	switch {
	case n.forward == nil:
	case r.Leads || r.Leader.Self:
		n.forward.Follow("")
	default:
		n.forward.Follow(r.Leader.Service)
	}
}

// groupName is that of the node's group.
func (n *Node) groupName() string {
	if name := n.config.Replication.Group; name != "" {
		return name
	}
	return n.config.BrokerName
}

// followerID is the node's broker id while it doesn't lead; 0 for a broker
// that has no replicas.
func (n *Node) followerID() int64 {
	if n.group == nil {
		return 0
	}
	return n.config.Replication.followerID()
}
