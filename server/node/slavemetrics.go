package node

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// writeSlaveMetrics shows a master's slaves, and what was put aside.
func (s *shard) writeSlaveMetrics(w io.Writer) {
	if s.group == nil {
		return
	}
	is, wanted, counting := s.group.Slaves()
	if !is {
		return
	}
	metrics.WriteGaugeUint64(w, "apogee_slaves_wanted", uint64(wanted))
	metrics.WriteGaugeUint64(w, "apogee_slaves_in_sync", uint64(counting))
	metrics.WriteGaugeUint64(w, "apogee_divergent_logs", uint64(len(s.aside())))
}
