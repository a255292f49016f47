package replication

import (
	"bytes"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

func TestThreeEmptyNodesFoundAGroupAndKeepTheSameState(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(500, 200)
	c.check()
	for _, n := range c.nodes {
		if got := len(n.group.Members()); got != 3 {
			t.Errorf("%s knows %d members", n.peer.Name, got)
		}
	}
}

func TestAFollowerRefusesProposals(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	follower := c.others(c.leader())[0]
	err := follower.group.Propose(&engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, "x")}, Completion: make(waiter, 1)})
	if err == nil {
		t.Fatal("a follower takes proposals")
	}
}

func TestWhatWasAcknowledgedSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	for range 3 {
		c.mustSend(200, 100)
		old := c.leader()
		old.isolate(true)
		c.send(old, 20, 100) // in doubt, or refused
		c.leader(c.others(old)...)
		c.until("the old leader to notice", func() bool { return !old.group.Role().Leads })
		old.down()
		c.mustSend(200, 100)
		old.isolate(false)
		c.up(old)
	}
	c.check()
}

func TestALeaderThatIsCutOffEndsItsProposalsAndFollowsLater(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(50, 100)
	old := c.leader()
	old.isolate(true)
	if n := c.send(old, 100, 1000); n != 0 {
		t.Fatalf("%d messages were committed by a leader without followers", n)
	}
	c.leader(c.others(old)...)
	c.until("the old leader to notice", func() bool { return !old.group.Role().Leads })
	c.send(c.leader(), 100, 100)
	old.isolate(false)
	c.check()
}

func TestAReplicaThatStartsAgainBeginsWhereItWas(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(3000, 1000)
	c.check()
	follower := c.others(c.leader())[0]
	follower.down()
	c.mustSend(100, 100)
	c.up(follower)
	c.check()
	for _, n := range c.nodes {
		n.down()
	}
	c.up(c.nodes...)
	c.mustSend(100, 100)
	c.check()
}

func TestLeadershipIsHandedOverWithoutLoss(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(100, 100)
	old := c.leader()
	to := c.others(old)[0]
	if err := old.group.Transfer(to.peer.Name); err != nil {
		t.Fatal(err)
	}
	c.until("the other to lead", func() bool { return to.group.Role().Leads })
	c.mustSend(100, 100)
	to.down() // hands over, too
	c.leader(c.others(to)...)
	c.mustSend(100, 100)
	c.up(to)
	c.check()
}

// TestALeaderWhoseProcessEndsIsReplacedWithoutWaiting has timeouts that play a
// part only if votes split, on a machine that is very busy.
func TestALeaderWhoseProcessEndsIsReplacedWithoutWaiting(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	for _, n := range c.nodes {
		n.adjust = func(o *GroupOptions) { o.Times.Heartbeat, o.Times.Rounds = 10*time.Second, time.Second }
	}
	c.up(c.nodes...)
	first := c.nodes[0]
	first.group.transport.StandForElection(first.group.id)
	c.leader(first)
	c.mustSend(10, 100)
	_ = first.network.Close() // nobody listens at its address any more
	c.leader(c.others(first)...)
	c.logs.mu.Lock()
	stood := bytes.Contains(c.logs.text.Bytes(), []byte("this node stands for election"))
	c.logs.mu.Unlock()
	if !stood {
		t.Error("the others have waited for a timeout")
	}
	if n := c.send(c.leader(c.others(first)...), 10, 100); n != 10 {
		t.Errorf("%d of 10 messages are committed", n)
	}
}

// While leadership is being handed over Raft refuses batches whose offsets were
// counted. If that fails the node leads on, and what comes next must not count
// on them.
func TestOffsetsAreRightAfterATransferThatFailed(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(20, 10)
	leader := c.leader()
	deaf := c.others(leader)[0]
	deaf.isolate(true)
	failed := make(chan error, 1)
	go func() { failed <- leader.group.Transfer(deaf.peer.Name) }()
	var err error
	c.until("the transfer to end", func() bool {
		c.send(leader, 5, 10)
		select {
		case err = <-failed:
			return true
		default:
			return false
		}
	})
	if err == nil {
		t.Fatal("leadership went to a node that nobody reaches")
	}
	c.mustSend(20, 10)
	deaf.isolate(false)
	c.mustSend(20, 10)
	c.check()
}
