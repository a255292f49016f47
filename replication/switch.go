package replication

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// A master hands its place over in three steps: the slave gets a vote, Raft
// transfers the leadership, and the new master takes the vote of the old one.

// ErrMasterLives: there is a master, so nobody is made one in its place.
var ErrMasterLives = errors.New("the master is alive")

// switchTo makes a slave the master; this node, the master, becomes a slave.
func (g *Group) switchTo(s raft.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), changeTime)
	defer cancel()
	if err := g.awaitCaughtUp(ctx, s.ID); err != nil {
		return fmt.Errorf("the slave is too far behind: %w", err)
	}
	if err := g.change(g.raft.AddVoter(s.ID, s.Address, 0, changeTime)); err != nil {
		return err
	}
	// Raft gives up after the time of an election, which a slow disk may take.
	err := g.change(g.raft.LeadershipTransferToServer(s.ID, s.Address))
	for err != nil && ctx.Err() == nil && g.Role().Leads {
		err = g.change(g.raft.LeadershipTransferToServer(s.ID, s.Address))
	}
	if err == nil {
		err = g.awaitOtherLeader()
	}
	if err != nil && g.Role().Leads {
		err = errors.Join(err, g.change(g.raft.DemoteVoter(s.ID, 0, changeTime)))
	}
	return err
}

// bestSlave is the one that has most of the log.
func (g *Group) bestSlave() (raft.Server, error) {
	var best raft.Server
	var most uint64
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if match, _ := g.transport.Match(s.ID); s.ID != g.id && match > most {
			best, most = s, match
		}
	}
	if most == 0 {
		return best, errors.New("no slave has answered")
	}
	return best, nil
}

// leadAlone takes the votes of all others in a group of a master and slaves.
func (g *Group) leadAlone() {
	if g.options.MasterSlave == nil {
		return
	}
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID == g.id || s.Suffrage != raft.Voter {
			continue
		}
		g.running.Go(func() {
			if err := g.change(g.raft.DemoteVoter(s.ID, 0, changeTime)); err != nil {
				g.text.Warn("a slave still has a vote; this node can't lead without it", "group", g.options.Name, "address", s.Address, "cause", err)
			}
		})
	}
}

// termLeap lies between the term of a lost master and that of a slave promoted
// in its place, and more by chance: the lost one may come back, be told to lead
// and go on counting from its own.
const termLeap = 1 << 16

// Promote makes this slave the master where there is none any more. What it has
// of the log is the log from now on. It is refused while a master answers, and
// where another slave that answers has more, unless by force. A master that
// lives hands over with Transfer.
func (g *Group) Promote(ctx context.Context, force bool) error {
	if g.options.MasterSlave == nil {
		return errors.New("promote: this group elects its leader by itself; use transfer")
	}
	if g.Role().Leads {
		return nil
	}
	end, endTerm, _ := g.engine.Log().End()
	if first, _ := g.engine.Log().First(); end < first && !force {
		return errors.New("promote: this slave has nothing of the log; promote another, or use --force")
	}
	if !force {
		if err := g.mayTakeOver(ctx, end, endTerm); err != nil {
			return fmt.Errorf("promote: %w", err)
		}
	}
	term, err := leap(event.Term(g.raft.CurrentTerm()))
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	c := g.votesAlone()
	g.text.Warn("an administrator makes this slave the master", "group", g.options.Name, "behindFrame", end, "term", term, "force", force)
	end, endTerm, _ = g.engine.Log().End()
	if err := g.transport.Configure(g.id, uint64(term), uint64(end), uint64(endTerm), c); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if err := g.transport.StandForElection(g.id); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	return g.awaitLead(ctx)
}

// leap is a later term that no other node comes to by itself.
func leap(from event.Term) (event.Term, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return from + termLeap + event.Term(binary.LittleEndian.Uint16(b[:])), nil
}

// votesAlone is the group with this node as the only voter.
func (g *Group) votesAlone() raft.Configuration {
	c := raft.Configuration{Servers: []raft.Server{voterAt(g.engine.Log().Meta().Node, g.options.Self.Address)}}
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID != g.id && string(s.Address) != g.options.Self.Address {
			s.Suffrage = raft.Nonvoter
			c.Servers = append(c.Servers, s)
		}
	}
	return c
}

// mayTakeOver asks the other members.
func (g *Group) mayTakeOver(ctx context.Context, end event.Index, term event.Term) error {
	var more []string
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID == g.id {
			continue
		}
		answer, err := g.options.Network.Ask(ctx, string(s.Address), g.hello())
		switch {
		case err != nil: // it is gone, or out of reach
		case answer.Leads:
			return fmt.Errorf("%w at %s: have it hand over with `apogee admin promote` while the nameservers know it, or use --force", ErrMasterLives, s.Address)
		case answer.End > end && answer.Term >= term:
			more = append(more, string(s.Address))
		}
	}
	if len(more) > 0 {
		slices.Sort(more)
		return fmt.Errorf("%s has more of the log than this slave; promote that one, or use --force to do without", strings.Join(more, ", "))
	}
	return nil
}

// hello is what this node tells others now.
func (g *Group) hello() transport.Hello {
	h := g.options.hello(g.engine.Log().Meta().Node)
	h.Log = g.engine.Log().Meta().Log
	g.present(&h)
	return h
}

// present adds what changes to what others are told.
func (g *Group) present(h *transport.Hello) {
	h.End, _, _ = g.engine.Log().End()
	r := g.Role()
	h.Term, h.Leads = r.Term, r.Leads
}

// awaitLead returns when this node leads.
func (g *Group) awaitLead(ctx context.Context) error {
	return g.until(ctx, changeTime, "lead", func() bool { return g.Role().Leads })
}
