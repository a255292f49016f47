package replication

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

const (
	// handedQueue is how many batches may be with Raft and not committed.
	handedQueue = 1 << 12
	// barrierTime bounds an attempt to apply everything of earlier terms.
	barrierTime = time.Minute
)

// wakeUp tells hand that something may be handed over.
func (g *Group) wakeUp() {
	select {
	case g.wakeups <- struct{}{}:
	default:
	}
}

// hand gives Raft one batch after another.
func (g *Group) hand() {
	for {
		select {
		case <-g.stop:
			return
		case <-g.wakeups:
		}
		for {
			h, some := g.handOne()
			if !some {
				break
			}
			select {
			case g.handed <- h:
			case <-g.stop:
				return
			}
		}
	}
}

// handOne gives Raft the next batch. The lock keeps a batch of one leadership
// from coming to Raft in the next one, behind its barrier.
func (g *Group) handOne() (handedBatch, bool) {
	g.handing.Lock()
	defer g.handing.Unlock()
	if !g.begun {
		return handedBatch{}, false
	}
	b := g.handOver()
	if b == nil {
		return handedBatch{}, false
	}
	return handedBatch{b, g.raft.Apply(b.data, 0)}, true
}

// hear ends the batches that Raft refuses, and with them what was to follow:
// offsets were counted for all of it. Nobody waits for hear to end: Raft may leave
// the last batches without an answer.
func (g *Group) hear() {
	for {
		select {
		case <-g.stop:
			return
		case h := <-g.handed:
			if h.future.Error() != nil && g.stopHanding(h.batch) {
				g.refused(h.batch)
				select {
				case g.refusals <- struct{}{}:
				default:
				}
			}
		}
	}
}

// stopHanding keeps what comes behind a batch that Raft refused from Raft, and
// reports whether the batch is of the present leadership.
func (g *Group) stopHanding(b *batch) bool {
	g.handing.Lock()
	defer g.handing.Unlock()
	present := g.awaitsRaft(b)
	if present {
		g.begun = false
	}
	return present
}

// attempt is a try to take up leadership that Raft has given.
type attempt struct {
	term event.Term
	err  chan error
}

// observeLeaders has a channel get an element when Raft hears of another leader.
func (g *Group) observeLeaders() (changes <-chan raft.Observation, forget func()) {
	leaders := make(chan raft.Observation, 1)
	observer := raft.NewObserver(leaders, false, func(o *raft.Observation) bool {
		_, changed := o.Data.(raft.LeaderObservation)
		return changed
	})
	g.raft.RegisterObserver(observer)
	return leaders, func() { g.raft.DeregisterObserver(observer) }
}

// follow keeps the node's role. It is the only one that changes it.
func (g *Group) follow() {
	ticker := time.NewTicker(lateCheck)
	defer ticker.Stop()
	leaders, forget := g.observeLeaders()
	defer forget()
	var leads, leading bool
	var try *attempt
	var result chan error
	rest := false // after a try that failed, until the next tick
	for {
		select {
		case <-g.stop:
			return
		case leads = <-g.leadership:
			try, result = nil, nil
			if leads {
				end, _, _ := g.engine.Log().End()
				g.slaves.begin(g.slaveIDs(), end, time.Now())
			} else {
				leading = false
				g.slaves.forget()
				g.loseLead()
				g.deposed()
			}
		case err := <-result:
			if leading = err == nil && !g.stalled(); leading {
				g.beginLead(try.term)
			}
			rest = !leading
			try, result = nil, nil
		case <-g.refusals:
			// Raft may lead on, as after a transfer that failed: begin anew, behind
			// a barrier.
			leading = false
			g.loseLead()
		case <-leaders: // others are told who leads
		case <-ticker.C:
			rest = false
			g.tick()
			if leading && g.stalled() {
				g.metrics.stalls.Inc()
				g.text.Error("the disk of this leader hangs: it gives up leadership", "group", g.options.Name, "after", g.options.Times.FlushStall)
				leading = false
				g.loseLead()
			}
		}
		if leads && !leading && try == nil && !rest && !g.stalled() {
			try = g.takeUp()
			result = try.err
		}
		g.publish(leading)
	}
}

func (g *Group) stalled() bool { return g.store.hangs(g.options.Times.FlushStall) }

