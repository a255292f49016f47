package nameserver

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// meters are the metrics of one Server. They stand in a set of their own, so
// that a process can hold several servers.
type meters struct {
	set *metrics.Set
}

func newMeters(t *table) *meters {
	m := &meters{set: metrics.NewSet()}
	m.set.NewGauge("apogee_nameserver_brokers", func() float64 { n, _, _ := t.size(); return float64(n) })
	m.set.NewGauge("apogee_nameserver_topics", func() float64 { _, n, _ := t.size(); return float64(n) })
	m.set.NewGauge("apogee_nameserver_routes", func() float64 { _, _, n := t.size(); return float64(n) })
	return m
}

// answered counts a request. Requests that the nameserver doesn't know share
// one label, so that a client can't make metrics.
func (m *meters) answered(request, response int32) {
	name := "unknown"
	if _, ok := answers[request]; ok {
		name = fmt.Sprint(request)
	}
	m.set.GetOrCreateCounter(fmt.Sprintf(
		`apogee_nameserver_requests_total{request=%q,response="%d"}`, name, response)).Inc()
}

// WritePrometheus writes the server's metrics in Prometheus' text format.
func (s *Server) WritePrometheus(w io.Writer) { s.meters.set.WritePrometheus(w) }
