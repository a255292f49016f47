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

// TestTheGroupGoesOnUnderALeaderWithRoom: what a leader without room refuses is
// nowhere.
func TestTheGroupGoesOnUnderALeaderWithRoom(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 1000)
		old := c.leader()
		other := c.others(old)[c.rng.IntN(2)]
		old.fill()
		other.fill()
		third := c.others(old, other)[0]
		c.until("the one with room to lead", func() bool {
			if leader := c.leading(); leader != nil {
				c.send(leader, -100, event.Queue{Topic: messageTopic}, 1, 9000, engine.WaitCommitted)
			}
			return c.leading() == third
		})
		other.empty()
		c.mustSend(40, 9000)
		old.empty()
		c.check()
	})
}

func TestALeaderWithAFullDiskStaysWhereTheOthersAreFullTooAndRefuses(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 1000)
		for _, n := range c.all() {
			n.fill()
		}
		old := c.leader()
		c.endWithoutRoom(old)
		old = c.leader()
		term := old.living().group.Role().Term
		for range 10 {
			if c.send(old, -100, event.Queue{Topic: messageTopic}, 1, 9000, engine.WaitCommitted) {
				c.fatalf("a leader without room has confirmed a message")
			}
			c.pause(2 * time.Second)
		}
		if now := c.leader().living().group.Role(); now.Term != term {
			c.fatalf("nobody has room, and leadership went from term %d to %+v", term, now)
		}
		c.others(old)[0].empty()
		c.mustSend(1, 100)
		for _, n := range c.all() {
			n.empty()
		}
		c.mustSend(20, 9000)
		c.check()
	})
}
