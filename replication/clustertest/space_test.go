package clustertest

import (
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// endWithoutRoom proposes until a node's log stays where it is for a while.
func (c *Cluster) endWithoutRoom(n *Node) {
	c.t.Helper()
	log := n.living().group.Engine().Log()
	last, since := event.Index(0), time.Now()
	c.until("a log that takes nothing more", func() bool {
		if leader := c.leading(); leader != nil {
			c.send(leader, -100, event.Queue{Topic: messageTopic}, 1, 9000, engine.WaitCommitted)
		}
		if end, _, _ := log.End(); end != last {
			last, since = end, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
}

func TestAFollowerWithAFullDiskCatchesUpWhenThereIsRoomAgain(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 1000)
		for round := range 3 {
			follower := c.others(c.leader())[0]
			follower.fill()
			c.endWithoutRoom(follower)
			c.mustSend(20, 3000)
			switch round {
			case 1:
				follower.stop()
				c.start(follower)
			case 2:
				follower.cut()
				c.start(follower)
			}
			c.mustSend(5, 3000)
			follower.empty()
			c.check()
		}
	})
}

// TestALeaderWithAFullDiskRefusesAndTheGroupGoesOnUnderAnother: what is refused
// is nowhere, and operators hand leadership over.
func TestALeaderWithAFullDiskRefusesAndTheGroupGoesOnUnderAnother(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 1000)
		old := c.leader()
		old.fill()
		c.endWithoutRoom(old)
		if c.send(old, -100, event.Queue{Topic: messageTopic}, 1, 9000, engine.WaitCommitted) {
			c.fatalf("a leader without room has confirmed a message")
		}
		c.until("another leader", func() bool {
			if leader := c.leader(); leader == old {
				_ = old.living().group.Transfer("") // tried again
			}
			return c.leader() != old
		})
		c.mustSend(20, 9000)
		old.empty()
		c.check()
	})
}
