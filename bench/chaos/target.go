package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
)

// target is the node that a fault strikes: one with a number, or one that has a
// role in a group when it strikes.
type target struct {
	role   role
	index  int // of the node; of followers, counted from the leader on
	broker int // whose group it is
	name   string
}

type role uint8

const (
	anyNode role = iota
	leads
	follows
)

// drawTarget chooses a target. Where nothing is replicated it is one of the
// nodes.
func drawTarget(random *rand.Rand, c *cluster.Cluster) target {
	t := target{index: random.IntN(len(c.Nodes()))}
	if c.Topology().Replicas < 2 {
		return t
	}
	t.role = role(random.IntN(3))
	t.broker = random.IntN(c.Topology().Brokers)
	t.name = c.Brokers()[t.broker].Name
	if t.role == follows {
		t.index %= len(c.Nodes()) - 1
	}
	return t
}

// String names the target for people.
func (t target) String() string {
	switch t.role {
	case leads:
		return "the leader of " + t.name
	case follows:
		return fmt.Sprintf("follower %d of %s", t.index+1, t.name)
	}
	return fmt.Sprintf("node %d", t.index)
}

// find tells which node it is now.
func (t target) find(ctx context.Context, c *cluster.Cluster) (*cluster.Node, error) {
	if t.role == anyNode {
		return c.Nodes()[t.index], nil
	}
	leader, err := c.Leader(ctx, t.broker)
	if err != nil || t.role == leads {
		return leader, err
	}
	return c.Nodes()[(leader.Index()+1+t.index)%len(c.Nodes())], nil
}

// others are all nodes but one.
func others(c *cluster.Cluster, n *cluster.Node) []*cluster.Node {
	var list []*cluster.Node
	for _, o := range c.Nodes() {
		if o != n {
			list = append(list, o)
		}
	}
	return list
}
