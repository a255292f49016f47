package clustertest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

// Cluster is a group under test. One goroutine, the test's, starts and stops
// nodes; any may propose.
type Cluster struct {
	t            *testing.T
	seed         uint64
	replay       string
	rng          *rand.Rand
	segmentBytes int64
	ledger       *ledger
	installs     atomic.Uint64
	numbers      atomic.Uint64
	over         chan struct{}
	logID        event.LogID

	mu    sync.Mutex // guards nodes' lives for clients
	nodes []*Node
	cutOf map[[2]raft.ServerAddress]bool
}

// newCluster makes a group without nodes. replay is the command that runs the
// test again.
func newCluster(t *testing.T, seed uint64, replay string) *Cluster {
	t.Helper()
	c := &Cluster{
		t: t, seed: seed, replay: replay, rng: rand.New(rand.NewPCG(seed, 5)), segmentBytes: 96 << 10,
		logID: event.LogID{0xa9, 0x09, 0xee}, ledger: newLedger(), over: make(chan struct{}), cutOf: map[[2]raft.ServerAddress]bool{},
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n.life != nil {
				n.cut()
			}
		}
		close(c.over)
	})
	return c
}

// add makes a node with an empty disk, which is down.
func (c *Cluster) add(name string) *Node {
	n := &Node{
		cluster: c, id: raft.ServerID("node-" + name), address: raft.ServerAddress(name), logs: &logBuffer{},
		meta: commitlog.Meta{Log: c.logID, Node: [16]byte{name[0]}},
		disk: simdisk.New(c.seed*100+uint64(len(c.nodes)), simdisk.Options{StaleBytes: c.seed%3 == 0}),
	}
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return n
}

// trio starts a group of three: one node whose log begins with the
// configuration of a single node, and two that join it.
func trio(t *testing.T, seed uint64, replay string) *Cluster {
	c := newCluster(t, seed, replay)
	a := c.add("a")
	c.found(a)
	c.start(a)
	for _, name := range []string{"b", "c"} {
		n := c.add(name)
		c.start(n)
		c.addVoter(n)
	}
	return c
}

// found gives the node a log that begins as that of a single node does.
func (c *Cluster) found(n *Node) {
	c.t.Helper()
	o := n.logOptions()
	o.Create.Configuration = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: n.id, Address: n.address}}})
	o.Create.Timestamp = 1
	l, _, err := commitlog.Open(o)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		c.fatalf("found the log: %v", err)
	}
}

// start starts nodes and connects them with those that are up.
func (c *Cluster) start(nodes ...*Node) {
	c.t.Helper()
	for _, n := range nodes {
		for attempts := 0; ; attempts++ {
			c.mu.Lock()
			up := n.start()
			c.mu.Unlock()
			if up {
				break
			}
			if attempts > 20 {
				c.fatalf("%s does not start", n.id)
			}
		}
		c.connect(n)
	}
}

func (c *Cluster) connect(n *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.nodes {
		if other != n && other.life != nil && n.life != nil {
			n.life.transport.Connect(other.address, other.life.transport)
			other.life.transport.Connect(n.address, n.life.transport)
		}
	}
}

// isolate takes a node off the network.
func (c *Cluster) isolate(n *Node) {
	for _, other := range c.nodes {
		if other.life != nil && other != n {
			other.life.transport.Disconnect(n.address)
		}
	}
	if n.life != nil {
		n.life.transport.DisconnectAll()
	}
}

// cut cuts the power of nodes.
func (c *Cluster) cut(nodes ...*Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nodes {
		n.cut()
	}
}

// stop ends nodes in order.
func (c *Cluster) stop(nodes ...*Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nodes {
		n.stop()
	}
}

// remove takes a node out of the group and forgets it.
func (c *Cluster) remove(n *Node) {
	c.t.Helper()
	c.change("remove "+string(n.id), func(r *raft.Raft) raft.IndexFuture { return r.RemoveServer(n.id, 0, time.Second) })
	c.cut(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.nodes {
		if c.nodes[i] == n {
			c.nodes = append(c.nodes[:i:i], c.nodes[i+1:]...)
			return
		}
	}
}

func (c *Cluster) addVoter(n *Node) {
	c.t.Helper()
	c.change("add "+string(n.id), func(r *raft.Raft) raft.IndexFuture { return r.AddVoter(n.id, n.address, 0, time.Second) })
}

// change changes the configuration, again until a leader does it.
func (c *Cluster) change(what string, do func(*raft.Raft) raft.IndexFuture) {
	c.t.Helper()
	c.until(what, func() bool {
		l := c.leader()
		return l != nil && do(l.life.raft).Error() == nil
	})
}

// leader is a node with power that leads, nil if none does.
func (c *Cluster) leader() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.life != nil && !n.disk.Crashed() && n.life.raft.State() == raft.Leader {
			return n
		}
	}
	return nil
}

// mustLead waits for a leader among nodes.
func (c *Cluster) mustLead(nodes ...*Node) *Node {
	c.t.Helper()
	var leader *Node
	c.until("a leader", func() bool {
		for _, n := range nodes {
			if n.life.raft.State() == raft.Leader && n.life.raft.VerifyLeader().Error() == nil {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// patience is how long a condition may take on a busy machine.
const patience = 15 * time.Second

// until waits for a condition.
func (c *Cluster) until(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		if err := c.ledger.failure(); err != nil {
			c.fatalf("while waiting for %s: %v", what, err)
		}
		select {
		case <-again.C:
		case <-deadline.C:
			c.fatalf("%s: not after %v", what, patience)
		}
	}
}

// fatalf ends the test with all that helps to find out why.
func (c *Cluster) fatalf(format string, args ...any) {
	c.t.Helper()
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "%s", n.id)
		if l := n.life; l != nil {
			first, _ := l.log.First()
			end, term, _ := l.log.End()
			fmt.Fprintf(&b, ": log %d to %d of term %d, raft %v", first, end, term, l.raft.Stats())
		}
		fmt.Fprintf(&b, "\n%s\n", n.logs)
	}
	c.t.Fatalf("seed %d: %s\nreplay: %s -cluster.seed=%d\n%s", c.seed, fmt.Sprintf(format, args...), c.replay, c.seed, b.String())
}

// trim trims the logs of nodes, but for some applied segments.
func (c *Cluster) trim(keep int, nodes ...*Node) {
	c.t.Helper()
	for _, n := range nodes {
		if err := n.life.fold.trim(keep); err != nil {
			c.fatalf("trim %s: %v", n.id, err)
		}
	}
}

var _ raft.BatchingFSM = (*fold)(nil)
var _ raft.MonotonicLogStore = (*replication.LogStore)(nil)
