package replication

import (
	"errors"
	"os"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// outrun has a new master take so much, and drop so much of it, that it has
// nothing left of the frames up to one.
func (p *pair) outrun(master *groupNode, past event.Index) {
	p.t.Helper()
	enough := func() bool {
		sealed := master.group.Engine().Log().Sealed()
		return len(sealed) > 2 && sealed[len(sealed)-2].Last > past
	}
	for !enough() {
		p.send(master, 100, 1000)
	}
	p.trimAt(master)
	p.until("everything old to go", func() bool {
		first, _ := master.group.Engine().Log().First()
		return first > past
	})
}

// TestAMasterThatReturnsToALogThatWasTrimmedPutsAsideWhatMayBeNowhereElse: where
// the two differ can't be told any more.
func TestAMasterThatReturnsToALogThatWasTrimmedPutsAsideWhatMayBeNowhereElse(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master, slave := p.start(), p.nodes[1]
	p.mustSend(200, 100)
	p.until("it to be noted how far the slave is", func() bool {
		through, err := replicatedThrough(master.disk, master.group.Engine().Log().Meta().Log)
		return err == nil && through > 0
	})
	slave.isolate(true)
	p.until("the slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 0 })
	for range 30 {
		p.wantOutcome(master, "nobody else has it", engine.OutcomeNoReplica)
	}
	p.until("it to be seen", func() bool { return p.has(master, "nobody else has it") })
	end, _, _ := master.group.Engine().Log().End()
	master.down()
	if err := slave.group.Promote(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	p.announce(slave)
	p.leader(slave)
	p.outrun(slave, end)
	slave.isolate(false)
	p.up(master)
	p.mustSend(50, 100)
	p.check()
	p.wantAside(master, "nobody else has it", 30, end)
}

// TestASlaveOfWhichANewMasterKnowsLessPutsItsTailAsideBeforeACheckpointReplacesIt:
// it is promoted by force, and has dropped the part in which the two differ when
// it meets the other slave.
func TestASlaveOfWhichANewMasterKnowsLessPutsItsTailAsideBeforeACheckpointReplacesIt(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, 1)
	master := p.start()
	heir, other := p.nodes[1], p.nodes[2]
	p.mustSend(200, 100)
	heir.isolate(true)
	p.until("one slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 1 })
	for range 30 {
		p.wantOutcome(master, "the heir doesn't have it", engine.OutcomeCommitted)
	}
	p.until("the other slave to show it", func() bool { return p.has(other, "the heir doesn't have it") })
	end, _, _ := other.group.Engine().Log().End()
	master.down()
	p.announce(nil)
	if err := heir.group.Promote(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	p.announce(heir)
	p.leader(heir)
	if entries, err := os.ReadDir(p.divergent(other)); err == nil && len(entries) > 0 {
		t.Fatal("something is aside before the two have met")
	}
	p.outrun(heir, end)
	heir.isolate(false)
	p.send(heir, 50, 100)
	p.check(heir, other)
	if p.has(other, "the heir doesn't have it") {
		t.Error("the slave still shows what its master doesn't have")
	}
	p.wantAside(other, "the heir doesn't have it", 30, end)
}

// TestASlaveThatWasOnlyAwayPutsNothingAside, although it gets a checkpoint and
// its master has started again meanwhile.
func TestASlaveThatWasOnlyAwayPutsNothingAside(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master, slave := p.start(), p.nodes[1]
	p.mustSend(200, 100)
	slave.isolate(true)
	p.until("the slave to be out of reach", func() bool { counting, _ := master.group.slaves.number(); return counting == 0 })
	master.down()
	plain := master.adjust
	master.adjust = func(o *GroupOptions) {
		plain(o)
		o.MasterSlave.Force = true
	}
	p.up(master)
	p.leader(master)
	end, _, _ := slave.group.Engine().Log().End()
	p.outrun(master, end)
	slave.isolate(false)
	p.allCount(master)
	p.mustSend(50, 100)
	p.check()
	if entries, err := os.ReadDir(p.divergent(slave)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%d folders are aside: %v", len(entries), err)
	}
}

// TestASlaveThatLosesItsMasterShowsAllThatItHas: the master's word on what is
// committed comes behind the frames. Here it ends between the two.
func TestASlaveThatLosesItsMasterShowsAllThatItHas(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	master, slave := p.start(), p.nodes[1]
	p.mustSend(50, 100)
	p.until("the slave to have applied all", func() bool {
		return slave.group.Engine().Marks().Applied == master.group.Engine().Marks().Appended
	})
	master.group.raft.Shutdown()
	p.until("Raft to have ended", func() bool { return master.group.raft.State() == raft.Shutdown })
	end, term, _ := master.group.Engine().Log().End()
	last := raft.Log{Index: uint64(end) + 1, Term: uint64(term), Type: raft.LogNoop}
	if err := master.group.store.StoreLogs([]*raft.Log{&last}); err != nil {
		t.Fatal(err)
	}
	var answer raft.AppendEntriesResponse
	err := master.group.transport.AppendEntries(slave.group.id, raft.ServerAddress(slave.peer.Address), &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(master.group.id), Addr: []byte(master.peer.Address)},
		Term:      uint64(term), PrevLogEntry: uint64(end), PrevLogTerm: uint64(term),
		Entries: []*raft.Log{&last}, LeaderCommitIndex: uint64(end),
	}, &answer)
	if err != nil || !answer.Success {
		t.Fatalf("%+v: %v", answer, err)
	}
	p.until("the slave to show the last frame", func() bool { return slave.group.Engine().Marks().Applied == end+1 })
}

// TestFramesThatAreNotAppliedArePutAsideBeforeTheyAreCut, while the node runs;
// it has to start again for those that are.
func TestFramesThatAreNotAppliedArePutAsideBeforeTheyAreCut(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, 1)
	n := p.start()
	p.mustSend(50, 100)
	n.group.raft.Shutdown()
	p.until("Raft to have ended", func() bool { return n.group.raft.State() == raft.Shutdown })
	end, term, _ := n.group.Engine().Log().End()
	last := uint64(end) + 1
	if err := n.group.store.StoreLogs([]*raft.Log{{Index: last, Term: uint64(term), Type: raft.LogNoop}}); err != nil {
		t.Fatal(err)
	}
	if err := n.group.store.DeleteRange(last, last); err != nil {
		t.Fatal(err)
	}
	if now, _, _ := n.group.Engine().Log().End(); now != end {
		t.Errorf("the log ends with frame %d, want %d", now, end)
	}
	entries, err := os.ReadDir(p.divergent(n))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d folders are aside: %v", len(entries), err)
	}
	if d, ok := ParseDivergence(entries[0].Name()); !ok || d.First != end+1 || d.Last != end+1 {
		t.Errorf("%s is aside, want frame %d", entries[0].Name(), end+1)
	}
	if err := n.group.store.DeleteRange(uint64(end), uint64(end)); err == nil {
		t.Error("a frame that is applied is cut")
	}
	if now, _, _ := n.group.Engine().Log().End(); now != end {
		t.Errorf("the log ends with frame %d, want %d", now, end)
	}
	select {
	case <-n.group.Differs():
	default:
		t.Error("the node need not start again")
	}
}
