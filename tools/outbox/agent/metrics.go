package agent

import (
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// agentMetrics count what becomes of sends.
type agentMetrics struct {
	set         *metrics.Set
	forwarded   *metrics.Counter // given to a broker
	elsewhere   *metrics.Counter // of these: to another than the client's
	notAccepted *metrics.Counter // a broker said no, and nothing was stored
	inDoubt     *metrics.Counter // no answer
	joined      *metrics.Counter // kept behind others that wait
	spooled     *metrics.Counter // kept and answered
	refused     *metrics.Counter // neither forwarded nor kept
	delivered   *metrics.Counter // sent on
	drainFailed *metrics.Counter // attempts
	drainDoubt  *metrics.Counter // of these: without an answer
}

func newMetrics(a *Agent) *agentMetrics {
	s := metrics.NewSet()
	gauge := func(name string, f func() float64) { s.NewGauge(name, f) }
	gauge("apogee_outbox_backlog_messages", func() float64 { return float64(a.stats().Entries) })
	gauge("apogee_outbox_backlog_bytes", func() float64 { return float64(a.stats().Bytes) })
	gauge("apogee_outbox_backlog_streams", func() float64 { return float64(a.stats().Streams) })
	gauge("apogee_outbox_backlog_oldest_seconds", func() float64 { return a.stats().OldestSeconds })
	gauge("apogee_outbox_quarantined_messages", func() float64 { return float64(a.stats().Quarantined) })
	gauge("apogee_outbox_damaged_total", func() float64 { return float64(a.stats().Damaged) })
	gauge("apogee_outbox_damaged_folders", func() float64 { return float64(a.stats().Folders) })
	gauge("apogee_outbox_log_bytes", func() float64 { return float64(a.stats().LogBytes) })
	gauge("apogee_outbox_log_max_bytes", func() float64 { return float64(a.config.SpoolBytesMax) })
	gauge("apogee_outbox_in_flight_bytes", func() float64 { return float64(a.inFlight.Load()) })
	gauge("apogee_outbox_brokers_in_reach", func() float64 { return float64(a.brokersInReach()) })
	return &agentMetrics{
		set:         s,
		forwarded:   s.NewCounter("apogee_outbox_forwarded_total"),
		elsewhere:   s.NewCounter("apogee_outbox_forwarded_elsewhere_total"),
		notAccepted: s.NewCounter("apogee_outbox_not_accepted_total"),
		inDoubt:     s.NewCounter("apogee_outbox_in_doubt_total"),
		joined:      s.NewCounter("apogee_outbox_joined_backlog_total"),
		spooled:     s.NewCounter("apogee_outbox_spooled_total"),
		refused:     s.NewCounter("apogee_outbox_refused_total"),
		delivered:   s.NewCounter("apogee_outbox_delivered_total"),
		drainFailed: s.NewCounter("apogee_outbox_delivery_failures_total"),
		drainDoubt:  s.NewCounter("apogee_outbox_delivery_in_doubt_total"),
	}
}

// WriteMetrics writes all metrics in Prometheus' text format.
func (a *Agent) WriteMetrics(w io.Writer) {
	a.metrics.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

// Stats is what `apogee outbox stats` shows.
type Stats struct {
	Entries       int64   `json:"messages"` // that wait; a batch is one
	Bytes         int64   `json:"bytes"`
	Streams       int     `json:"streams"`
	OldestSeconds float64 `json:"oldestSeconds"`
	Quarantined   int     `json:"quarantined"`
	LogBytes      int64   `json:"logBytes"`
	LogBytesMax   int64   `json:"spoolBytesMax"`
	Refused       uint64  `json:"refusedFull"` // for want of room, since the start
	Damaged       uint64  `json:"damaged"`     // places found since the start
	Folders       int     `json:"damagedFolders"`
	Forwarded     uint64  `json:"forwarded"` // this and the next since the start
	Spooled       uint64  `json:"spooled"`
	Delivered     uint64  `json:"delivered"`
	InDoubt       uint64  `json:"inDoubt"`
	Brokers       int     `json:"brokersInReach"`
}

// statsAge is how long what was looked up is shown again.
const statsAge = 500 * time.Millisecond

func (a *Agent) stats() Stats {
	a.statsMu.Lock()
	defer a.statsMu.Unlock()
	if a.spool == nil || time.Since(a.statsAt) < statsAge {
		return a.lastStats
	}
	s, m := a.spool.Stats(), a.metrics
	a.lastStats = Stats{Entries: s.Entries, Bytes: s.Bytes, Streams: s.Streams, Quarantined: s.Quarantined,
		LogBytes: s.LogBytes, LogBytesMax: a.config.SpoolBytesMax, Refused: s.Refused, Damaged: s.Damaged, Folders: s.Folders,
		Forwarded: m.forwarded.Get(), Spooled: m.spooled.Get(), Delivered: m.delivered.Get(), InDoubt: m.inDoubt.Get() + m.drainDoubt.Get(),
		Brokers: a.brokersInReach()}
	if s.Oldest > 0 {
		a.lastStats.OldestSeconds = time.Since(time.UnixMilli(s.Oldest)).Seconds()
	}
	a.statsAt = time.Now()
	return a.lastStats
}

func (a *Agent) brokersInReach() (n int) {
	for _, d := range a.allDoors() {
		if c := d.upstream.client.Load(); c != nil && c.Conn().Alive() {
			n++
		}
	}
	return n
}
