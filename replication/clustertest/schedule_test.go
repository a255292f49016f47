package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// schedule breaks a cluster step by step. What it breaks it mends after a time
// drawn from the seed, while other things break.
type schedule struct {
	*Cluster
	mends []mend
}

// mend ends a fault.
type mend struct {
	at time.Time
	do func()
}

// faults by weight: which of them comes next is drawn from the seed.
var faults = []struct {
	weight int
	name   string
	begin  func(*schedule)
}{
	{6, "power cut", (*schedule).powerCut},
	{4, "kill", (*schedule).killSome},
	{2, "stop", (*schedule).stopOne},
	{4, "isolate", (*schedule).isolateOne},
	{4, "one way", (*schedule).cutOneWay},
	{2, "reset", (*schedule).resetSome},
	{2, "slow link", (*schedule).slowLink},
	{3, "slow disk", (*schedule).slowDisk},
	{4, "hung disk", (*schedule).hangDisk},
	{3, "transfer", (*schedule).transfer},
	{3, "trim", (*schedule).trim},
	{2, "members", (*schedule).changeMembers},
	{2, "clock", (*schedule).turnClock},
	{2, "full disk", (*schedule).fillDisk},
}

func TestWhatIsConfirmedSurvivesWhateverBreaks(t *testing.T) {
	simulate(t, *clusterSeeds, func(c *Cluster) {
		c.found(3)
		s := &schedule{Cluster: c}
		for range 2 {
			stop := c.load(4)
			for range 8 {
				s.step()
			}
			s.mendAll()
			stop()
			c.check()
		}
		for _, n := range c.up() {
			n.stop()
			c.start(n)
		}
		c.check()
		c.comparedSums()
	})
}

// step breaks something and lets some time pass.
func (s *schedule) step() {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	drawn := s.rng.IntN(total)
	for _, f := range faults {
		if drawn -= f.weight; drawn < 0 {
			f.begin(s)
			break
		}
	}
	s.await(s.upTo(400 * time.Millisecond))
	if err := s.ledger.failure(); err != nil {
		s.fatalf("%v", err)
	}
}

// await lets time pass and ends what is to end.
func (s *schedule) await(d time.Duration) {
	until := time.Now().Add(d)
	for {
		next := -1
		for i := range s.mends {
			if next < 0 || s.mends[i].at.Before(s.mends[next].at) {
				next = i
			}
		}
		if next < 0 || s.mends[next].at.After(until) {
			s.pause(time.Until(until))
			return
		}
		m := s.mends[next]
		s.mends = append(s.mends[:next], s.mends[next+1:]...)
		s.pause(time.Until(m.at))
		m.do()
	}
}

// mendAll ends everything that is broken, and starts everything that is down.
func (s *schedule) mendAll() {
	for _, m := range s.mends {
		m.do()
	}
	s.mends = nil
	s.note("all is mended")
	s.network.heal()
	for _, n := range s.all() {
		n.disk.CrashAfter(0)
		if n.gone {
			continue
		}
		if l := n.living(); l == nil && (n.life == nil || n.life.ended()) {
			n.cut()
			n.start()
		} else if l != nil {
			l.disk.slow(usualSync, false)
		}
	}
}

func (s *schedule) upTo(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(d))) + time.Millisecond
}

func (s *schedule) later(d time.Duration, do func()) {
	s.mends = append(s.mends, mend{at: time.Now().Add(s.upTo(d)), do: do})
}

// revive starts a node that is down.
func (s *schedule) revive(n *Node) {
	if n.gone || n.life != nil && !n.life.ended() {
		return
	}
	n.cut()
	s.note("start %s", n.peer.Name)
	n.start()
	if s.rng.IntN(4) == 0 {
		n.disk.CrashAfter(1 + s.rng.Uint64N(80)) // in recovery
		s.later(200*time.Millisecond, func() { s.ifCrashed(n) })
	}
}

