package clustertest

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

// outcomes takes in how proposals of a single node end.
type outcomes chan engine.Outcome

func (o outcomes) Complete(p *engine.Proposal) { o <- p.Outcome }

func (n *Node) singleOptions() replication.SingleOptions {
	o := n.logOptions()
	return replication.SingleOptions{
		Address: string(n.address),
		Engine: engine.Options{CommitAt: engine.CommitDurable, Log: commitlog.Options{
			Disk: o.Disk, SegmentBytes: o.SegmentBytes, TailBytes: o.TailBytes, HistoryBytes: o.HistoryBytes, Fatal: o.Fatal,
		}},
		Proposer: replication.ProposerOptions{
			WaitingBytes: 1 << 20, WaitTime: time.Second, FlushTimeout: time.Minute,
			Now: func() int64 { return time.Now().UnixMilli() },
		},
	}
}

// single lets a node live as a group of its own, without Raft, and store count
// messages. It takes on the identity that its log was given.
func (c *Cluster) single(n *Node, count int) {
	c.t.Helper()
	s, _, err := replication.OpenSingle(n.singleOptions())
	if err != nil {
		c.fatalf("open a single node: %v", err)
	}
	n.meta = s.Engine().Log().Meta()
	n.id, c.logID = raft.ServerID(hex.EncodeToString(n.meta.Node[:])), n.meta.Log
	done := make(outcomes, 1)
	for range count {
		d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(make([]byte, 3000))}
		if err := s.Propose(&engine.Proposal{Drafts: []event.Draft{d}, Completion: done}); err != nil {
			c.fatalf("propose: %v", err)
		}
		if outcome := <-done; outcome != engine.OutcomeCommitted {
			c.fatalf("outcome %v", outcome)
		}
	}
	if err := s.Close(); err != nil {
		c.fatalf("close: %v", err)
	}
}

func TestASingleNodeGrowsToThreeShrinksToOneAndGrowsAgain(t *testing.T) {
	forSeeds(t, *clusterSeeds/5+1, func(t *testing.T, seed uint64, replay string) {
		c := newCluster(t, seed, replay)
		a := c.add("a")
		c.single(a, 60)
		c.start(a)
		c.mustPropose(60, 1000)
		c.trim(1, a)
		b, d := c.add("b"), c.add("d")
		for _, n := range []*Node{b, d} {
			c.start(n)
			c.addVoter(n)
		}
		c.mustPropose(60, 3000)
		c.check()
		c.trim(1, a, b)

		c.cut(d)
		c.mustPropose(20, 3000)
		c.remove(d)
		c.mustLead(a, b)
		c.remove(b)
		c.mustLead(a)
		c.mustPropose(60, 3000)
		c.trim(0, a)
		c.check()

		c.stop(a)
		c.start(a)
		for _, name := range []string{"e", "f"} {
			n := c.add(name)
			c.start(n)
			c.addVoter(n)
		}
		c.mustPropose(40, 3000)
		c.check()
		c.cut(c.nodes...)
		c.start(c.nodes...)
		c.check()
		c.mustHold(a.id, "node-e", "node-f")
	})
}

// mustHold checks the group's members as every node knows them.
func (c *Cluster) mustHold(ids ...raft.ServerID) {
	c.t.Helper()
	for _, n := range c.nodes {
		var got []raft.ServerID
		for _, s := range n.life.raft.GetConfiguration().Configuration().Servers {
			got = append(got, s.ID)
		}
		slices.Sort(got)
		slices.Sort(ids)
		if !slices.Equal(got, ids) {
			c.fatalf("%s knows the members %v, want %v", n.id, got, ids)
		}
	}
}

// TestANodeLivesAloneOnlyWhenItsGroupHasComeDownToIt goes from a single node to
// a group, back and to a group again.
func TestANodeLivesAloneOnlyWhenItsGroupHasComeDownToIt(t *testing.T) {
	forSeeds(t, *clusterSeeds/5+1, func(t *testing.T, seed uint64, replay string) {
		c := newCluster(t, seed, replay)
		a := c.add("a")
		c.single(a, 20)
		c.start(a)
		b, d := c.add("b"), c.add("d")
		for _, n := range []*Node{b, d} {
			c.start(n)
			c.addVoter(n)
		}
		c.mustPropose(40, 1000)
		c.check()
		c.stop(c.nodes...)
		for _, n := range c.nodes {
			if _, _, err := replication.OpenSingle(n.singleOptions()); !errors.Is(err, replication.ErrInGroup) {
				c.fatalf("%s, one of three, was opened alone: %v", n.id, err)
			}
		}
		c.start(c.nodes...)
		c.mustPropose(20, 1000)
		c.remove(d)
		c.mustLead(a, b)
		c.remove(b)
		c.mustLead(a)
		c.mustPropose(5, 1000)
		for range 2 {
			if seed%2 == 0 {
				c.cut(a)
			} else {
				c.stop(a)
			}
			c.single(a, 20)
			c.single(a, 20)
			c.start(a)
			c.mustPropose(5, 1000)
			c.check()
		}
		for _, name := range []string{"e", "f"} {
			n := c.add(name)
			c.start(n)
			c.addVoter(n)
		}
		c.mustPropose(40, 3000)
		c.check()
		c.mustHold(a.id, "node-e", "node-f")
	})
}
