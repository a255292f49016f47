package replication

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// stateMachine is Raft's state machine: it tells the engine what is committed, and
// the engine reads that from the log. Nothing is applied here, and nothing
// waits for it to be.
type stateMachine struct{ group *Group }

var _ raft.BatchingFSM = (*stateMachine)(nil)

// Apply implements raft.FSM.
func (m *stateMachine) Apply(entry *raft.Log) any {
	m.group.commit(event.Index(entry.Index))
	return nil
}

// ApplyBatch implements raft.BatchingFSM.
func (m *stateMachine) ApplyBatch(all []*raft.Log) []any {
	m.group.commit(event.Index(all[len(all)-1].Index))
	return make([]any, len(all))
}

// commit moves Committed as far as it may go, as Raft has committed frames up to
// through.
func (g *Group) commit(through event.Index) {
	for old := g.told.Load(); old < uint64(through); old = g.told.Load() {
		g.told.CompareAndSwap(old, uint64(through))
	}
	g.advance()
}

// advance moves Committed. It doesn't wait for another who does: that one looks
// once more.
func (g *Group) advance() {
	g.asked.Add(1)
	for g.committing.TryLock() {
		asked := g.asked.Load()
		g.commitLocked(event.Index(g.told.Load()))
		g.committing.Unlock()
		if g.asked.Load() == asked {
			return
		}
	}
}

// commitLocked moves Committed, as Raft has committed frames up to through, to what
// this node's disk has of them. Raft counts what the leader has appended as one of a
// majority's copies (LogStore.ahead); it is one only when it is stored.
func (g *Group) commitLocked(through event.Index) {
	through, replicated := min(through, g.store.Stored()), noLimit
	if g.options.MasterSlave != nil {
		through, replicated = g.slaves.limit(through)
	}
	if through > g.engine.Marks().Committed {
		g.replicated.Store(uint64(replicated))
		g.engine.Commit(through)
	}
}

// marksMoved runs on the log's goroutine: its disk has more.
func (g *Group) marksMoved(m commitlog.Marks) {
	g.written(m.Written)
	g.reached(reached(m, g.options.Mark))
	if g.told.Load() > 0 { // Raft runs
		g.advance()
	}
}

// Restore implements raft.FSM: a checkpoint of the leader replaces everything.
func (m *stateMachine) Restore(source io.ReadCloser) error {
	g := m.group
	g.committing.Lock()
	defer g.committing.Unlock()
	g.text.Info("installing the leader's checkpoint", "group", g.options.Name)
	var err error
	if at := g.checkpoints.arrived(); at != nil && g.options.MasterSlave != nil {
		err = g.beforeReset(at)
	}
	if err == nil {
		err = g.engine.Install(source, g.store.Reset)
	}
	err = errors.Join(err, source.Close())
	if err == nil {
		g.checkpoints.installed()
		g.metrics.installed.Inc()
	}
	return err
}

// Snapshot implements raft.FSM.
func (m *stateMachine) Snapshot() (raft.FSMSnapshot, error) {
	return nil, errors.New("retention makes the checkpoints")
}
