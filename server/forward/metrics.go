package forward

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// forwardMetrics count what becomes of requests at a node that doesn't lead.
type forwardMetrics struct {
	set          *metrics.Set
	forwarded    *metrics.Counter // given to the leader
	failed       *metrics.Counter // of these: without an answer
	served       *metrics.Counter // here, without a leader
	waits        *metrics.Counter // of clients, for a leader
	refused      *metrics.Counter // for want of a leader, or over a bound
	calls        *metrics.Counter // from the leader to clients
	opened       *metrics.Counter // links
	dialFailures *metrics.Counter
	strangers    *metrics.Counter // links without proof
}

func newMetrics(f *Forwarder) *forwardMetrics {
	s := metrics.NewSet()
	m := &forwardMetrics{
		set:          s,
		forwarded:    s.NewCounter("apogee_forward_requests_total"),
		failed:       s.NewCounter("apogee_forward_failed_total"),
		served:       s.NewCounter("apogee_forward_served_here_total"),
		waits:        s.NewCounter("apogee_forward_waits_total"),
		refused:      s.NewCounter("apogee_forward_refused_total"),
		calls:        s.NewCounter("apogee_forward_client_calls_total"),
		opened:       s.NewCounter("apogee_forward_links_opened_total"),
		dialFailures: s.NewCounter("apogee_forward_link_failures_total"),
		strangers:    s.NewCounter("apogee_forward_strangers_total"),
	}
	s.NewGauge("apogee_forward_in_flight_requests", func() float64 { return float64(f.requests.Load()) })
	s.NewGauge("apogee_forward_in_flight_bytes", func() float64 { return float64(f.bytes.Load()) })
	s.NewGauge("apogee_forward_heartbeats_kept_bytes", func() float64 { return float64(f.keptBytes.Load()) })
	return m
}

// WriteMetrics writes the forwarder's metrics in Prometheus' text format.
func (f *Forwarder) WriteMetrics(w io.Writer) { f.metrics.set.WritePrometheus(w) }
