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

// Why a broker left the routes.
const (
	removedExpired      = "expired"
	removedDisconnected = "disconnected"
	removedUnregistered = "unregistered"
)

func newMeters(s *Server) *meters {
	m, t := &meters{set: metrics.NewSet()}, s.table
	for _, cause := range []string{removedExpired, removedDisconnected, removedUnregistered} {
		m.removed(cause, 0) // so that rates begin at 0
	}
	m.set.NewCounter("apogee_nameserver_registrations_refused_total")
	m.set.NewGauge("apogee_nameserver_key_values", func() float64 { return float64(s.keyValues.size()) })
	m.set.NewGauge("apogee_nameserver_brokers", func() float64 { n, _, _ := t.size(); return float64(n) })
	m.set.NewGauge("apogee_nameserver_topics", func() float64 { _, n, _ := t.size(); return float64(n) })
	m.set.NewGauge("apogee_nameserver_routes", func() float64 { _, _, n := t.size(); return float64(n) })
	return m
}

// removed counts brokers that left the routes.
func (m *meters) removed(cause string, brokers int) {
	m.set.GetOrCreateCounter(fmt.Sprintf(`apogee_nameserver_brokers_removed_total{cause=%q}`, cause)).Add(brokers)
}

// refused counts a registration that was not taken.
func (m *meters) refused() {
	m.set.GetOrCreateCounter("apogee_nameserver_registrations_refused_total").Inc()
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
