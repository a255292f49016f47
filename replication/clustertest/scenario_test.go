package clustertest

import (
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

func TestThreeNodesKeepTheSameState(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(200, 600)
		c.check()
		for _, n := range c.all() {
			n.stop()
		}
		c.start(c.all()...)
		c.mustSend(50, 600)
		c.check()
	})
}

func TestTwoOfThreeNodesLosePowerAtOnceAndWhatWasConfirmedIsThere(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		for range 3 {
			stop := c.load(6)
			victims := c.victims(2)
			c.crash(victims...)
			for _, n := range victims {
				n.cut()
			}
			c.start(victims...)
			stop()
			c.check()
		}
	})
}

func TestAllNodesLosePowerAtOnceAndWhatWasConfirmedIsThere(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		stop := c.load(6)
		c.crash(c.victims(1)...)
		for _, n := range c.all() {
			n.cut()
		}
		c.start(c.all()...)
		stop()
		c.check()
	})
}

// crash cuts the power of nodes in a step of their disks, and waits for the
// first of them. The others may have nothing to write without it.
func (c *Cluster) crash(nodes ...*Node) {
	c.t.Helper()
	for _, n := range nodes {
		n.disk.CrashAfter(1 + c.rng.Uint64N(250))
	}
	c.until("a power cut", func() bool {
		for _, n := range nodes {
			if n.disk.Crashed() {
				return true
			}
		}
		return false
	})
}

// strand cuts the leader off and has it store messages that nobody else has. It
// returns the leader and the number of the first of them.
func (c *Cluster) strand(count, bytes int) (old *Node, first int) {
	c.t.Helper()
	c.mustSend(3, 10)
	c.settle()
	old = c.leader()
	log := old.living().group.Engine().Log()
	end, _, _ := log.End()
	c.isolate(old, true)
	first = c.ledger.asked()
	var proposing sync.WaitGroup
	for range count {
		proposing.Go(func() {
			if c.send(old, -100, event.Queue{Topic: messageTopic}, 1, bytes, engine.WaitCommitted) {
				c.ledger.fail(errConfirmed)
			}
		})
		c.pause(time.Millisecond) // a frame each
	}
	proposing.Wait()
	if now, _, _ := log.End(); int(now-end) < count/2 {
		c.fatalf("a leader that is cut off has stored %d frames: nothing is tested", now-end)
	}
	c.until("the old leader to give up", func() bool { return !old.living().group.Role().Leads })
	return old, first
}

func TestAStaleLeadersProposalsAreNeverConfirmed(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		old, first := c.strand(20, 500)
		c.leader(c.others(old)...)
		c.mustSend(20, 500)
		if c.send(old, -100, event.Queue{Topic: messageTopic}, 1, 100, engine.WaitCommitted) {
			c.fatalf("a node that leads no more has confirmed a message")
		}
		c.isolate(old, false)
		c.check()
		if c.ledger.anyStored(first, 20) {
			c.fatalf("what a stale leader had taken is in the log")
		}
	})
}

func TestAFollowerTruncatesAcrossSegmentsWhatIsInConflictWithTheLeader(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 1000)
		old, _ := c.strand(40, 12<<10)
		log := old.living().group.Engine().Log()
		before := len(log.SegmentEnds())
		c.leader(c.others(old)...)
		c.mustSend(3, 2000)
		c.isolate(old, false)
		c.check()
		if after := len(log.SegmentEnds()); after >= before {
			c.fatalf("%d segments before, %d after: none was truncated as a whole", before, after)
		}
		for _, n := range c.all() {
			n.cut()
		}
		c.start(c.all()...)
		c.check()
	})
}

func TestAFollowerThatLosesPowerWhileItTruncatesAgreesAfterwards(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		old, _ := c.strand(30, 12<<10)
		c.leader(c.others(old)...)
		c.mustSend(20, 2000)
		old.disk.CrashAfter(1 + c.rng.Uint64N(30))
		c.isolate(old, false)
		c.until("the power cut", func() bool {
			c.mustSend(1, 100)
			return old.disk.Crashed()
		})
		old.cut()
		c.start(old)
		c.check()
	})
}

func TestAFollowerConfirmsOnlyWhatItsMarkHasPassed(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 100)
		leader := c.leader()
		others := c.others(leader)
		c.isolate(others[0], true)
		others[1].living().disk.slow(0, true)
		done := make(chan bool, 1)
		go func() { done <- c.send(leader, -100, event.Queue{Topic: messageTopic}, 1, 100, engine.WaitCommitted) }()
		select {
		case <-done:
			c.fatalf("a message was answered while no follower had it on its disk")
		case <-time.After(time.Second):
		}
		others[1].living().disk.slow(usualSync, false)
		if !<-done {
			c.fatalf("the message is not confirmed when a follower has it")
		}
		c.isolate(others[0], false)
		c.check()
	})
}

// TestAVoteIsSyncedBeforeItIsGiven cuts the power of the node whose vote has
// made another the leader, and looks at every disk that the cut may leave.
func TestAVoteIsSyncedBeforeItIsGiven(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		old := c.leader()
		c.isolate(old, true)
		winner := c.leader(c.others(old)...)
		voter := c.others(old, winner)[0]
		term := uint64(winner.living().group.Role().Term)
		voter.living().end(true)
		for range 50 {
			left := voter.disk.Crash()
			meta, err := commitlog.ReadMeta(left)
			if err != nil {
				c.fatalf("%v", err)
			}
			s, err := replication.OpenStableStore(left, meta.Log, 0)
			if err != nil {
				c.fatalf("%v", err)
			}
			if voted, _ := s.GetUint64([]byte("LastVoteTerm")); voted != term {
				c.fatalf("%s made %s the leader of term %d; after a power cut its last vote is of term %d", voter.peer.Name, winner.peer.Name, term, voted)
			}
		}
		voter.cut()
		c.isolate(old, false)
		c.start(voter)
		c.mustSend(10, 100)
		c.check()
	})
}

// TestALeaderThatCannotHandOverGoesOnAtTheRightOffsets: Raft takes nothing while
// it tries.
func TestALeaderThatCannotHandOverGoesOnAtTheRightOffsets(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 100)
		leader := c.leader()
		to := c.others(leader)[0]
		stop := c.load(4)
		c.pause(50 * time.Millisecond)
		c.isolate(to, true)
		if err := leader.living().group.Transfer(to.peer.Address); err == nil {
			c.fatalf("leadership went to a node that is cut off")
		}
		c.pause(200 * time.Millisecond)
		stop()
		if now := c.leader(); now != leader {
			c.fatalf("%s leads, not %s: nothing is tested", now.peer.Name, leader.peer.Name)
		}
		c.isolate(to, false)
		c.check()
	})
}

// TestANodeWithAnOlderDiskCatchesUp: that is safe where the others have
// everything that it had, and it isn't asked to vote before it has it again.
func TestANodeWithAnOlderDiskCatchesUp(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(50, 1000)
		c.settle()
		n := c.others(c.leader())[0]
		n.stop()
		image := n.disk.Clone()
		c.start(n)
		c.mustSend(100, 1000)
		c.decideToTrim(1)
		c.check()
		n.cut()
		n.disk = image
		c.start(n)
		c.check()
		c.mustSend(20, 100)
		c.check()
	})
}
