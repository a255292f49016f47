package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// View is a replicated group as one of its nodes knows it.
type View struct {
	Leads   bool     `json:"leads"`  // the node that was asked
	Leader  string   `json:"leader"` // its name, empty for nobody
	Members []Member `json:"members"`
	// Of a master and its slaves: what the master knows.
	MasterSlave  bool `json:"masterSlave"`
	SlavesInSync int  `json:"slavesInSync"`
}

// Member is a node of a View.
type Member struct {
	Name      string `json:"name"`
	Address   string `json:"address"` // for replication
	Voter     bool   `json:"voter"`
	Match     uint64 `json:"match"`     // the last frame that it has; known to the leader
	LagFrames uint64 `json:"lagFrames"` // known to the leader
}

const (
	viewTime   = 3 * time.Second
	changeTime = 60 * time.Second
	leaderTime = 60 * time.Second
	leaderPoll = 20 * time.Millisecond
)

var quiet = slog.New(slog.DiscardHandler)

// request asks a broker of the node, past the links, about its group, or to
// change it.
func (n *Node) request(ctx context.Context, broker int, code int32, peer string, limit time.Duration) (View, error) {
	return n.requestWith(ctx, broker, code, limit, remoting.TextField{Key: "peer", Value: peer})
}

func (n *Node) requestWith(ctx context.Context, broker int, code int32, limit time.Duration, field remoting.TextField) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := remoting.Dial(ctx, n.Direct(broker), remoting.ClientOptions{Logger: quiet, CallTimeout: limit})
	if err != nil {
		return View{}, err
	}
	defer c.Close()
	reply, err := c.Call(ctx, &remoting.Request{Code: code, Header: []remoting.TextField{field}})
	if err != nil {
		return View{}, err
	}
	var v View
	if reply.Code != remoting.ResponseSuccess {
		return v, fmt.Errorf("request %d to node %d: code %d, %s", code, n.index, reply.Code, reply.Remark)
	}
	return v, json.Unmarshal(reply.Body, &v)
}

// View is the group of a broker as the node knows it.
func (n *Node) View(ctx context.Context, broker int) (View, error) {
	return n.request(ctx, broker, remoting.RequestGetReplicas, "", viewTime)
}

// Leader waits for a node that leads a broker's group.
func (c *Cluster) Leader(ctx context.Context, broker int) (*Node, error) {
	var found *Node
	err := await(ctx, fmt.Sprintf("a leader of broker %d", broker), leaderTime, func(ctx context.Context) bool {
		for _, n := range c.nodes {
			if v, err := n.View(ctx, broker); err == nil && v.Leads {
				found = n
				return true
			}
		}
		return false
	})
	return found, err
}

// AwaitWhole waits until each member of a broker's group has all that its
// leader has. All nodes must run and be members.
func (c *Cluster) AwaitWhole(ctx context.Context, broker int) error {
	return await(ctx, fmt.Sprintf("all replicas of broker %d", broker), leaderTime, func(ctx context.Context) bool {
		leader, err := c.Leader(ctx, broker)
		if err != nil {
			return false
		}
		v, err := leader.View(ctx, broker)
		whole := err == nil && v.Leads && len(v.Members) == len(c.nodes)
		for _, m := range v.Members {
			whole = whole && (m.Voter || v.MasterSlave) && m.LagFrames == 0
		}
		return whole
	})
}

// Compare has the binary's own tool compare what the replicas of each broker have
// made of their logs.
func (c *Cluster) Compare(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, c.options.Binary, "admin", "compare", "--namesrv", strings.Join(c.Nameservers(), ";")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compare the replicas: %w: %s", err, out)
	}
	return nil
}

// AwaitAlone waits until a node answers for itself alone in a broker's group: it
// knows no leader, or is a master.
func (c *Cluster) AwaitAlone(ctx context.Context, n *Node, broker int) error {
	return await(ctx, fmt.Sprintf("node %d to be without a leader", n.index), leaderTime, func(ctx context.Context) bool {
		v, err := n.View(ctx, broker)
		return err == nil && (v.Leader == "" || v.MasterSlave && v.Leads)
	})
}

func await(ctx context.Context, what string, limit time.Duration, is func(context.Context) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("waited for %s for %v", what, limit))
	defer cancel()
	again := time.NewTicker(leaderPoll)
	defer again.Stop()
	for !is(ctx) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
	return nil
}

// Transfer gives the leadership of a broker's group to a node.
func (c *Cluster) Transfer(ctx context.Context, broker int, to *Node) error {
	return c.change(ctx, broker, remoting.RequestTransferLeadership, to.Name(), changeTime)
}

// AwaitInSync waits until a master's slaves count.
func (c *Cluster) AwaitInSync(ctx context.Context, broker int) error {
	return await(ctx, "slaves to be in sync", leaderTime, func(ctx context.Context) bool {
		leader, err := c.Leader(ctx, broker)
		if err != nil {
			return false
		}
		v, err := leader.View(ctx, broker)
		return err == nil && v.SlavesInSync == len(c.nodes)-1
	})
}

// Promote makes a node the master of a broker, by force without asking others.
func (c *Cluster) Promote(ctx context.Context, broker int, n *Node, force bool) error {
	_, err := n.requestWith(ctx, broker, remoting.RequestPromoteReplica, changeTime, remoting.TextField{Key: "force", Value: fmt.Sprint(force)})
	return err
}

// Remove takes a node out of a broker's group.
func (c *Cluster) Remove(ctx context.Context, broker int, n *Node) error {
	return c.change(ctx, broker, remoting.RequestRemoveReplica, n.Peer(), changeTime)
}

// Add makes a node that runs a member of a broker's group. It tries again
// while the node isn't ready for that.
func (c *Cluster) Add(ctx context.Context, broker int, n *Node) error {
	return c.AddWithin(ctx, broker, n, leaderTime)
}

// AddWithin is Add for a node that may take longer to catch up.
func (c *Cluster) AddWithin(ctx context.Context, broker int, n *Node, limit time.Duration) error {
	var last error
	err := await(ctx, fmt.Sprintf("node %d to become a member", n.index), limit, func(ctx context.Context) bool {
		last = c.change(ctx, broker, remoting.RequestAddReplica, n.Peer(), limit)
		return last == nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

func (c *Cluster) change(ctx context.Context, broker int, code int32, peer string, limit time.Duration) error {
	leader, err := c.Leader(ctx, broker)
	if err != nil {
		return err
	}
	_, err = leader.request(ctx, broker, code, peer, limit)
	return err
}
