package clustertest

import "testing"

// capacityBytes of a node's disk, more than any test needs.
const capacityBytes = 1 << 40

// fill leaves no room for another segment on a node's disk, only for small
// files. empty gives it room again.
func (n *Node) fill() {
	free, err := n.disk.FreeBytes()
	if err != nil {
		n.cluster.fatalf("%v", err)
	}
	n.disk.SetCapacity(capacityBytes - free + n.cluster.segmentBytes*3/4)
}

func (n *Node) empty() { n.disk.SetCapacity(capacityBytes) }

// fillUntilRefused fills a node's disk and proposes until its log refuses
// entries.
func (c *Cluster) fillUntilRefused(n *Node) {
	c.t.Helper()
	n.fill()
	before := n.life.mortal.refusals.Load()
	c.until("a log that refuses entries", func() bool {
		c.propose(9000)
		return n.life.mortal.refusals.Load() > before
	})
}

func TestAFollowerWithAFullDiskCatchesUpWhenThereIsRoomAgain(t *testing.T) {
	forSeeds(t, *clusterSeeds/5+1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 1000)
		follower := c.others(c.mustLead(c.nodes...))[0]
		for round := range 3 {
			c.fillUntilRefused(follower)
			c.mustPropose(20, 3000)
			switch round {
			case 1:
				c.stop(follower)
				c.start(follower)
			case 2:
				c.cut(follower)
				c.start(follower)
			}
			c.mustPropose(5, 3000)
			follower.empty()
			c.check()
		}
	})
}

// TestAGroupGoesOnWhenItsLeadersDiskIsFull: the leader steps down. What is small
// may still fit, so it may be elected again before another is.
func TestAGroupGoesOnWhenItsLeadersDiskIsFull(t *testing.T) {
	forSeeds(t, *clusterSeeds/5+1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 1000)
		old := c.mustLead(c.nodes...)
		c.fillUntilRefused(old)
		c.mustPropose(30, 9000)
		if leader := c.mustLead(c.nodes...); leader == old {
			t.Errorf("%s leads, whose disk has no room for what was committed", old.id)
		}
		old.empty()
		c.check()
	})
}