// turnMax bounds the time between the candidacies of two nodes that have seen
// the leader's process end: the second one's turn comes if the first has lost.
// It is long enough for the first to store its term and vote, and to ask.
const turnMax = 300 * time.Millisecond

// peerGone elects a new leader at once where the leader's process has ended.
// Nodes stand in the order of their names, so that votes don't split.
func (g *Group) peerGone(peer transport.Hello) {
	gone := serverID(peer.Node)
	servers := g.raft.GetConfiguration().Configuration().Servers
	turn := 0
	for _, s := range servers {
		if s.ID != gone && s.Suffrage == raft.Voter && s.ID < g.id {
			turn++
		}
	}
	timer := time.NewTimer(time.Duration(turn) * min(turnMax, g.options.Times.Heartbeat/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.stop:
		return
	}
	if _, leader := g.raft.LeaderWithID(); leader != gone || !g.isVoter(g.id) || g.raft.State() != raft.Follower {
		return
	}
	g.text.Info("the leader's process has ended: this node stands for election", "group", g.options.Name, "leader", peer.Name)
	_ = g.transport.StandForElection(g.id) // it can't but when the node stops
}

// takeUp brings everything of earlier terms to be applied here.
func (g *Group) takeUp() *attempt {
	a := &attempt{term: event.Term(g.raft.CurrentTerm()), err: make(chan error, 1)}
	go func() { a.err <- g.barrier() }() // Raft may leave it without an answer when it is shut down
	return a
}

func (g *Group) barrier() error {
	ctx, cancel := context.WithTimeout(context.Background(), barrierTime)
	defer cancel()
	if err := g.raft.Barrier(0).Error(); err != nil {
		return err
	}
	through := g.lastCommitted()
	g.commit(through)
	return g.awaitApplied(ctx, through)
}

// awaitApplied returns when a frame is applied that is committed.
func (g *Group) awaitApplied(ctx context.Context, through event.Index) error {
	var position event.Position
	err := g.engine.Log().NewReader().Frame(through, func(f commitlog.Frame) error {
		position = f.Position
		return nil
	})
	if err != nil {
		return err
	}
	return g.engine.WaitApplied(ctx, position)
}

func (g *Group) beginLead(term event.Term) {
	g.lead()
	g.handing.Lock()
	g.begun = true
	g.handing.Unlock()
	g.metrics.leaderships.Inc()
	g.text.Info("this node leads", "group", g.options.Name, "term", term)
	g.wakeUp()
	g.correctAddress()
	g.leadAlone()
}

func (g *Group) loseLead() {
	g.handing.Lock()
	was := g.begun
	g.begun = false
	g.handing.Unlock()
	g.lose()
	if was {
		g.text.Warn("this node leads no more", "group", g.options.Name)
	}
}

// tick does what is done by time.
func (g *Group) tick() {
	if g.committing.TryLock() {
		g.watchSlaves()
		g.commitOrphaned()
		g.committing.Unlock()
	}
	// Raft tells the state machine of events alone; what is committed may end with
	// a frame without any.
	g.commit(g.lastCommitted())
	g.expire()
	g.noteReplicated()
}

// roles is the role as last published.
type roles struct {
	mu      sync.Mutex
	now     Role
	changed chan struct{}
}

// publish tells the world when the role has changed.
func (g *Group) publish(leading bool) {
	r := Role{Leads: leading, Term: event.Term(g.raft.CurrentTerm())}
	if address, id := g.raft.LeaderWithID(); id != "" {
		r.Leader = g.member(raft.Server{ID: id, Address: address, Suffrage: raft.Voter})
	}
	g.roles.mu.Lock()
	same := g.roles.now == r
	g.roles.now = r
	g.roles.mu.Unlock()
	if !same {
		select {
		case g.roles.changed <- struct{}{}:
		default:
		}
	}
}

// Role is what the node is at present.
func (g *Group) Role() Role {
	g.roles.mu.Lock()
	defer g.roles.mu.Unlock()
	return g.roles.now
}

// RoleChanged gets an element after the role has changed. It has one reader.
func (g *Group) RoleChanged() <-chan struct{} { return g.roles.changed }

// ErrNotLeading: only the leader changes the group.
var ErrNotLeading = errors.New("this node doesn't lead the group")
