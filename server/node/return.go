package node

import (
	"context"
	"slices"
	"time"

	"github.com/apogeemq/apogee/replication"
)

const (
	// returnCheck is how often a leader looks for the peer that should lead.
	returnCheck = time.Second
	// returnLagMax is how many frames that peer may lack and count as one that
	// has everything: some are always under way.
	returnLagMax = 64
	// returnDelayMax bounds the delay, which doubles while the peer doesn't keep
	// what it is given.
	returnDelayMax = 10 * time.Minute
)

// returner gives leadership back to the peer that is preferred.
type returner struct {
	group  *replication.Group
	prefer string
	first  time.Duration // delay of a peer that has kept leadership
	delay  time.Duration // at present
	since  time.Time     // the peer could lead from then on; zero: it can't
	leads  time.Time     // the peer has led from then on; zero: it doesn't
}

// returnLeadership spreads leadership over the nodes again after one was away.
func (s *shard) returnLeadership(ctx context.Context) {
	r := &s.config.Replication
	t := &returner{group: s.group, prefer: r.Prefer, first: r.ReturnDelay, delay: r.ReturnDelay}
	again := time.NewTicker(min(returnCheck, r.ReturnDelay))
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-again.C:
			if !t.due(now) {
				continue
			}
			s.log.Info("leadership goes back to the node that is preferred", "node", t.prefer, "after", t.delay)
			if err := s.group.Transfer(t.prefer); err != nil {
				s.log.Warn("leadership stays here", "cause", err)
			}
			t.gave()
		}
	}
}

// due reports whether leadership is to be given to the preferred peer now.
func (t *returner) due(now time.Time) bool {
	role := t.group.Role()
	if role.Leader.Name != t.prefer {
		t.leads = time.Time{}
	} else if t.leads.IsZero() {
		t.leads = now
	} else if now.Sub(t.leads) >= t.delay {
		t.delay = t.first
	}
	if !role.Leads || role.Leader.Name == t.prefer || !t.ready(now) {
		t.since = time.Time{}
		return false
	}
	if t.since.IsZero() {
		t.since = now
	}
	return now.Sub(t.since) >= t.delay
}

// ready reports whether the preferred peer has the log and answers.
func (t *returner) ready(now time.Time) bool {
	members := t.group.Members()
	i := slices.IndexFunc(members, func(p replication.Peering) bool { return p.Name == t.prefer })
	if i < 0 {
		return false
	}
	end, _, _ := t.group.Engine().Log().End()
	p := &members[i]
	return p.Voter && p.Match > 0 && p.Match+returnLagMax >= end && now.Sub(p.LastContact) < 2*returnCheck
}

// gave notes a transfer.
func (t *returner) gave() {
	t.since = time.Time{}
	t.delay = min(2*t.delay, returnDelayMax)
}
