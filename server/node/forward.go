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
func (s *shard) openForwarder() error {
	dial, err := s.dialLeader()
	if err != nil {
		return err
	}
	r := &s.config.Replication
	s.forward = forward.New(forward.Options{Local: s.broker, Dial: dial, Group: s.groupName(), Secret: []byte(r.Secret), Log: s.log})
	s.metrics.add(s.forward.WriteMetrics)
	s.broker.Follow(s.followerID())
	return nil
}

// dialLeader is how a follower reaches the leader as a client. It is encrypted
// where replication is, or where the nodes take nothing else.
func (s *shard) dialLeader() (func(context.Context, string, remoting.ClientOptions) (*remoting.Client, error), error) {
	c := &s.config
	if !s.canForward() {
		s.log.Warn("followers don't forward clients' requests to the leader: " + errNoSecret.Error())
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
		return remoting.Dial(ctx, s.node.faults.reach(address), o)
	}, nil
}

// canForward reports whether a leader would believe that this node speaks for
// clients.
func (s *shard) canForward() bool {
	r := &s.config.Replication
	return !r.TLS || r.Secret != ""
}

// passesOn reports whether clients may take this node for the master while
// there is none: in a group that elects the next one by itself.
func (s *shard) passesOn() bool {
	return s.forward != nil && s.config.Replication.Enabled && s.canForward()
}

// followLeader has clients' requests forwarded to the leader, where there is
// one that isn't this node. What this node is to lead waits for Lead.
func (s *shard) followLeader(r replication.Role) {
	switch {
	case s.forward == nil:
	case r.Leads || r.Leader.Self:
		s.forward.Follow("")
	default:
		s.forward.Follow(r.Leader.Service)
	}
}

// groupName is that of the node's group.
func (s *shard) groupName() string {
	if r := &s.config.Replication; r.Enabled && r.Group != "" {
		return r.Group
	}
	return s.config.BrokerName
}

// followerID is the node's broker id while it doesn't lead; 0 for a broker
// that has no replicas.
func (s *shard) followerID() int64 {
	if s.group == nil {
		return 0
	}
	if !s.config.Replication.Enabled {
		return s.slaveID()
	}
	return s.config.Replication.followerID()
}
