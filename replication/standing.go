package replication

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// A node whose log may lack entries that it has acknowledged (commitlog.Loss)
// breaks what Raft builds on: a majority may have elected others because of its
// word. So it gives no vote and asks for none until one of these is so:
//
//   - It has caught up: a leader, of a term not before its own, has said where
//     its log ends, and this node has that very entry, so also all before it.
//   - All voters have answered, and none leads. Then whatever is left of what was
//     acknowledged is in the best of their logs, as Raft compares them: the node
//     takes part in elections of those that are at least as good. This is how
//     a group starts whose nodes have all lost power.
//   - An operator has said so: the loss is noted as forced.
//
// Term and vote are always synced, so no other promise depends on what was lost.
// A node that comes to lead while its loss is noted has none to catch up with:
// it says in the log what may be missing (event.KindLost), and the loss ends.
type standing struct {
	group *Group

	mu    sync.Mutex
	heard bool
	best  transport.Entry // of all voters' logs, once they were heard
	goal  transport.Entry // where a leader's log ended
	term  uint64          // of that leader, 0 for none
}

// standingPeriod is the time between two rounds of questions to the others.
const standingPeriod = 300 * time.Millisecond

// lastEntry is where this node's log ends.
func (s *standing) lastEntry() transport.Entry {
	index, term, _ := s.group.engine.Log().End()
	return transport.Entry{Term: uint64(term), Index: uint64(index)}
}

// now answers peers. Raft doesn't run yet where the log is repaired at the start.
func (s *standing) now() transport.Standing {
	_, lost := s.group.engine.Log().Loss()
	at := transport.Standing{Last: s.lastEntry(), Lost: lost, Full: s.group.engine.Log().DiskFull()}
	if r := s.group.copies.raft.Load(); r != nil {
		at.Term, at.Leads = r.CurrentTerm(), r.State() == raft.Leader
	}
	return at
}

// mayVote reports whether a node with such a log may get this one's vote.
func (s *standing) mayVote(last transport.Entry) bool {
	loss, lost := s.group.engine.Log().Loss()
	if !lost || loss.Cause == event.LostByForce {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard && !last.Before(s.best)
}

// mayStand reports whether this node may ask for votes.
func (s *standing) mayStand() bool { return s.mayVote(s.lastEntry()) }

// recover ends the node's loss, if it has one.
func (s *standing) recover() {
	g := s.group
	loss, lost := g.engine.Log().Loss()
	if !lost {
		return
	}
	g.text.Warn("this node's log may lack what it has confirmed: it takes no part in elections until it has caught up with a leader, or all voters were heard",
		"group", g.options.Name, "cause", loss.Cause, "kept", loss.Kept, "had", loss.Had)
	again := time.NewTicker(standingPeriod)
	defer again.Stop()
	for {
		if s.recovered(loss) {
			return
		}
		select {
		case <-g.stop:
			return
		case <-again.C:
		}
	}
}

// recovered does one round. It reports whether the loss has ended.
func (s *standing) recovered(loss commitlog.Loss) bool {
	g := s.group
	if g.Role().Leads {
		if !g.tellLoss(loss, g.stop) {
			return false
		}
	} else {
		s.ask()
		if !s.caughtUp() {
			return false
		}
	}
	if err := g.engine.Log().EndLoss(); err != nil {
		g.text.Warn("that the log is complete again was not noted; the next try follows", "group", g.options.Name, "cause", err)
		return false
	}
	g.text.Info("this node takes part in elections again", "group", g.options.Name)
	return true
}

// caughtUp reports whether this node has the entry with which a leader's log
// ended: by Raft's log matching all before it are the leader's, too.
func (s *standing) caughtUp() bool {
	s.mu.Lock()
	goal, term := s.goal, s.term
	s.mu.Unlock()
	l := s.group.engine.Log()
	marks := l.Marks()
	mark := marks.Durable
	if s.group.options.Mark == commitlog.Written {
		mark = marks.Written
	}
	if term == 0 || uint64(mark) < goal.Index {
		return false
	}
	if b := l.Base(); uint64(b.Index) == goal.Index {
		return uint64(b.Term) == goal.Term
	}
	same := false
	err := l.NewReader().Frame(event.Index(goal.Index), func(f commitlog.Frame) error {
		same = uint64(f.Term) == goal.Term
		return nil
	})
	return err == nil && same
}

// ask asks the other voters where they stand.
func (s *standing) ask() {
	g := s.group
	own := g.raft.CurrentTerm()
	best, silent := s.lastEntry(), false
	for _, answer := range s.answers() {
		if !answer.heard {
			silent = true
			continue
		}
		if answer.Leads && answer.Term >= own {
			s.follow(answer.Standing)
			return
		}
		if best.Before(answer.Last) {
			best = answer.Last
		}
	}
	if silent {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.heard {
		g.text.Info("all voters of the group were heard, and none leads: the best of their logs may be elected", "group", g.options.Name,
			"term", best.Term, "index", best.Index)
	}
	s.heard, s.best = true, best
}

// follow makes the end of a leader's log the goal, unless there is one from it.
func (s *standing) follow(leader transport.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term != leader.Term {
		s.term, s.goal = leader.Term, leader.Last
	}
}

// answer is what another voter says of itself, unless it is silent.
type answer struct {
	transport.Standing
	server raft.Server
	heard  bool
}

// answers are those of the other voters.
func (s *standing) answers() []answer {
	g := s.group
	hello := g.hello()
	var all []answer
	for _, server := range g.others() {
		if server.Suffrage == raft.Voter {
			all = append(all, answer{server: server})
		}
	}
	var asking sync.WaitGroup
	for i := range all {
		a := &all[i]
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*standingPeriod)
			defer cancel()
			at, err := g.options.Network.Standing(ctx, string(a.server.Address), hello)
			a.Standing, a.heard = at, err == nil
		})
	}
	asking.Wait()
	return all
}
