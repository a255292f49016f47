package node

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
)

// monotonicClock is the time since the process began, in nanoseconds.
func monotonicClock() func() int64 {
	began := time.Now()
	return func() int64 { return int64(time.Since(began)) }
}

// writeLogMetrics shows what the log and its index count, in Prometheus' text
// format. The engine knows no metrics library, so histograms with classic
// buckets are written here.
func writeLogMetrics(w io.Writer, e *engine.Engine, d disk.Disk) {
	s, index := e.Log().Stats(), e.IndexStats()
	path := "other"
	if p, ok := d.(interface{ IOPath() string }); ok {
		path = p.IOPath()
	}
	fmt.Fprintf(w, "apogee_log_io_info{path=%q,detail=%q} 1\n", path, d.Describe())
	const nanos = 1e-9
	writeHistogram(w, "apogee_log_sync_duration_seconds", s.Sync, nanos)
	writeHistogram(w, "apogee_log_write_duration_seconds", s.Write, nanos)
	writeHistogram(w, "apogee_log_write_bytes", s.WriteBytes, 1)
	writeHistogram(w, "apogee_log_batch_events", s.BatchEvents, 1)
	writeHistogram(w, "apogee_log_batch_bytes", s.BatchBytes, 1)
	full := uint64(0)
	if s.DiskFull {
		full = 1
	}
	for _, counter := range []struct {
		name  string
		value uint64
	}{
		{`apogee_log_written_bytes_total{kind="frames"}`, s.FrameBytes},
		{`apogee_log_written_bytes_total{kind="zero_fill"}`, s.FillBytes},
		{`apogee_log_zero_fill_overruns_total`, s.Overruns},
		{`apogee_log_segments_recycled_total`, s.Recycled},
		{`apogee_log_torn_tails_total`, s.TornTails},
		{`apogee_log_damages_total`, s.Damages},
		{`apogee_log_repaired_frames_total`, s.Repaired},
		{`apogee_log_repair_failures_total`, s.Unrepaired},
		{`apogee_log_history_blocks_total{result="hit"}`, s.HistoryHits},
		{`apogee_log_history_blocks_total{result="miss"}`, s.HistoryMisses},
		{`apogee_log_history_read_bytes_total`, s.HistoryBytes},
		{`apogee_log_disk_full`, full},
		{`apogee_index_rebuilds_total`, index.Rebuilds},
		{`apogee_index_lag_bytes`, index.LagBytes},
	} {
		fmt.Fprintln(w, counter.name, counter.value)
	}
}

// writeHistogram writes buckets, sum and count. unit turns values into those of
// the name.
func writeHistogram(w io.Writer, name string, d commitlog.Distribution, unit float64) {
	count := uint64(0)
	for i, n := range d.Counts {
		count += n
		bound := "+Inf"
		if i < len(d.Bounds) {
			bound = strconv.FormatFloat(float64(d.Bounds[i])*unit, 'g', 6, 64)
		}
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, bound, count)
	}
	fmt.Fprintf(w, "%s_sum %v\n%s_count %d\n", name, float64(d.Sum)*unit, name, count)
}
