package access

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// WriteMetrics writes the guard's metrics in Prometheus' text format.
func (g *Guard) WriteMetrics(w io.Writer) {
	metrics.WriteCounterUint64(w, `apogee_access_requests_total{outcome="served"}`, g.served.Load())
	metrics.WriteCounterUint64(w, `apogee_access_requests_total{outcome="refused"}`, g.refused.Load())
	metrics.WriteCounterUint64(w, `apogee_access_rules_read_total{outcome="taken"}`, g.loads.Load())
	metrics.WriteCounterUint64(w, `apogee_access_rules_read_total{outcome="kept"}`, g.failures.Load())
}
