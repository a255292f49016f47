package replication

import (
	"context"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// trim has the leader decide to drop all sealed segments but the newest, and
// waits until all nodes that are up have done so.
func (c *trio) trim() {
	c.t.Helper()
	c.trimAt(c.leader())
	for _, n := range c.nodes {
		if n.group == nil {
			continue
		}
		c.trimmed(n)
	}
}

func (c *trio) trimmed(n *groupNode) {
	c.t.Helper()
	c.until("the old segments to go", func() bool {
		first, _ := n.group.Engine().Log().First()
		return first > 1
	})
}

// trimAt drops what is old at the leader, and waits for it alone.
func (c *trio) trimAt(leader *groupNode) {
	c.t.Helper()
	sealed := leader.group.Engine().Log().Sealed()
	if len(sealed) < 2 {
		c.t.Fatalf("only %d segments are sealed", len(sealed))
	}
	last := sealed[len(sealed)-2]
	trim := event.Trim{Through: last.Last, Position: last.End, Cause: event.TrimByAge}
	done := make(waiter, 1)
	p := &engine.Proposal{Drafts: []event.Draft{{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, trim))}}, Completion: done}
	if err := leader.group.Propose(p); err != nil {
		c.t.Fatal(err)
	}
	if got := <-done; got.Outcome != engine.OutcomeCommitted && got.Outcome != engine.OutcomeNoReplica {
		c.t.Fatalf("the trim ends with outcome %d", got.Outcome)
	}
	c.trimmed(leader)
}

func TestAReplicaThatIsFarBehindGetsACheckpointAndEveryRetainedMessage(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3)
	c.up(c.nodes...)
	c.mustSend(100, 1000)
	late := c.others(c.leader())[0]
	late.down()
	c.mustSend(4000, 1000)
	c.trim()
	c.up(late)
	c.mustSend(100, 100)
	c.check()
	if first, _ := late.group.Engine().Log().First(); first == 1 {
		t.Error("no checkpoint was installed")
	}
	late.down()
	c.up(late)
	c.mustSend(100, 100)
	c.check()
}

func TestASingleNodeGrowsToAGroupAndShrinksToOneAgain(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 1)
	n := c.nodes[0]
	alone := func(count int) {
		t.Helper()
		o := n.options()
		s := open(t, SingleOptions{Address: "127.0.0.1:1", Engine: o.Engine, Proposer: o.Proposer})
		sendAll(t, s, event.Queue{Topic: 2}, count)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	alone(200)
	c.up(n)
	c.mustSend(3000, 1000)
	c.trim()
	b := c.add(nil)
	d := c.add(nil)
	for _, joining := range []*groupNode{b, d} {
		c.up(joining)
		if _, err := c.leader().group.AddPeer(t.Context(), joining.peer.Address); err != nil {
			t.Fatal(err)
		}
		c.mustSend(50, 100)
	}
	c.check()
	c.until("the group to know the address", func() bool {
		for _, m := range b.group.Members() {
			if m.Address == n.peer.Address {
				return true
			}
		}
		return false
	})

	d.down()
	c.mustSend(50, 100)
	for _, gone := range []*groupNode{d, b} {
		c.until("the member to be removed", func() bool {
			leader := c.leader(n, b)
			_, err := leader.group.RemovePeer(gone.peer.Address)
			return err == nil
		})
	}
	b.down()
	c.leader(n)
	c.mustSend(50, 100)
	n.down()
	alone(100)
	c.up(n)
	e := c.add(nil)
	c.up(e)
	if _, err := c.leader(n).group.AddPeer(t.Context(), e.peer.Address); err != nil {
		t.Fatal(err)
	}
	c.mustSend(100, 100)
	c.check(n, e)
}

func TestALeaderWhoseDiskHangsLosesItsLeadership(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 0)
	disks := map[*groupNode]*faultdisk.Disk{}
	for i := range 3 {
		inner, err := disk.Open(c.root + "/" + string(rune('a'+i)))
		if err != nil {
			t.Fatal(err)
		}
		d := faultdisk.New(inner, nil, faultdisk.SystemClock{})
		n := c.add(d)
		disks[n] = d
	}
	c.up(c.nodes...)
	c.mustSend(50, 100)
	old := c.leader()
	rules, err := faultdisk.Parse("sync:*.seg:*=hang")
	if err != nil {
		t.Fatal(err)
	}
	disks[old].Set(rules)
	done := make(waiter, 1)
	p := &engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, "in doubt")}, Completion: done}
	if err := old.group.Propose(p); err != nil {
		t.Fatal(err)
	}
	if err := disks[old].WaitHanging(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c.leader(c.others(old)...)
	ctx, cancel := context.WithTimeout(t.Context(), groupPatience)
	defer cancel()
	select {
	case got := <-done:
		if got.Outcome != engine.OutcomeUnknown {
			t.Errorf("outcome %d, want unknown", got.Outcome)
		}
	case <-ctx.Done():
		t.Fatal("the proposal is never answered")
	}
	c.until("the old leader to notice", func() bool { return !old.group.Role().Leads })
	c.send(c.leader(c.others(old)...), 50, 100)
	disks[old].Set(nil)
	disks[old].Release()
	c.mustSend(50, 100)
	c.check()
}

func TestALeaderWhoseFollowersAreSlowSaysSoInTime(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 0)
	var disks []*faultdisk.Disk
	for i := range 3 {
		inner, err := disk.Open(c.root + "/" + string(rune('a'+i)))
		if err != nil {
			t.Fatal(err)
		}
		disks = append(disks, faultdisk.New(inner, nil, faultdisk.SystemClock{}))
		c.add(disks[i]).adjust = func(o *GroupOptions) { o.Proposer.FlushTimeout = 500 * time.Millisecond }
	}
	c.up(c.nodes...)
	c.mustSend(10, 100)
	leader := c.leader()
	rules, err := faultdisk.Parse("sync:*.seg:*=hang")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range c.nodes {
		if n != leader {
			disks[i].Set(rules)
		}
	}
	done := make(waiter, 1)
	p := &engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, "late")}, Completion: done}
	if err := leader.group.Propose(p); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.Outcome != engine.OutcomeReplicaTimeout {
		t.Errorf("outcome %d, want a replica timeout", got.Outcome)
	}
	for _, d := range disks {
		d.Set(nil)
		d.Release()
	}
	c.mustSend(50, 100)
	c.check()
}
