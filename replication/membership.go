package replication

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

// changeTime bounds how long a change of the members waits for one before it.
const changeTime = 5 * time.Second

// member describes a server of Raft's configuration.
func (g *Group) member(s raft.Server) Member {
	var node [16]byte
	_, _ = hex.Decode(node[:], []byte(s.ID)) // what is no name of ours was never met
	met, _ := g.transport.Met(node)
	m := Member{ID: string(s.ID), Name: met.Name, Service: met.Service, Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Self: s.ID == g.id}
	for _, p := range g.options.Peers {
		if p.Address == m.Address {
			m.Name = p.Name
		}
	}
	if m.Self {
		m.Name, m.Service = g.options.Self.Name, g.options.Service
	}
	return m
}

// self is this node.
func (g *Group) self() Member {
	return g.member(raft.Server{ID: g.id, Address: raft.ServerAddress(g.options.Self.Address)})
}

// others are the servers of the configuration but this node.
func (g *Group) others() []raft.Server {
	var all []raft.Server
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID != g.id {
			all = append(all, s)
		}
	}
	return all
}

// Members lists the group's nodes. What is known of the others is current on
// the leader only.
func (g *Group) Members() []Peering {
	var all []Peering
	progress := g.transport.Progress()
	end, _, _ := g.engine.Log().End()
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		p := progress[s.ID]
		peering := Peering{Member: g.member(s), Match: event.Index(p.Match), Behind: p.Behind, LastContact: p.LastContact}
		peering.InSync = g.slaves.counting(s.ID)
		if peering.Self {
			peering.Match = end
		}
		if peering.Match >= end {
			peering.Behind = 0
		}
		all = append(all, peering)
	}
	return all
}

// AddPeer adds the node at an address as a voter, or changes the address of one
// that is a member. It gets the log from the leader, and counts for a majority
// at once; so as not to wait for it, it is a non-voter until it has caught up.
func (g *Group) AddPeer(ctx context.Context, address string) (Member, error) {
	if !g.Role().Leads {
		return Member{}, ErrNotLeading
	}
	peer, err := g.options.Network.Ask(ctx, address, g.options.hello(g.engine.Log().Meta().Node))
	if err != nil {
		return Member{}, fmt.Errorf("add the peer at %s: %w", address, err)
	}
	if peer.Log != (event.LogID{}) && peer.Log != g.engine.Log().Meta().Log {
		return Member{}, fmt.Errorf("add the peer at %s: it has another log; empty its folder first", address)
	}
	if peer.Node == ([16]byte{}) {
		return Member{}, fmt.Errorf("add the peer at %s: it has no name yet; try again", address)
	}
	server := voterAt(peer.Node, address)
	if g.options.MasterSlave != nil {
		if err := g.addSlave(server.ID, server.Address); err != nil {
			return Member{}, fmt.Errorf("add the slave at %s: %w", address, err)
		}
		return g.member(server), nil
	}
	if !g.isVoter(server.ID) {
		if err := g.change(g.raft.AddNonvoter(server.ID, server.Address, 0, changeTime)); err != nil {
			return Member{}, fmt.Errorf("add the peer at %s: %w", address, err)
		}
		if err := g.awaitCaughtUp(ctx, server.ID); err != nil {
			return Member{}, fmt.Errorf("add the peer at %s: %w; it stays a member without a vote, try again", address, err)
		}
	}
	if err := g.change(g.raft.AddVoter(server.ID, server.Address, 0, changeTime)); err != nil {
		return Member{}, fmt.Errorf("add the peer at %s: %w", address, err)
	}
	return g.member(server), nil
}

func (g *Group) isVoter(id raft.ServerID) bool {
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID == id {
			return s.Suffrage == raft.Voter
		}
	}
	return false
}

// caughtUpFrames is how close to the end of the log a replica must be to vote.
const caughtUpFrames = 64

func (g *Group) awaitCaughtUp(ctx context.Context, id raft.ServerID) error {
	again := time.NewTicker(lateCheck)
	defer again.Stop()
	for {
		end, _, _ := g.engine.Log().End()
		if match := event.Index(g.transport.Progress()[id].Match); match > 0 && match+caughtUpFrames >= end {
			return nil
		}
		if !g.Role().Leads {
			return ErrNotLeading
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until it has caught up: %w", ctx.Err())
		case <-g.stop:
			return raft.ErrRaftShutdown
		case <-again.C:
		}
	}
}

// RemovePeer removes a member, named by its name, its address or its id.
func (g *Group) RemovePeer(which string) (Member, error) {
	if !g.Role().Leads {
		return Member{}, ErrNotLeading
	}
	s, err := g.find(which)
	if err == nil {
		err = g.change(g.raft.RemoveServer(s.ID, 0, changeTime))
	}
	if err != nil {
		return Member{}, fmt.Errorf("remove the peer %s: %w", which, err)
	}
	member := func(id raft.ServerID) bool { return id != s.ID }
	g.transport.Forget(member)
	return g.member(s), nil
}

// Transfer gives leadership to a member, or to the one that has most of the log
// where which is empty.
func (g *Group) Transfer(which string) error {
	if !g.Role().Leads {
		return ErrNotLeading
	}
	if g.options.MasterSlave != nil {
		s, err := g.bestSlave()
		if which != "" {
			s, err = g.find(which)
		}
		if err == nil {
			err = g.switchTo(s)
		}
		if err != nil {
			return fmt.Errorf("make a slave the master: %w", err)
		}
		return nil
	}
	var future raft.Future
	if which == "" {
		future = g.raft.LeadershipTransfer()
	} else {
		s, err := g.find(which)
		if err != nil {
			return fmt.Errorf("transfer leadership: %w", err)
		}
		if s.ID == g.id {
			return nil // it has it
		}
		future = g.raft.LeadershipTransferToServer(s.ID, s.Address)
	}
	if err := g.change(future); err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return g.awaitOtherLeader()
}

// awaitOtherLeader returns when this node knows who leads instead of it.
func (g *Group) awaitOtherLeader() error {
	err := g.until(context.Background(), changeTime, "know who leads", func() bool {
		r := g.Role()
		return !r.Leads && r.Leader.ID != "" && !r.Leader.Self
	})
	if err != nil {
		err = fmt.Errorf("transfer leadership: this node gave it up: %w", err)
	}
	return err
}

// until waits for a condition for so long at most.
func (g *Group) until(ctx context.Context, limit time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	again := time.NewTicker(lateCheck)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait to %s: %w", what, ctx.Err())
		case <-g.stop:
			return raft.ErrRaftShutdown
		}
	}
	return nil
}

func (g *Group) find(which string) (raft.Server, error) {
	servers := g.raft.GetConfiguration().Configuration().Servers
	for _, s := range servers {
		if m := g.member(s); which == m.Name || which == m.Address || which == m.ID {
			return s, nil
		}
	}
	return raft.Server{}, fmt.Errorf("no member is called %q", which)
}

// change waits for a change that Raft makes.
func (g *Group) change(f raft.Future) error {
	err := f.Error()
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) {
		return errors.Join(ErrNotLeading, err)
	}
	return err
}

// correctAddress has the group know this node by the address that it has now: a
// log of a single node names another.
func (g *Group) correctAddress() {
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID != g.id || string(s.Address) == g.options.Self.Address {
			continue
		}
		g.running.Go(func() {
			if err := g.change(g.raft.AddVoter(g.id, raft.ServerAddress(g.options.Self.Address), 0, changeTime)); err != nil {
				g.text.Warn("the group knows this node by another address", "address", s.Address, "cause", err)
			}
		})
	}
}
