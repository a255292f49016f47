package node

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

// replica is the node's copy of the log: alone, or one of a group.
type replica interface {
	Propose(*engine.Proposal) error
	Engine() *engine.Engine
	// Role is what the node is at present, RoleChanged tells its one reader of
	// changes.
	Role() replication.Role
	RoleChanged() <-chan struct{}
	WriteMetrics(io.Writer)
	Close() error
}

// leadRetry is the pause after a leader's first steps have failed.
const leadRetry = time.Second

// leadership is what a node does while it leads.
type leadership struct {
	term    event.Term
	stop    context.CancelFunc
	running sync.WaitGroup
}

// keepRole has the node do what its role asks for, until the context ends.
func (n *Node) keepRole(ctx context.Context) {
	defer n.endLead()
	for {
		again := (<-chan time.Time)(nil)
		if err := n.takeRole(ctx, n.replica.Role()); err != nil {
			n.log.Warn("this node leads and can't serve yet; the next try is in a second", "cause", err)
			again = time.After(leadRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-n.replica.RoleChanged():
		case <-again:
		}
	}
}

// takeRole begins and ends leadership, and tells the nameservers.
func (n *Node) takeRole(ctx context.Context, r replication.Role) error {
	if n.leads == nil || !r.Leads || n.leads.term != r.Term {
		n.followLeader(r)
		n.endLead()
	}
	if r.Leads && n.leads == nil {
		if err := n.beginLead(ctx, r.Term); err != nil {
			return err
		}
	}
	if !r.Leads && (r.Leader.ID == "" || r.Leader.Self) {
		return nil // nobody leads, or this node is going to: the nameservers keep what they know
	}
	return n.register(r)
}

// beginLead does what comes before the first request, and starts the duties.
func (n *Node) beginLead(ctx context.Context, term event.Term) error {
	starting, cancel := context.WithTimeout(ctx, systemTopicsTime)
	defer cancel()
	if err := n.broker.CreateSystemTopics(starting); err != nil {
		return fmt.Errorf("create system topics: %w", err)
	}
	n.broker.Lead()
	l := &leadership{term: term}
	work, stop := context.WithCancel(ctx)
	l.stop = stop
	for _, duty := range n.duties {
		l.running.Go(func() { duty(work) })
	}
	n.leads = l
	if n.forward != nil {
		n.forward.Lead()
	}
	return nil
}

// endLead returns when no duty runs any more.
func (n *Node) endLead() {
	if n.leads == nil {
		return
	}
	n.leads.stop()
	n.leads.running.Wait()
	n.leads = nil
	n.broker.Follow(n.followerID())
}

// register makes the role known to the nameservers: the leader is the master,
// brokerId 0.
func (n *Node) register(r replication.Role) error {
	id := int64(0)
	if !r.Leads {
		id = n.config.Replication.followerID()
	}
	if n.registrar == nil {
		if err := n.startRegistrar(id, int64(r.Term)); err != nil {
			return err
		}
	}
	n.registrar.SetRole(id, int64(r.Term))
	n.roleKnown.Do(func() { close(n.hasRole) })
	return nil
}

// awaitRole returns when the node leads, or knows who does.
func (n *Node) awaitRole(ctx context.Context) error {
	if n.group != nil {
		n.admin.notReady("starting: waiting for the group to have a leader")
	}
	select {
	case <-n.hasRole:
		return n.awaitRoute(ctx)
	case <-ctx.Done():
		return fmt.Errorf("wait for a leader: %w", ctx.Err())
	}
}
