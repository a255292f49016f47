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

// deliveryMetrics tell how late delayed messages are delivered.
type deliveryMetrics struct {
	set        *metrics.Set
	lateness   *metrics.PrometheusHistogram
	dropped    *metrics.Counter
	unreadable *metrics.Counter
}

// latenessSeconds are the upper bounds of the histogram's buckets.
var latenessSeconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

func newDeliveryMetrics(w Waiting) *deliveryMetrics {
	m := &deliveryMetrics{set: metrics.NewSet()}
	m.lateness = m.set.NewPrometheusHistogramExt("apogee_duty_delivery_lateness_seconds", latenessSeconds)
	m.dropped = m.set.NewCounter("apogee_duty_deliveries_dropped_total")
	m.unreadable = m.set.NewCounter("apogee_duty_deliveries_unreadable_total")
	m.set.NewGauge(`apogee_waiting_messages{kind="delayed"}`, func() float64 { return float64(w.Counts().Delayed) })
	return m
}

func (m *deliveryMetrics) delivered(lateMillis int64) { m.lateness.Update(float64(lateMillis) / 1000) }

// WriteMetrics writes the duty's metrics in Prometheus' text format.
func (d *Delivery) WriteMetrics(w io.Writer) { d.metrics.set.WritePrometheus(w) }

// moverMetrics count what was stored again.
type moverMetrics struct {
	set   *metrics.Set
	moved *metrics.Counter
}

func newMoverMetrics() *moverMetrics {
	m := &moverMetrics{set: metrics.NewSet()}
	m.moved = m.set.NewCounter("apogee_duty_moved_total")
	return m
}

// WriteMetrics writes the mover's metrics in Prometheus' text format.
func (m *Mover) WriteMetrics(w io.Writer) { m.metrics.set.WritePrometheus(w) }
