package clustertest

import (
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// TestALeaderCountsItsOwnCopyOnlyWhenItsDiskHasIt: a follower has a message
// while the leader's disk is still at it, and that is one copy of three.
func TestALeaderCountsItsOwnCopyOnlyWhenItsDiskHasIt(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 100)
		c.settle()
		leader := c.leader()
		away, follower := c.others(leader)[0], c.others(leader)[1]
		c.isolate(away, true)
		before := follower.living().group.Engine().Marks()
		leader.living().disk.slow(0, true)
		done := make(chan bool, 1)
		go func() { done <- c.send(leader, -100, event.Queue{Topic: messageTopic}, 1, 100, engine.WaitCommitted) }()
		c.until("the follower to have what the leader's disk has not", func() bool {
			return follower.living().group.Engine().Marks().Durable > before.Durable
		})
		select {
		case <-done:
			c.fatalf("a message was answered that is on the disk of one node of three")
		case <-time.After(flushStall / 2):
		}
		for _, n := range []*Node{leader, follower} {
			if m := n.living().group.Engine().Marks(); m.Committed > before.Durable {
				c.fatalf("%s takes frame %d for committed, which is on the disk of one node of three", n.peer.Name, m.Committed)
			}
		}
		leader.living().disk.slow(usualSync, false)
		if !<-done {
			c.fatalf("the message is not confirmed when the leader's disk has it")
		}
		c.isolate(away, false)
		c.check()
	})
}

// TestALeaderThatLosesPowerBeforeItsDiskHasWhatAFollowerHasLosesNothingConfirmed:
// the follower isn't there when the others elect the next leader.
func TestALeaderThatLosesPowerBeforeItsDiskHasWhatAFollowerHasLosesNothingConfirmed(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		for range 2 {
			leader := c.leader()
			away, follower := c.others(leader)[0], c.others(leader)[1]
			c.isolate(away, true)
			leader.living().disk.slow(20*time.Millisecond, false)
			stop := c.load(6)
			c.pause(100*time.Millisecond + time.Duration(c.rng.IntN(int(40*time.Millisecond))))
			c.isolate(follower, true)
			leader.cut()
			c.network.cut(leader.peer.Address, away.peer.Address, false)
			c.network.cut(away.peer.Address, leader.peer.Address, false)
			c.start(leader)
			c.leader(leader, away)
			c.isolate(away, false)
			c.isolate(follower, false)
			stop()
			c.check()
		}
	})
}
