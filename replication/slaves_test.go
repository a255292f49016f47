package replication

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestASlaveGetsTheLogOfTheMasterThatItFinds(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 1)
	master := p.nodes[0]
	p.up(master)
	p.mustSend(3000, 1000)
	p.trim()
	p.announce(master)
	p.up(p.nodes[1:]...)
	p.mustSend(50, 100)
	p.check()
	if first, _ := p.nodes[1].group.Engine().Log().First(); first == 1 {
		t.Error("no checkpoint was installed")
	}
	for _, n := range p.nodes[1:] {
		if n.group.isVoter(n.group.id) {
			t.Errorf("%s has a vote", n.peer.Name)
		}
	}
}

func TestWhatAMasterAnswersFollowsFromItsSlaves(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master := p.start()
	slave := p.nodes[1]
	p.wantOutcome(master, "both have it", engine.OutcomeCommitted)

	p.hang(slave)
	p.wantOutcome(master, "the slave is late", engine.OutcomeReplicaTimeout)
	if p.has(master, "the slave is late") {
		t.Error("consumers see what the slave in reach doesn't have")
	}
	p.release(slave)
	p.until("the late one to be applied", func() bool { return p.has(master, "the slave is late") })
	p.allCount(master)

	p.hang(master)
	p.wantOutcome(master, "the master's disk is late", engine.OutcomeFlushTimeout)
	p.release(master)
	p.allCount(master)
	p.wantOutcome(master, "both again", engine.OutcomeCommitted)

	slave.isolate(true)
	p.until("the slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 0 })
	p.wantOutcome(master, "no slave is in reach", engine.OutcomeNoReplica)
	p.until("it to be applied all the same", func() bool { return p.has(master, "no slave is in reach") })
	slave.isolate(false)
	p.allCount(master)
	p.wantOutcome(master, "both once more", engine.OutcomeCommitted)
	p.mustSend(50, 100)
	p.check()
}

func TestAMasterThatWaitsForNobodyNeverAnswersThatSlavesAreMissing(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 0)
	master := p.start()
	p.hang(p.nodes[1])
	p.wantOutcome(master, "the slave hangs", engine.OutcomeCommitted)
	p.release(p.nodes[1])
	p.nodes[1].down()
	p.until("the slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 0 })
	p.wantOutcome(master, "the slave is down", engine.OutcomeCommitted)
}

func TestWithTooFewSlavesThoseThereAreWaitedForAndTheAnswerSaysSo(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 2)
	master := p.start()
	p.wantOutcome(master, "all have it", engine.OutcomeCommitted)
	p.nodes[2].down()
	p.until("one slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 1 })
	got := p.wantOutcome(master, "one of two", engine.OutcomeNoReplica)
	if match, _ := master.group.transport.Match(p.nodes[1].group.id); event.Index(match) == 0 || !p.logHas(p.nodes[1], got.Position) {
		t.Error("it was answered before the slave in reach had it")
	}
}

func (p *pair) logHas(n *groupNode, position event.Position) bool {
	_, _, end := n.group.Engine().Log().End()
	return end > position
}

func TestAMasterHandsOverWithoutLosingAnything(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 1)
	master := p.start()
	stop, sending := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sending)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, n := range p.nodes {
				if n.group.Role().Leads {
					p.send(n, 20, 100)
				}
			}
		}
	}()
	if err := master.group.Transfer(p.nodes[1].peer.Address); err != nil {
		t.Fatal(err)
	}
	p.leader(p.nodes[1])
	p.until("the old master to have no vote", func() bool { return !p.nodes[1].group.isVoter(master.group.id) })
	if err := p.nodes[1].group.Transfer("n0"); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-sending
	p.leader(master)
	p.mustSend(50, 100)
	p.check()
	p.until("only the master to have a vote", func() bool {
		for _, n := range p.nodes[1:] {
			if master.group.isVoter(n.group.id) {
				return false
			}
		}
		return true
	})
}

