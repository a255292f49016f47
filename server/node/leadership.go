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
func (s *shard) keepRole(ctx context.Context) {
	defer s.endLead()
	for {
		again := (<-chan time.Time)(nil)
		if err := s.takeRole(ctx, s.replica.Role()); err != nil {
			s.log.Warn("this node leads and can't serve yet; the next try is in a second", "cause", err)
			again = time.After(leadRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.replica.RoleChanged():
		case <-again:
		}
	}
}

// takeRole begins and ends leadership, and tells the nameservers.
func (s *shard) takeRole(ctx context.Context, r replication.Role) error {
	if s.leads == nil || !r.Leads || s.leads.term != r.Term {
		s.followLeader(r)
		s.endLead()
	}
	if r.Leads && s.leads == nil {
		if err := s.beginLead(ctx, r.Term); err != nil {
			return err
		}
	}
	if !r.Leads && (r.Leader.ID == "" || r.Leader.Self) && !s.isSlave() {
		return nil // nobody leads, or this node is going to: the nameservers keep what they know
	}
	return s.register(r)
}

// beginLead does what comes before the first request, and starts the duties.
func (s *shard) beginLead(ctx context.Context, term event.Term) error {
	starting, cancel := context.WithTimeout(ctx, systemTopicsTime)
	defer cancel()
	if err := s.broker.CreateSystemTopics(starting); err != nil {
		return fmt.Errorf("create system topics: %w", err)
	}
	s.takeOverTopics()
	s.broker.Lead()
	l := &leadership{term: term}
	work, stop := context.WithCancel(ctx)
	l.stop = stop
	for _, duty := range s.duties {
		l.running.Go(func() { duty(work) })
	}
	s.leads = l
	if s.forward != nil {
		s.forward.Lead()
	}
	return nil
}

// endLead returns when no duty runs any more.
func (s *shard) endLead() {
	if s.leads == nil {
		return
	}
	s.leads.stop()
	s.leads.running.Wait()
	s.leads = nil
	s.broker.Follow(s.followerID())
}

// register makes the role known to the nameservers: the leader is the master,
// brokerId 0.
func (s *shard) register(r replication.Role) error {
	id := int64(0)
	if !r.Leads {
		id = s.followerID()
	}
	if s.registrar == nil {
		if err := s.startRegistrar(id, int64(r.Term)); err != nil {
			return err
		}
	}
	s.registrar.SetRole(id, int64(r.Term))
	s.roleKnown.Do(func() { close(s.hasRole) })
	return nil
}

// awaitRole returns when the node leads, or knows who does.
func (s *shard) awaitRole(ctx context.Context) error {
	if s.group != nil {
		s.waitsFor("starting: waiting for the group to have a leader")
	}
	select {
	case <-s.hasRole:
		return s.awaitRoute(ctx)
	case <-ctx.Done():
		return fmt.Errorf("wait for a leader: %w", ctx.Err())
	}
}
