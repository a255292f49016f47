package replication

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// comparing has the leader hold what the other members have made of the log
// against what it has made of it itself, so that a difference is seen when it
// comes about and not when clients get different answers. It changes nothing: all
// go on serving, and an operator decides.
//
// A member that doesn't answer, has gone past the frame, doesn't come to it in
// time, or sums up its state in another version's way is left out.
type comparing struct {
	group *Group
	rest  time.Time // no sum before

	mu     sync.Mutex
	same   map[raft.ServerID]event.Index // frame after which nothing differed
	differ map[raft.ServerID]Difference  // what did, for those where that isn't over
}

const (
	// comparePeriod is the time between two comparisons, unless Times says
	// otherwise.
	comparePeriod = time.Minute
	// frameAttempts bounds how often a frame is looked for that this node comes to.
	frameAttempts = 3
	// A log's rate is watched for rateTime; where it grows, the frame is meant to
	// come aheadTime later, as the question has to be there before.
	rateTime  = 200 * time.Millisecond
	aheadTime = time.Second
	// A large state is compared less often: sums take at most this share of the
	// time, in which nothing is applied and consumers wait.
	sumShare = 1.0 / 2000
)

func newComparing(g *Group) *comparing {
	return &comparing{group: g, same: map[raft.ServerID]event.Index{}, differ: map[raft.ServerID]Difference{}}
}

// run compares until the group is closed.
func (c *comparing) run() {
	g := c.group
	ticker := time.NewTicker(g.options.Times.Compare)
	defer ticker.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-ticker.C:
		}
		var peers []raft.Server // those of a node that doesn't lead are the leader's to look after
		if g.Role().Leads {
			peers = g.others()
		}
		c.keep(peers)
		if c.anyNews(peers) && time.Now().After(c.rest) {
			c.round(peers)
		}
	}
}

// keep forgets all others.
func (c *comparing) keep(peers []raft.Server) {
	other := func(id raft.ServerID) bool {
		return !slices.ContainsFunc(peers, func(p raft.Server) bool { return p.ID == id })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.same, func(id raft.ServerID, _ event.Index) bool { return other(id) })
	maps.DeleteFunc(c.differ, func(id raft.ServerID, _ Difference) bool { return other(id) })
}

// anyNews reports whether there is more to know than that all are the same after
// the last frame.
func (c *comparing) anyNews(peers []raft.Server) bool {
	applied := c.group.engine.Marks().Applied
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range peers {
		if at, is := c.same[p.ID]; !is || at != applied {
			return true
		}
	}
	return false
}

// peerState is what another member says of its state, or why it doesn't.
type peerState struct {
	server raft.Server
	transport.State
	err error
}

// round compares once. It costs this node one sum: who is left out has its turn in
// the next round.
func (c *comparing) round(peers []raft.Server) {
	g := c.group
	var states []peerState
	for range frameAttempts {
		var own engine.Sum
		var err error
		if own, states, err = c.ask(c.frame(), peers); err == nil {
			c.rest = time.Now().Add(time.Duration(float64(g.engine.SumTook()) / sumShare))
			for i := range states {
				c.judge(&own, &states[i])
			}
			return
		}
		if g.copies.work.Err() != nil {
			return
		}
		g.text.Debug("no state was compared after a frame", "group", g.options.Name, "cause", err)
	}
	g.metrics.leftOut.Add(len(states))
}

// frame is one to which all come soon: the end of a log at rest, otherwise one
// behind it, if the log goes on as it did in a moment.
func (c *comparing) frame() event.Index {
	g := c.group
	before, _, _ := g.engine.Log().End()
	wait := time.NewTimer(rateTime)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-g.stop:
	}
	end, _, _ := g.engine.Log().End()
	return end + (end-min(before, end))*event.Index(aheadTime/rateTime)
}

// ask has all members sum up their states after a frame, this node too.
func (c *comparing) ask(at event.Index, peers []raft.Server) (own engine.Sum, states []peerState, err error) {
	g := c.group
	ctx, cancel := context.WithTimeout(g.copies.work, 2*transport.StateTime)
	defer cancel()
	hello := g.hello()
	states = make([]peerState, len(peers))
	var asking sync.WaitGroup
	for i, s := range peers {
		asking.Go(func() {
			state, err := g.options.Network.State(ctx, string(s.Address), hello, at)
			states[i] = peerState{s, state, err}
		})
	}
	mine, ended := context.WithTimeout(ctx, transport.StateTime)
	defer ended()
	if own, err = g.engine.Sum(mine, at); err != nil {
		cancel() // nothing to hold the others' answers against
	}
	asking.Wait()
	return own, states, err
}

// state answers a peer that compares.
func (g *Group) state(ctx context.Context, at event.Index) (transport.State, error) {
	sum, err := g.engine.Sum(ctx, at)
	return transport.State{Version: engine.SumVersion, Sum: sum}, err
}

// verdict is what a comparison comes to.
type verdict int

const (
	isSame verdict = iota
	isDifferent
	isLeftOut
)

// against holds a peer's state against this node's.
func (p *peerState) against(own *engine.Sum) (verdict, []string) {
	if p.err != nil || p.Version != engine.SumVersion || p.Sum.Index != own.Index {
		return isLeftOut, nil
	}
	if parts := own.Differing(&p.Sum); len(parts) > 0 {
		return isDifferent, parts
	}
	return isSame, nil
}

// judge notes what a comparison with one peer has come to, and raises the alarm.
func (c *comparing) judge(own *engine.Sum, p *peerState) {
	g := c.group
	m := g.member(p.server)
	about := []any{"group", g.options.Name, "peer", m.Name, "address", m.Address, "frame", own.Index}
	v, parts := p.against(own)
	switch v {
	case isLeftOut:
		g.metrics.leftOut.Inc()
		g.text.Debug("the state of another replica was not compared", append(about, "version", p.Version, "cause", p.err)...)
	case isSame:
		g.metrics.same.Inc()
		if c.note(p.server.ID, Difference{Frame: own.Index}) {
			g.text.Info("the state of another replica is that of this leader again", about...)
		}
	case isDifferent:
		g.metrics.different.Inc()
		d := Difference{Frame: own.Index, Parts: parts}
		c.note(p.server.ID, d)
		g.text.Error("the state of another replica differs from that of this leader; both go on",
			append(about, "differs", strings.Join(parts, ","), "help", d.Describe(g.self().Called(), m.Called()))...)
	}
}

// note remembers what differs, or that nothing does. It reports whether something
// did before.
func (c *comparing) note(id raft.ServerID, d Difference) (before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, before = c.differ[id]
	if len(d.Parts) == 0 {
		c.same[id] = d.Frame
		delete(c.differ, id)
	} else {
		c.differ[id] = d
		delete(c.same, id)
	}
	return before
}

// differs reports whether a member's state was found to.
func (c *comparing) differs(id raft.ServerID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.differ[id]
	return is
}

// Differing are the members whose states differ from that of this node, as far as
// it has found out while it leads.
func (g *Group) Differing() []PeerDifference {
	if !g.Role().Leads {
		return nil
	}
	var all []PeerDifference
	for _, s := range g.others() {
		g.comparing.mu.Lock()
		d, is := g.comparing.differ[s.ID]
		g.comparing.mu.Unlock()
		if is {
			all = append(all, PeerDifference{g.member(s), d})
		}
	}
	return all
}
