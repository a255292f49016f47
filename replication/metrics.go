package replication

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
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