// ifCrashed starts a node again whose power went where the disk had it go.
func (s *schedule) ifCrashed(n *Node) {
	n.disk.CrashAfter(0)
	s.revive(n)
}

func (s *schedule) powerCut() {
	victims := s.victims(1 + s.rng.IntN(len(s.up())))
	for _, n := range victims {
		if s.rng.IntN(2) == 0 {
			n.disk.CrashAfter(1 + s.rng.Uint64N(120))
		} else {
			n.cut()
		}
		s.note("power cut of %s", n.peer.Name)
		s.later(500*time.Millisecond, func() {
			n.disk.CrashAfter(0)
			if n.life != nil && !n.life.ended() {
				n.cut()
			}
			s.revive(n)
		})
	}
}

func (s *schedule) killSome() {
	for _, n := range s.victims(1 + s.rng.IntN(2)) {
		s.note("kill %s", n.peer.Name)
		n.kill()
		s.later(400*time.Millisecond, func() { s.revive(n) })
	}
}

func (s *schedule) stopOne() {
	n := s.victims(1)[0]
	if n.living() == nil {
		return
	}
	s.note("stop %s", n.peer.Name)
	n.stop()
	s.later(400*time.Millisecond, func() { s.revive(n) })
}

func (s *schedule) isolateOne() {
	n := s.victims(1)[0]
	if leader := s.leading(); leader != nil && s.rng.IntN(2) == 0 {
		n = leader
	}
	s.note("isolate %s", n.peer.Name)
	s.isolate(n, true)
	s.later(1200*time.Millisecond, func() { s.isolate(n, false) })
}

func (s *schedule) pair() (a, b *Node) {
	two := s.victims(2)
	return two[0], two[len(two)-1]
}

func (s *schedule) cutOneWay() {
	a, b := s.pair()
	s.note("cut from %s to %s", a.peer.Name, b.peer.Name)
	s.network.cut(a.peer.Address, b.peer.Address, true)
	s.later(1200*time.Millisecond, func() { s.network.cut(a.peer.Address, b.peer.Address, false) })
}

func (s *schedule) resetSome() {
	a, b := s.pair()
	s.note("reset between %s and %s", a.peer.Name, b.peer.Name)
	s.network.reset(a.peer.Address, b.peer.Address)
}

func (s *schedule) slowLink() {
	a, b := s.pair()
	d := s.upTo(60 * time.Millisecond)
	s.note("slow link from %s to %s: %v", a.peer.Name, b.peer.Name, d)
	s.network.delay(a.peer.Address, b.peer.Address, d/2, d)
	s.later(time.Second, func() { s.network.delay(a.peer.Address, b.peer.Address, usualDelay, usualSpread) })
}

// onDisk does something to the disk of a node that lives, and undoes it.
func (s *schedule) onDisk(what string, for_ time.Duration, syncs time.Duration, hangs bool) {
	n := s.victims(1)[0]
	if leader := s.leading(); leader != nil && s.rng.IntN(2) == 0 {
		n = leader
	}
	l := n.living()
	if l == nil {
		return
	}
	s.note("%s of %s: %v", what, n.peer.Name, syncs)
	l.disk.slow(syncs, hangs)
	s.later(for_, func() {
		if s.rng.IntN(3) == 0 && n.life == l {
			s.note("power cut of %s, whose disk was slow", n.peer.Name)
			n.cut()
			s.revive(n)
		}
		l.disk.slow(usualSync, false)
	})
}

func (s *schedule) slowDisk() {
	s.onDisk("slow disk", time.Second, s.upTo(80*time.Millisecond), false)
}

func (s *schedule) hangDisk() { s.onDisk("hung disk", 1500*time.Millisecond, 0, true) }

