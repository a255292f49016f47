package replication

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// MasterSlave makes a group one of a master and its slaves: the master alone has
// a vote, so what it has stored is Raft's to commit, and nobody takes its place
// but by Promote. How far slaves are decides what is applied and answered.
type MasterSlave struct {
	// InSync is how many slaves must have stored a frame before it counts
	// (RocketMQ's inSyncReplicas, less the master); 0 waits for none.
	InSync int
	// ReplicaTimeout completes a proposal as late that this node has stored and
	// slaves haven't (RocketMQ's slaveTimeout).
	ReplicaTimeout time.Duration
	// Reach is the silence after which a slave counts as out of reach, 0 means
	// two seconds. CatchUp is how long a slave may be behind without having seen
	// the end of the log, 0 means 15 seconds (RocketMQ's
	// haMaxTimeSlaveNotCatchup).
	Reach, CatchUp time.Duration
	// Slave: the node never founds a log; it waits for its master's.
	Slave bool
	// Masters asks everybody outside the group who may know of its master: those
	// that are known, and who didn't answer. nil: there is nobody.
	Masters func(context.Context) (known []KnownMaster, silent []string)
	// Force: the node leads without having asked anybody.
	Force bool
	// Forced says so while it waits for answers; nil: never.
	Forced <-chan struct{}
	// Divergent makes the folder, a new one, for frames that the group doesn't
	// have.
	Divergent func(name string) (disk.Disk, error)
}

// KnownMaster is what a nameserver has heard of a group's master.
type KnownMaster struct {
	Address string     // for replication; empty where it isn't known
	Term    event.Term // 0 where it isn't known
}

func (m *MasterSlave) withDefaults() *MasterSlave {
	if m == nil {
		return nil
	}
	filled := *m
	if filled.Reach == 0 {
		filled.Reach = 2 * time.Second
	}
	if filled.CatchUp == 0 {
		filled.CatchUp = 15 * time.Second
	}
	if filled.Masters == nil {
		filled.Masters = func(context.Context) ([]KnownMaster, []string) { return nil, nil }
	}
	return &filled
}

// noLimit is a mark that holds nothing back.
const noLimit = event.Index(math.MaxUint64)

// slaveWatch is what a master knows of its slaves: who counts, and so how far
// frames may be applied. A slave counts from when it has everything that is
// committed, while it answers and sees the end of the log now and then. One that
// was there when leadership began counts for the time in which a send waits, so
// that it can come back before anybody sees what it doesn't have.
type slaveWatch struct {
	kind *MasterSlave
	of   func(raft.ServerID) (match uint64, lastContact time.Time)

	mu      sync.Mutex
	leading bool
	began   time.Time
	slaves  []*watched
	end     event.Index // of the log at the last look
	looked  time.Time
	matches []uint64 // scratch
}

// watched is a slave.
type watched struct {
	id       raft.ServerID
	caughtUp time.Time // when it last had what was the end of the log
	counts   bool
}

// begin starts to watch the members, as this node begins to lead.
func (w *slaveWatch) begin(members []raft.ServerID, end event.Index, now time.Time) {
	if w.kind == nil {
		return // a majority decides
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leading, w.began, w.slaves, w.end, w.looked = true, now, nil, end, now
	for _, id := range members {
		// It may go on counting for as long as a send waits.
		grace := now.Add(min(w.kind.ReplicaTimeout, w.kind.CatchUp) - w.kind.CatchUp)
		w.slaves = append(w.slaves, &watched{id: id, caughtUp: grace, counts: true})
	}
}

// forget ends it.
func (w *slaveWatch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leading, w.slaves = false, nil
}

// look decides who counts. committed is what is committed at present, end the
// end of the log.
func (w *slaveWatch) look(members []raft.ServerID, committed, end event.Index, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leading {
		return
	}
	w.slaves = slices.DeleteFunc(w.slaves, func(s *watched) bool { return !slices.Contains(members, s.id) })
	for _, id := range members {
		if !slices.ContainsFunc(w.slaves, func(s *watched) bool { return s.id == id }) {
			w.slaves = append(w.slaves, &watched{id: id})
		}
	}
	for _, s := range w.slaves {
		match, contact := w.of(s.id)
		if contact.Before(w.began) {
			contact = w.began
		}
		if event.Index(match) >= w.end {
			s.caughtUp = w.looked
		}
		alive := now.Sub(contact) < w.kind.Reach && now.Sub(s.caughtUp) < w.kind.CatchUp
		s.counts = alive && (s.counts || event.Index(match) >= committed)
	}
	w.end, w.looked = end, now
}

// limit says how far frames may be applied of which Raft has committed those up
// to through, and which of them as many slaves have as are asked for.
func (w *slaveWatch) limit(through event.Index) (applied, replicated event.Index) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leading || w.kind.InSync == 0 {
		return through, noLimit
	}
	w.matches = w.matches[:0]
	counting := 0
	for _, s := range w.slaves {
		if s.counts {
			match, _ := w.of(s.id)
			w.matches = append(w.matches, match)
			counting++
		}
	}
	if wait := min(w.kind.InSync, counting); wait > 0 {
		through = min(through, w.reached(wait))
	}
	w.matches = w.matches[:0]
	for _, s := range w.slaves {
		match, _ := w.of(s.id)
		w.matches = append(w.matches, match)
	}
	if len(w.slaves) < w.kind.InSync {
		return through, 0
	}
	return through, w.reached(w.kind.InSync)
}

