package duty

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"

	"github.com/apogeemq/apogee/engine/event"
)

// retentionMetrics count what retention decides.
type retentionMetrics struct {
	set    *metrics.Set
	causes map[event.TrimCause]*metrics.Counter
}

func newRetentionMetrics(s Segments) *retentionMetrics {
	m := &retentionMetrics{set: metrics.NewSet(), causes: make(map[event.TrimCause]*metrics.Counter)}
	for _, cause := range []event.TrimCause{event.TrimByAge, event.TrimBySize, event.TrimBySpace} {
		m.causes[cause] = m.set.NewCounter(fmt.Sprintf(`apogee_duty_trims_total{cause=%q}`, cause))
	}
	m.set.NewGauge("apogee_duty_log_file_bytes", func() float64 { return float64(s.FileBytes()) })
	return m
}

func (m *retentionMetrics) decided(cause event.TrimCause) { m.causes[cause].Inc() }

// WriteMetrics writes the duty's metrics in Prometheus' text format.
func (r *Retention) WriteMetrics(w io.Writer) { r.metrics.set.WritePrometheus(w) }
