package replication

import (
	"fmt"
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/hashicorp/raft"
)

// proposerMetrics count what became of proposals that waited too long. The
// sizes of batches are the log's to tell.
type proposerMetrics struct {
	set   *metrics.Set
	late  *metrics.Counter
	doubt *metrics.Counter
}

func newProposerMetrics() *proposerMetrics {
	m := &proposerMetrics{set: metrics.NewSet()}
	m.late = m.set.NewCounter(`apogee_proposer_late_total{outcome="stored"}`)
	m.doubt = m.set.NewCounter(`apogee_proposer_late_total{outcome="unknown"}`)
	return m
}

// WriteMetrics writes the proposer's metrics in Prometheus' text format.
func (p *Proposer) WriteMetrics(w io.Writer) {
	p.metrics.set.WritePrometheus(w)
	p.mu.Lock()
	waiting := p.waiting
	p.mu.Unlock()
	metrics.WriteGaugeUint64(w, "apogee_proposer_waiting_bytes", uint64(waiting))
}

// groupMetrics count what happens in a group.
type groupMetrics struct {
	set         *metrics.Set
	leaderships *metrics.Counter
	stalls      *metrics.Counter
	full        *metrics.Counter
	installed   *metrics.Counter
	// Comparisons of the states of others with this node's, by what came of them.
	same, different, leftOut *metrics.Counter
}

func newGroupMetrics() *groupMetrics {
	m := &groupMetrics{set: metrics.NewSet()}
	m.leaderships = m.set.NewCounter("apogee_raft_leaderships_total")
	m.stalls = m.set.NewCounter("apogee_raft_flush_stalls_total")
	m.full = m.set.NewCounter("apogee_raft_full_handovers_total")
	m.installed = m.set.NewCounter("apogee_raft_checkpoints_installed_total")
	m.same = m.set.NewCounter(`apogee_raft_state_comparisons_total{result="same"}`)
	m.different = m.set.NewCounter(`apogee_raft_state_comparisons_total{result="different"}`)
	m.leftOut = m.set.NewCounter(`apogee_raft_state_comparisons_total{result="left_out"}`)
	return m
}

// WriteMetrics writes the metrics of the group and of the proposer in
// Prometheus' text format.
func (g *Group) WriteMetrics(w io.Writer) {
	g.Proposer.WriteMetrics(w)
	g.metrics.set.WritePrometheus(w)
	role := g.Role()
	for _, r := range []struct {
		name string
		is   bool
	}{{"leader", role.Leads}, {"follower", !role.Leads && role.Leader.ID != ""}, {"candidate", !role.Leads && role.Leader.ID == ""}} {
		metrics.WriteGaugeUint64(w, fmt.Sprintf(`apogee_raft_role{group=%q,node=%q,role=%q}`, g.options.Name, g.options.Self.Name, r.name), number(r.is))
	}
	metrics.WriteGaugeUint64(w, "apogee_raft_term", uint64(role.Term))
	_, lost := g.engine.Log().Loss()
	metrics.WriteGaugeUint64(w, "apogee_raft_log_may_lack_confirmed", number(lost))
	end, _, _ := g.engine.Log().End()
	for _, p := range g.Members() {
		label := fmt.Sprintf(`{peer=%q,address=%q}`, p.Name, p.Address)
		metrics.WriteGaugeUint64(w, "apogee_raft_member_votes"+label, number(p.Voter))
		if p.Self || !role.Leads {
			continue
		}
		metrics.WriteGaugeUint64(w, "apogee_raft_peer_state_differs"+label, number(g.comparing.differs(raft.ServerID(p.ID))))
		metrics.WriteGaugeUint64(w, "apogee_raft_peer_match_index"+label, uint64(p.Match))
		metrics.WriteGaugeUint64(w, "apogee_raft_peer_lag_frames"+label, uint64(end-min(end, p.Match)))
		metrics.WriteGaugeUint64(w, "apogee_raft_peer_lag_bytes"+label, uint64(p.Behind))
		if !p.LastContact.IsZero() {
			metrics.WriteGaugeFloat64(w, "apogee_raft_peer_last_contact_seconds"+label, time.Since(p.LastContact).Seconds())
		}
	}
}

func number(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}
