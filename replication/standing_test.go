package replication

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// goneDark ends nodes as a power cut of their machines does that loses nothing:
// with ASYNC_FLUSH nobody can know that.
func (c *trio) goneDark(boot byte, nodes ...*groupNode) {
	c.t.Helper()
	for _, n := range nodes {
		running, err := os.ReadFile(filepath.Join(n.disk.Path(), "running"))
		if err != nil {
			c.t.Fatal(err)
		}
		n.down()
		if err := os.WriteFile(filepath.Join(n.disk.Path(), "running"), running, 0o600); err != nil {
			c.t.Fatal(err)
		}
		n.async(boot)
	}
}

// async has a node run with ASYNC_FLUSH, since some boot of its machine.
func (n *groupNode) async(boot byte) {
	n.adjust = func(o *GroupOptions) {
		o.Mark, o.Engine.Log.Boot = commitlog.Written, [16]byte{boot}
	}
}

func asyncTrio(t *testing.T) *trio {
	t.Helper()
	c := newTrio(t, 3)
	for _, n := range c.nodes {
		n.async(1)
	}
	c.up(c.nodes...)
	c.mustSend(20, 500)
	c.check()
	return c
}

func (n *groupNode) lost() bool {
	_, lost := n.group.Engine().Log().Loss()
	return lost
}

// losses are the events in a node's log that tell of one.
func (n *groupNode) losses() (all []event.Lost) {
	n.trio.t.Helper()
	l := n.group.Engine().Log()
	first, _ := l.First()
	err := l.CursorFrom(first).Visit(n.group.Engine().Marks().Applied, func(f commitlog.Frame) error {
		for data := f.Data; f.Kind == commitlog.FrameEvents && len(data) > 0; {
			e, rest, err := event.Split(data)
			if err != nil {
				return err
			}
			if e.Kind() == event.KindLost {
				lost, err := event.DecodeLost(e.Payload())
				if err != nil {
					return err
				}
				all = append(all, lost)
			}
			data = rest
		}
		return nil
	})
	if err != nil {
		n.trio.t.Fatal(err)
	}
	return all
}

func TestANodeThatLostPowerTakesPartInElectionsWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	c := asyncTrio(t)
	n := c.others(c.leader())[0]
	c.goneDark(2, n)
	c.mustSend(20, 500)
	c.up(n)
	c.until("the loss to end", func() bool { return !n.lost() })
	c.mustSend(5, 500)
	c.check()
	if told := n.losses(); len(told) > 0 {
		t.Errorf("the log tells of a loss, %+v, though the group has lost nothing", told)
	}
}

func TestAVoteNeedsAllVotersWhereConfirmedEntriesMayBeLost(t *testing.T) {
	t.Parallel()
	c := asyncTrio(t)
	c.goneDark(2, c.nodes...)
	c.up(c.nodes[:2]...)
	for _, n := range c.nodes[:2] {
		if n.group.standing.mayStand() || n.group.standing.mayVote(transport.Entry{Term: 1 << 40}) {
			t.Errorf("%s takes part in elections", n.peer.Name)
		}
	}
	c.up(c.nodes[2])
	leader := c.leader()
	c.until("all losses to end", func() bool { return !c.nodes[0].lost() && !c.nodes[1].lost() && !c.nodes[2].lost() })
	c.mustSend(5, 500)
	c.check()
	told := leader.losses()
	if len(told) == 0 {
		t.Fatal("nothing in the log tells that messages may be lost")
	}
	if l := told[0]; l.Cause != event.LostByPower || l.Kept == 0 || l.Position == 0 {
		t.Errorf("the log tells of %+v", l)
	}
}

func TestAReplicaThatLacksWhatItConfirmedDoesNotVoteUntilItHasCaughtUp(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(20, 500)
	c.check()
	leader := c.leader()
	others := c.others(leader)
	damaged, behind := others[0], others[1]
	end, _, _ := behind.group.Engine().Log().End()
	behind.down()
	c.mustSend(10, 500) // confirmed by the leader and by whom the disk fails
	leader.down()
	damaged.down()
	for _, p := range damaged.places() {
		if p.header.Index > end {
			damaged.spoil(p, 0, frameHeaderBytes+int64(p.header.DataBytes))
		}
	}
	c.up(damaged, behind)
	if !damaged.lost() {
		t.Fatal("the loss isn't noted")
	}
	late := time.Now().Add(3 * time.Second) // many elections
	c.until("some elections to pass", func() bool {
		if damaged.group.Role().Leads || behind.group.Role().Leads {
			t.Fatal("a leader was elected without what is confirmed")
		}
		return time.Now().After(late)
	})
	c.up(leader)
	c.until("the loss to end", func() bool { return !damaged.lost() })
	c.mustSend(5, 500)
	c.check()
}

func TestAnOperatorLetsANodeVoteThatMayLackWhatItConfirmed(t *testing.T) {
	t.Parallel()
	c := asyncTrio(t)
	c.goneDark(2, c.nodes...)
	c.up(c.nodes[:2]...) // the third is gone for good
	for _, n := range c.nodes[:2] {
		n.down()
		if err := commitlog.ForgiveLoss(n.disk); err != nil {
			t.Fatal(err)
		}
	}
	c.up(c.nodes[:2]...)
	leader := c.leader(c.nodes[:2]...)
	c.until("the losses to end", func() bool { return !c.nodes[0].lost() && !c.nodes[1].lost() })
	if told := leader.losses(); len(told) == 0 || told[0].Cause != event.LostByForce {
		t.Errorf("the log tells of %+v, want a loss by force", told)
	}
}
