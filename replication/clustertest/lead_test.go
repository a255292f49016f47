package clustertest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// transferTo hands leadership to a node, however often that takes.
func (c *Cluster) transferTo(n *Node) {
	c.t.Helper()
	c.until("leadership to go to "+n.peer.Name, func() bool {
		if leader := c.leading(); leader != nil && leader != n {
			_ = leader.living().group.Transfer(n.peer.Address)
		}
		return c.leading() == n
	})
}

// TestAnOldLeaderThatLeadsAgainCountsOffsetsAnew: what it had counted for was
// never committed.
func TestAnOldLeaderThatLeadsAgainCountsOffsetsAnew(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		old, _ := c.strand(20, 500)
		c.leader(c.others(old)...)
		c.mustSend(5, 100)
		c.isolate(old, false)
		c.check()
		c.transferTo(old)
		c.mustSend(30, 100)
		c.check()
	})
}

func TestANodeLeadsWhenAllThatWasCommittedBeforeIsApplied(t *testing.T) {
	simulate(t, 1, func(c *Cluster) {
		c.found(3)
		c.mustSend(10, 100)
		old := c.leader()
		next := c.others(old)[0]
		applying := make(chan struct{})
		release := sync.OnceFunc(func() { close(applying) })
		defer release()
		group := next.living().group
		group.Engine().OnApplied(func([]event.Queue) { <-applying })
		c.mustSend(20, 100)
		c.running.Go(func() { _ = old.living().group.Transfer(next.peer.Address) })
		c.until("the next leader", func() bool { return group.Role().Leader.Self })
		for range 20 {
			if group.Role().Leads {
				c.fatalf("%s leads, and has not applied what was committed before: %+v", next.peer.Name, group.Engine().Marks())
			}
			c.pause(50 * time.Millisecond)
		}
		release()
		c.leader(next)
		c.mustSend(20, 100)
		c.check()
	})
}

// waitsForNothing checks that a group at rest holds no bytes of proposals, nor
// fewer than none.
func (c *Cluster) waitsForNothing(n *Node) {
	c.t.Helper()
	var text bytes.Buffer
	n.living().group.Proposer.WriteMetrics(&text)
	if !strings.Contains(text.String(), "apogee_proposer_waiting_bytes 0\n") {
		c.fatalf("%s is at rest, and there are proposals: %s", n.peer.Name, &text)
	}
}
