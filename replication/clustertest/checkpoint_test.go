package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// trimAll has all nodes drop all segments but a few.
func (c *Cluster) trimAll(nodes ...*Node) {
	c.t.Helper()
	c.settle()
	c.decideToTrim(1)
	for _, n := range nodes {
		c.until("old segments to go", func() bool { return n.firstFrame() > 10 })
	}
}

// firstFrame is where a node's log begins, 0 for a node that is down.
func (n *Node) firstFrame() event.Index {
	l := n.living()
	if l == nil {
		return 0
	}
	first, _ := l.group.Engine().Log().First()
	return first
}

// join adds a node and makes it a member, by whoever leads.
func (c *Cluster) join(n *Node) {
	c.t.Helper()
	c.until("a new member", func() bool {
		leader := c.leading()
		if leader == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := leader.living().group.AddPeer(ctx, n.peer.Address)
		return err == nil
	})
}

func TestANewReplicaOfATrimmedLogGetsEveryRetainedFrame(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(100, 3000)
		c.trimAll(c.all()...)
		d := c.add()
		c.start(d)
		c.join(d)
		c.check()
		if got, want := d.firstFrame(), c.leader().firstFrame(); got != want {
			c.fatalf("the new replica begins with frame %d, the leader with %d", got, want)
		}
		c.mustSend(50, 3000)
		d.stop()
		c.start(d)
		c.mustSend(5, 100)
		c.check()
	})
}

func TestAReplicaThatIsFarBehindGetsACheckpoint(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 3000)
		c.check()
		behind := c.others(c.leader())[0]
		behind.cut()
		c.mustSend(100, 3000)
		others := c.others(behind)
		c.until("the others to be even", func() bool {
			a, b := others[0].living().group.Engine().Marks(), others[1].living().group.Engine().Marks()
			return a.Applied == b.Applied
		})
		c.decideToTrim(1)
		c.until("old segments to go", func() bool { return others[0].firstFrame() > 10 && others[1].firstFrame() > 10 })
		c.start(behind)
		c.check()
		if behind.firstFrame() <= 10 {
			c.fatalf("no checkpoint was installed: nothing is tested")
		}
	})
}

// TestAReplicaWhoseConflictReachesPastTheCheckpointAgreesAfterOne: Raft goes on
// counting on entries that the checkpoint has replaced.
func TestAReplicaWhoseConflictReachesPastTheCheckpointAgreesAfterOne(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		old, _ := c.strand(40, 200)
		others := c.others(old)
		c.leader(others...)
		end, _, _ := old.living().group.Engine().Log().End()
		for others[0].firstFrame() <= 10 || others[1].firstFrame() <= 10 {
			c.mustSend(8, 12<<10)
			c.decideToTrim(0)
			c.pause(20 * time.Millisecond)
		}
		if first := max(others[0].firstFrame(), others[1].firstFrame()); first >= end {
			c.fatalf("the others begin with frame %d, the conflict ends with %d: nothing is tested", first, end)
		}
		c.isolate(old, false)
		c.check()
	})
}

func TestAReplicaThatLosesPowerWhileItInstallsACheckpointGetsThere(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		c.mustSend(100, 3000)
		c.trimAll(c.all()...)
		for range 3 {
			d := c.add()
			c.start(d)
			d.disk.CrashAfter(1 + c.rng.Uint64N(80))
			c.running.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, _ = c.leader().living().group.AddPeer(ctx, d.peer.Address) // it loses power
			})
			c.until("the power cut", d.disk.Crashed)
			d.cut()
			c.start(d)
			c.join(d)
			c.check()
		}
		for _, n := range c.all() {
			n.cut()
		}
		c.start(c.all()...)
		c.mustSend(10, 3000)
		c.check()
	})
}