func (s *schedule) transfer() {
	leader := s.leading()
	if leader == nil {
		return
	}
	l := leader.living()
	s.note("transfer from %s", leader.peer.Name)
	to := ""
	if s.rng.IntN(2) == 0 {
		to = s.victims(1)[0].peer.Address
	}
	s.running.Go(func() {
		if l != nil {
			_ = l.group.Transfer(to) // it may fail: something is broken
		}
	})
}

// trim has the leader decide to drop some of its oldest segments.
func (s *schedule) trim() {
	s.note("trim")
	s.decideToTrim(1 + s.rng.IntN(2))
}

// decideToTrim has the leader drop all sealed segments but some.
func (c *Cluster) decideToTrim(keep int) {
	n := c.leading()
	if n == nil {
		return
	}
	l := n.living()
	if l == nil {
		return
	}
	applied := min(l.group.Engine().Marks().Applied, c.ledger.seen())
	sealed := l.group.Engine().Log().Sealed()
	for len(sealed) > 0 && sealed[len(sealed)-1].Last > applied {
		sealed = sealed[:len(sealed)-1]
	}
	if len(sealed) <= keep {
		return
	}
	c.look(l, map[*life]event.Index{}) // what goes now, watch may not have come to
	last := sealed[len(sealed)-1-keep]
	decision := event.Trim{Through: last.Last, Position: last.End, Cause: event.TrimByAge}
	c.propose(l, &sent{}, &engine.Proposal{Drafts: []event.Draft{{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, decision))}}})
}

// changeMembers adds a node, or takes one out for good.
func (s *schedule) changeMembers() {
	leader := s.leading()
	if leader == nil {
		return
	}
	l := leader.living()
	if l == nil {
		return
	}
	if members := s.members(l); len(members) > 3 && s.rng.IntN(2) == 0 {
		s.takeOut(l, members[s.rng.IntN(len(members))])
		return
	}
	if len(s.up()) >= 5 {
		return
	}
	n := s.add()
	s.note("add %s", n.peer.Name)
	n.start()
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.pause(50 * time.Millisecond)
		if _, err := l.group.AddPeer(ctx, n.peer.Address); err != nil {
			s.note("add %s: %v", n.peer.Name, err)
		}
	})
}

func (s *schedule) takeOut(l *life, n *Node) {
	if n == l.node {
		return
	}
	s.note("remove %s", n.peer.Name)
	if _, err := l.group.RemovePeer(n.peer.Address); err != nil {
		s.note("remove %s: %v", n.peer.Name, err)
		return
	}
	n.cut()
	n.gone = true
}

func (s *schedule) turnClock() {
	n := s.victims(1)[0]
	by := []time.Duration{24 * time.Hour, -time.Hour, -24 * time.Hour, time.Second}[s.rng.IntN(4)]
	s.note("clock of %s: %v", n.peer.Name, by)
	n.mu.Lock()
	n.skew = by
	n.mu.Unlock()
	s.later(time.Second, func() {
		n.mu.Lock()
		n.skew = 0
		n.mu.Unlock()
	})
}

func (s *schedule) fillDisk() {
	n := s.victims(1)[0]
	if n.fill() {
		s.note("full disk of %s", n.peer.Name)
		s.later(time.Second, func() { n.empty() })
	}
}

// capacityBytes of a node's disk, more than any test needs.
const capacityBytes = 1 << 40

// fill leaves no room on a node's disk, not for a byte. empty gives it room again.
func (n *Node) fill() bool {
	free, err := n.disk.FreeBytes()
	if err != nil {
		return false
	}
	n.disk.SetCapacity(capacityBytes - free)
	return true
}

func (n *Node) empty() { n.disk.SetCapacity(capacityBytes) }

// up are the nodes that are not gone for good.
func (c *Cluster) up() []*Node {
	var all []*Node
	for _, n := range c.all() {
		if !n.gone {
			all = append(all, n)
		}
	}
	return all
}

// victims draws nodes that are not gone for good.
func (c *Cluster) victims(count int) []*Node {
	all := c.up()
	c.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:count]
}
