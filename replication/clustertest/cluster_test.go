package clustertest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
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
	network      *network
	ledger       *ledger
	sums         *sums
	running      sync.WaitGroup // goroutines of nodes that live or have died

	mu    sync.Mutex
	nodes []*Node
	notes []string
	began time.Time
}

func newCluster(t *testing.T, seed uint64, replay string) *Cluster {
	c := &Cluster{
		t: t, seed: seed, replay: replay, rng: rand.New(rand.NewPCG(seed, 5)), segmentBytes: 96 << 10,
		network: newNetwork(seed), ledger: newLedger(), sums: &sums{first: map[event.Index]engine.Sum{}}, began: time.Now(),
	}
	return c
}

// end has everything that runs come to its end.
func (c *Cluster) end() {
	c.network.heal()
	for _, n := range c.all() {
		n.cut()
	}
	c.running.Wait()
}

// add makes a node with an empty disk, which is down.
func (c *Cluster) add() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("n%d", len(c.nodes))
	n := &Node{
		cluster: c, peer: replication.Peer{Name: name, Address: name + ":1"}, said: &lines{},
		disk: simdisk.New(c.seed*100+uint64(len(c.nodes)), simdisk.Options{StaleBytes: c.seed%3 == 0}),
	}
	c.nodes = append(c.nodes, n)
	return n
}

// found makes a group of count nodes and waits for a leader.
func (c *Cluster) found(count int) {
	c.t.Helper()
	for range count {
		c.add()
	}
	c.start(c.nodes...)
	c.leader()
}

// start starts nodes and waits until they are open.
func (c *Cluster) start(nodes ...*Node) {
	c.t.Helper()
	var begun []*life
	for _, n := range nodes {
		begun = append(begun, n.start())
	}
	for _, l := range begun {
		<-l.opened
	}
}

func (c *Cluster) all() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Node(nil), c.nodes...)
}

// peers are the nodes that a settings file would name today.
func (c *Cluster) peers() []replication.Peer {
	var all []replication.Peer
	for _, n := range c.up() {
		all = append(all, n.peer)
	}
	return all
}

// others are the nodes but for some.
func (c *Cluster) others(but ...*Node) []*Node {
	var all []*Node
next:
	for _, n := range c.all() {
		for _, b := range but {
			if n == b {
				continue next
			}
		}
		all = append(all, n)
	}
	return all
}

// isolate cuts a node off from all others, or lets it back.
func (c *Cluster) isolate(n *Node, cut bool) {
	for _, o := range c.others(n) {
		c.network.cut(n.peer.Address, o.peer.Address, cut)
		c.network.cut(o.peer.Address, n.peer.Address, cut)
	}
}

// leading is a node among some that leads, nil if none does.
func (c *Cluster) leading(among ...*Node) *Node {
	if len(among) == 0 {
		among = c.all()
	}
	for _, n := range among {
		if l := n.living(); l != nil && l.group.Role().Leads {
			return n
		}
	}
	return nil
}

// leader waits for a leader among nodes.
func (c *Cluster) leader(among ...*Node) *Node {
	c.t.Helper()
	var leader *Node
	c.until("a leader", func() bool {
		leader = c.leading(among...)
		return leader != nil
	})
	return leader
}

// patience is how long a condition may take, in the time of the simulation.
const patience = 60 * time.Second

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

// pause lets time pass.
func (c *Cluster) pause(d time.Duration) { <-time.After(d) }

// note remembers what was done, for a test that fails.
func (c *Cluster) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, fmt.Sprintf("%8.3fs %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...)))
}

// fatalf ends the test with all that helps to find out why.
func (c *Cluster) fatalf(format string, args ...any) {
	c.t.Helper()
	var b strings.Builder
	for _, n := range c.all() {
		fmt.Fprintf(&b, "%s", n.peer.Name)
		if l := n.living(); l != nil {
			first, _ := l.group.Engine().Log().First()
			fmt.Fprintf(&b, ": log from %d, marks %+v, role %+v", first, l.group.Engine().Marks(), l.group.Role())
		}
		fmt.Fprintf(&b, "\n%s\n", n.said)
	}
	c.mu.Lock()
	notes := strings.Join(c.notes, "\n")
	c.mu.Unlock()
	c.t.Fatalf("seed %d: %s\nreplay: %s -cluster.seed=%d\n%s\n%s", c.seed, fmt.Sprintf(format, args...), c.replay, c.seed, notes, b.String())
}
