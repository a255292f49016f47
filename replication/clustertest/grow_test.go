package clustertest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

func (n *Node) singleOptions() replication.SingleOptions {
	o := n.options(&life{node: n, disk: newMachineDisk(n.disk, func() {}), over: make(chan struct{})})
	o.Engine.CommitAt, o.Engine.Log.Create = engine.CommitDurable, commitlog.Creation{}
	return replication.SingleOptions{Address: n.peer.Address, Engine: o.Engine, Proposer: o.Proposer}
}

// single lets a node live as a group of its own, without Raft, and store
// messages.
func (c *Cluster) single(n *Node, count int) {
	c.t.Helper()
	s, _, err := replication.OpenSingle(n.singleOptions())
	if err != nil {
		c.fatalf("open a single node: %v", err)
	}
	for range count {
		m := &sent{ledger: c.ledger, first: c.ledger.ask(-200, event.Queue{Topic: messageTopic}, 1), count: 1, done: make(chan engine.Outcome, 1)}
		d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: messageTopic, Payload: payload(m.first, 3000)}
		if err := s.Propose(&engine.Proposal{Drafts: []event.Draft{d}, Completion: m}); err != nil {
			c.fatalf("propose: %v", err)
		}
		if outcome := <-m.done; outcome != engine.OutcomeCommitted {
			c.fatalf("outcome %v", outcome)
		}
	}
	if err := s.Close(); err != nil {
		c.fatalf("close: %v", err)
	}
	n.disk = n.disk.Kill()
}

// leave takes a node out of the group for good.
func (c *Cluster) leave(n *Node) {
	c.t.Helper()
	c.until("a member to go", func() bool {
		leader := c.leading()
		if leader == nil {
			return false
		}
		l := leader.living()
		if l == nil {
			return false
		}
		if _, err := l.group.RemovePeer(n.peer.Address); err == nil {
			return true
		}
		return !slices.ContainsFunc(l.group.Members(), func(p replication.Peering) bool { return p.Address == n.peer.Address })
	})
	n.cut()
	n.gone = true
}

// TestASingleNodeGrowsToThreeShrinksToOneAndGrowsAgain goes from a single node
// to a group, back and to a group again, with power cuts and retention between.
func TestASingleNodeGrowsToThreeShrinksToOneAndGrowsAgain(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		a := c.add()
		c.single(a, 60)
		c.start(a)
		c.mustSend(60, 1000)
		c.settle()
		c.decideToTrim(1)
		b, d := c.add(), c.add()
		for _, n := range []*Node{b, d} {
			c.start(n)
			c.join(n)
		}
		c.mustSend(60, 3000)
		c.check()
		c.mustBeInAGroup(a, b, d)
		c.decideToTrim(1)

		d.cut()
		c.mustSend(20, 3000)
		c.leave(d)
		c.leader(a, b)
		c.leave(b)
		c.leader(a)
		c.mustSend(20, 3000)
		c.check()
		for range 2 {
			if c.seed%2 == 0 {
				a.cut()
			} else {
				a.stop()
			}
			c.single(a, 20)
			c.single(a, 20)
			c.start(a)
			c.mustSend(5, 1000)
			c.check()
		}
		for range 2 {
			n := c.add()
			c.start(n)
			c.join(n)
		}
		c.mustSend(40, 3000)
		c.check()
		for _, n := range c.up() {
			n.cut()
		}
		c.start(c.up()...)
		c.check()
		if got := len(c.leader().living().group.Members()); got != 3 {
			c.fatalf("the group has %d members", got)
		}
	})
}

// mustBeInAGroup checks that none of the nodes goes on by itself.
func (c *Cluster) mustBeInAGroup(nodes ...*Node) {
	c.t.Helper()
	for _, n := range nodes {
		n.stop()
	}
	for _, n := range nodes {
		if _, _, err := replication.OpenSingle(n.singleOptions()); !errors.Is(err, replication.ErrInGroup) {
			c.fatalf("%s, one of three, was opened alone: %v", n.peer.Name, err)
		}
		n.disk = n.disk.Kill()
	}
	c.start(nodes...)
	c.mustSend(1, 10)
	c.pause(time.Millisecond)
}