func TestASlaveIsNotPromotedWhileTheMasterAnswersOrAnotherHasMore(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 1)
	master := p.start()
	a, b := p.nodes[1], p.nodes[2]
	if err := a.group.Promote(t.Context(), false); !errors.Is(err, ErrMasterLives) {
		t.Errorf("promote beside a living master: %v", err)
	}
	a.isolate(true)
	p.until("one slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 1 })
	p.mustSend(50, 100)
	p.until("the other slave to have it", func() bool { return b.group.Engine().Marks().Appended == master.group.Engine().Marks().Appended })
	master.down()
	a.isolate(false)
	p.announce(nil)
	if err := a.group.Promote(t.Context(), false); err == nil {
		t.Fatal("the slave that has less was promoted")
	}
	if err := b.group.Promote(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	p.mustSend(50, 100)
	p.check(a, b)
}

// TestAPromotedSlaveHasWhatWasConfirmed: and what consumers saw, so it is the
// same for them.
func TestAPromotedSlaveHasWhatWasConfirmed(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master, slave := p.start(), p.nodes[1]
	p.mustSend(500, 100)
	p.hang(slave)
	p.wantOutcome(master, "late", engine.OutcomeReplicaTimeout)
	seen := master.group.Engine().Marks().Applied
	before := master.group.Role().Term
	master.isolate(true) // as if its machine was gone
	p.release(slave)
	if err := slave.group.Promote(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if slave.group.Engine().Marks().Applied < seen {
		t.Errorf("consumers saw frame %d of the master, the promoted slave has applied %d", seen, slave.group.Engine().Marks().Applied)
	}
	if term := slave.group.Role().Term; term < before+termLeap {
		t.Errorf("it leads in term %d; its lost master, in term %d, may come to that when it is told to lead", term, before)
	}
	p.checkAcknowledged(slave)
	p.announce(slave)
	master.isolate(false)
}

// TestAMasterThatReturnsPutsAsideWhatItsSlaveNeverGot, whether it was down or out of reach meanwhile.
func TestAMasterThatReturnsPutsAsideWhatItsSlaveNeverGot(t *testing.T) {
	t.Parallel()
	for _, was := range []string{"down", "out of reach"} {
		t.Run(was, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, 1, 1)
			master, slave := p.start(), p.nodes[1]
			p.mustSend(200, 100)
			slave.isolate(true)
			p.until("the slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 0 })
			for range 30 {
				p.wantOutcome(master, "nobody else has it", engine.OutcomeNoReplica)
			}
			p.until("it to be seen", func() bool { return p.has(master, "nobody else has it") })
			end, _, _ := master.group.Engine().Log().End()
			if was == "down" {
				master.down()
			}
			p.announce(nil)
			if err := slave.group.Promote(t.Context(), was == "out of reach"); err != nil {
				t.Fatal(err)
			}
			p.announce(slave)
			p.leader(slave)
			slave.isolate(false)
			p.send(slave, 50, 100)
			if was == "out of reach" {
				select {
				case <-master.group.Differs():
				case <-time.After(groupPatience):
					t.Fatal("the old master doesn't notice")
				}
				master.down()
			}
			p.up(master)
			p.mustSend(50, 100)
			p.check()
			if p.has(master, "nobody else has it") {
				t.Error("the old master still shows what the new one doesn't have")
			}
			p.wantAside(master, "nobody else has it", 30, end)
		})
	}
}

// wantAside checks that a message was put aside so often, and that the log of
// those frames ends where the node's did.
func (p *pair) wantAside(n *groupNode, body string, count int, end event.Index) {
	p.t.Helper()
	entries, err := os.ReadDir(p.divergent(n))
	if err != nil || len(entries) != 1 {
		p.t.Fatalf("%d folders were put aside, want 1: %v", len(entries), err)
	}
	named, ok := ParseDivergence(entries[0].Name())
	if !ok || named.Last != end {
		p.t.Errorf("the folder is called %s, want the end %d", entries[0].Name(), end)
	}
	d, err := disk.Open(filepath.Join(p.divergent(n), entries[0].Name()))
	if err != nil {
		p.t.Fatal(err)
	}
	l, r, err := commitlog.Open(commitlog.Options{Disk: d, SegmentBytes: 1 << 20, TailBytes: 256 << 10, HistoryBytes: 1 << 20})
	if err != nil {
		p.t.Fatal(err)
	}
	defer l.Close()
	found := 0
	err = l.CursorFrom(named.First).Visit(r.End, func(f commitlog.Frame) error {
		data := f.Data
		for f.Kind == commitlog.FrameEvents && len(data) > 0 {
			var ev event.Event
			var err error
			if ev, data, err = event.Split(data); err != nil {
				return err
			}
			if string(ev.Payload()) == body {
				found++
			}
		}
		return nil
	})
	if err != nil || found != count || r.End != end {
		p.t.Errorf("%d messages of %d are aside, up to frame %d of %d: %v", found, count, r.End, end, err)
	}
}

func TestAMasterThatWasDownServesNothingUntilAllHaveAnsweredOrItIsTold(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master, slave := p.start(), p.nodes[1]
	p.mustSend(50, 100)
	slave.down()
	master.down()

	plain := master.adjust
	forced := make(chan struct{})
	master.adjust = func(o *GroupOptions) {
		plain(o)
		o.MasterSlave.Forced = forced
	}
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		p.up(master)
	}()
	select {
	case <-opened:
		t.Fatal("the master serves although its slave hasn't answered")
	case <-time.After(10 * askPeriod):
	}
	close(forced)
	<-opened
	p.leader(master)
	master.down()

	master.adjust = plain
	p.mu.Lock()
	p.silent = []string{"nameserver"}
	p.mu.Unlock()
	opened = make(chan struct{})
	p.up(slave)
	go func() {
		defer close(opened)
		p.up(master)
	}()
	select {
	case <-opened:
		t.Fatal("the master serves although the nameserver hasn't answered")
	case <-time.After(10 * askPeriod):
	}
	p.mu.Lock()
	p.silent = nil
	p.mu.Unlock()
	<-opened
	p.leader(master)
	p.mustSend(50, 100)
	p.check()
}

func TestAMasterThatNameserversHaveALaterTermOfDoesNotLead(t *testing.T) {
	t.Parallel()
	p := newPair(t, 0, 1)
	master := p.nodes[0]
	p.up(master)
	p.leader(master)
	term := master.group.Role().Term
	master.down()
	p.mu.Lock()
	p.known = []KnownMaster{{Term: term + 1}}
	p.mu.Unlock()
	master.network = nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.tryUp(ctx, master); err == nil {
		t.Fatal("it leads although a nameserver has heard of a later master")
	}
}