// reached is what count of the matches have.
func (w *slaveWatch) reached(count int) event.Index {
	slices.Sort(w.matches)
	return event.Index(w.matches[len(w.matches)-count])
}

// counting reports whether a slave counts.
func (w *slaveWatch) counting(id raft.ServerID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.slaves, func(s *watched) bool { return s.id == id && s.counts })
}

// everywhere is what all slaves have.
func (w *slaveWatch) everywhere() (through event.Index, some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	through = noLimit
	for _, s := range w.slaves {
		match, _ := w.of(s.id)
		through, some = min(through, event.Index(match)), true
	}
	return through, some && w.leading
}

// number of slaves that count, and of all.
func (w *slaveWatch) number() (counting, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.slaves {
		if s.counts {
			counting++
		}
	}
	return counting, len(w.slaves)
}

// slaveIDs are the members but this node.
func (g *Group) slaveIDs() []raft.ServerID {
	var ids []raft.ServerID
	for _, s := range g.others() {
		ids = append(ids, s.ID)
	}
	return ids
}

// watchSlaves looks who counts, as time passes. g.committing is held, so that a
// slave that begins to count has everything that anybody could see.
func (g *Group) watchSlaves() {
	if g.options.MasterSlave == nil {
		return
	}
	end, _, _ := g.engine.Log().End()
	g.slaves.look(g.slaveIDs(), g.engine.Marks().Committed, end, time.Now())
}

// slaveAnswered moves Committed, where a slave was waited for.
func (g *Group) slaveAnswered(raft.ServerID) {
	if g.options.MasterSlave == nil || g.options.MasterSlave.InSync == 0 {
		return
	}
	g.commit(g.lastCommitted())
}

// IsSlave reports whether this node is one and has no vote.
func (g *Group) IsSlave() bool { return g.options.MasterSlave != nil && !g.isVoter(g.id) }

// Slaves tells whether this is a master or a slave, how many slaves must have
// what is confirmed, and how many count at present, which the master knows.
func (g *Group) Slaves() (is bool, wanted, counting int) {
	if g.options.MasterSlave == nil {
		return false, 0, 0
	}
	counting, _ = g.slaves.number()
	return true, g.options.MasterSlave.InSync, counting
}

// applyAsSlave has a slave that starts apply all of its log, with or without a
// master.
func (g *Group) applyAsSlave(ctx context.Context) error {
	end, _, _ := g.engine.Log().End()
	if first, _ := g.engine.Log().First(); !g.IsSlave() || end < first {
		return nil
	}
	g.committing.Lock()
	g.commitStored()
	g.committing.Unlock()
	return g.awaitApplied(ctx, end)
}

// commitOrphaned moves Committed on a slave that nobody leads: its master's last
// word on that may not have come.
func (g *Group) commitOrphaned() {
	if g.options.MasterSlave == nil {
		return
	}
	if _, leader := g.raft.LeaderWithID(); leader == "" && g.IsSlave() {
		g.commitStored()
	}
}

// commitStored moves Committed on a slave to what it has stored. The one voter
// had stored that before it sent it, so it is committed. g.committing is held;
// nothing is cut off meanwhile.
func (g *Group) commitStored() {
	g.store.cutting.RLock()
	defer g.store.cutting.RUnlock()
	g.commitLocked(g.store.Stored())
}
