package replication

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// proposerMetrics tell how proposals become frames.
type proposerMetrics struct {
	set    *metrics.Set
	events *metrics.PrometheusHistogram // of a batch
	bytes  *metrics.PrometheusHistogram // of a batch
	late   *metrics.Counter
	doubt  *metrics.Counter
}

// Upper bounds of the sizes of batches.
var (
	batchEventsBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096}
	batchBytesBuckets  = []float64{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20}
)

func newProposerMetrics() *proposerMetrics {
	m := &proposerMetrics{set: metrics.NewSet()}
	m.events = m.set.NewPrometheusHistogramExt("apogee_proposer_batch_events", batchEventsBuckets)
	m.bytes = m.set.NewPrometheusHistogramExt("apogee_proposer_batch_bytes", batchBytesBuckets)
	m.late = m.set.NewCounter(`apogee_proposer_late_total{outcome="stored"}`)
	m.doubt = m.set.NewCounter(`apogee_proposer_late_total{outcome="unknown"}`)
	return m
}

// closed counts a batch that goes into the log.
func (m *proposerMetrics) closed(b *batch) {
	m.events.Update(float64(b.events))
	m.bytes.Update(float64(len(b.data)))
}

// WriteMetrics writes the proposer's metrics in Prometheus' text format.
func (p *Proposer) WriteMetrics(w io.Writer) {
	p.metrics.set.WritePrometheus(w)
	p.mu.Lock()
	waiting := p.waiting
	p.mu.Unlock()
	metrics.WriteGaugeUint64(w, "apogee_proposer_waiting_bytes", uint64(waiting))
}
