package replication

import (
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	// roomCheck is how often a leader looks whether its disk has space for
	// another segment.
	roomCheck = 250 * time.Millisecond
	// fullTime is how long it hasn't before leadership goes to a node that has:
	// retention may be about to free some.
	fullTime = time.Second
	// fullAgainMax bounds the time between two tries to hand over, which doubles.
	fullAgainMax = time.Minute
)

// leaveFull hands leadership over where this node's disk is full and another
// voter's isn't, that has the log.
func (g *Group) leaveFull() {
	ticker := time.NewTicker(roomCheck)
	defer ticker.Stop()
	var due time.Time // zero: there is room, or this node doesn't lead
	again := fullTime
	for {
		select {
		case <-g.stop:
			return
		case <-ticker.C:
		}
		now := time.Now()
		switch {
		case !g.Role().Leads || !g.engine.Log().DiskFull():
			due, again = time.Time{}, fullTime
		case due.IsZero():
			due = now.Add(fullTime)
		case !now.Before(due):
			due, again = now.Add(again), min(2*again, fullAgainMax)
			g.handToRoom()
		}
	}
}

// handToRoom does so if there is one. Nodes that answer are asked; those that
// have more of the log come first.
func (g *Group) handToRoom() {
	end, _, _ := g.engine.Log().End()
	var able []answer
	for _, a := range g.standing.answers() {
		if a.heard && !a.Full && !a.Lost && event.Index(a.Last.Index)+caughtUpFrames >= end {
			able = append(able, a)
		}
	}
	if len(able) == 0 {
		return
	}
	to := slices.MaxFunc(able, func(a, b answer) int { return int(int64(a.Last.Index) - int64(b.Last.Index)) })
	m := g.member(to.server)
	g.text.Warn("the disk of this leader is full: leadership goes to a node with room", "group", g.options.Name, "node", m.Name)
	if err := g.Transfer(m.ID); err != nil {
		g.text.Warn("leadership stays here", "group", g.options.Name, "cause", err)
		return
	}
	g.metrics.full.Inc()
}
