package baseline

import (
	"cmp"
	"slices"
	"time"

	"github.com/apogeemq/apogee/bench/due"
	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/load"
)

// Sample is what one server did in one row of one round.
type Sample struct {
	Load    *load.Result `json:"load,omitempty"`
	Start   *Start       `json:"start,omitempty"`
	Paced   *e2e.Sample  `json:"paced,omitempty"`
	Readers *load.Result `json:"readers,omitempty"` // of the backlog, beside the paced load
	Due     *due.Results `json:"due,omitempty"`     // what became due beside the paced load
}

// Start is what the start row measures.
type Start struct {
	Seconds   float64 `json:"seconds"`
	IdleBytes int64   `json:"idleResidentBytes"`
}

// Round has the samples of one round by row and server.
type Round map[string]map[string]Sample

// Results are all numbers of a run, as they were measured.
type Results struct {
	Started  time.Time    `json:"started"`
	Machine  load.Machine `json:"machine"`
	Software []string     `json:"software"` // versions of what was measured
	Settings []string     `json:"settings"` // of the run, in sentences
	Commands []string     `json:"commands"`
	Rows     []string     `json:"rows"`
	Servers  []string     `json:"servers"`
	Rounds   []Round      `json:"rounds"`
}

// Measure names one number of a sample.
type Measure uint8

// The numbers that are compared.
const (
	Rate         Measure = iota // messages a second
	P50                         // milliseconds
	P99                         // milliseconds
	P999                        // milliseconds
	CPU                         // server's microseconds per message
	Resident                    // MB, peak
	Errors                      // replies
	StartSeconds                // until it serves
	IdleResident                // MB
	ReadPerByte                 // bytes read from disk per byte of records delivered
	DueSeconds                  // until all that became due at once were delivered
	DueTail                     // p99.9 of sends meanwhile against without
	Early                       // messages delivered before their time
	Arrived                     // messages a second that came into their queues, of those that waited
)

const megabyte = 1e6

// value returns one number of the sample, or false when it has none.
func (s *Sample) value(m Measure) (float64, bool) {
	switch m {
	case StartSeconds, IdleResident:
		if s.Start == nil {
			return 0, false
		}
		if m == StartSeconds {
			return s.Start.Seconds, true
		}
		return float64(s.Start.IdleBytes) / megabyte, true
	case DueSeconds, DueTail, Early:
		if s.Due == nil {
			return 0, false
		}
		return map[Measure]float64{DueSeconds: s.Due.Seconds, DueTail: s.Due.TailRatio(), Early: float64(s.Due.Early)}[m], true
	case Arrived:
		if s.Load == nil || s.Load.Arrived == 0 {
			return 0, false
		}
		return float64(s.Load.Arrived) / s.Load.Seconds, true
	case CPU, Resident, ReadPerByte:
		if s.Paced != nil && m == CPU {
			return s.Paced.ServerCPU, true
		}
		if s.Load == nil || s.Load.Server == nil {
			return 0, false
		}
		switch m {
		case CPU:
			return s.Load.Server.CPUMicrosPerMessage, true
		case ReadPerByte:
			return s.Load.Server.ReadPerByte, true
		}
		return float64(s.Load.Server.ResidentPeak) / megabyte, true
	}
	switch {
	case s.Paced != nil:
		return numbers{s.Paced.PerSecond, s.Paced.Send, s.Paced.Errors + s.Paced.Missing}.value(m), true
	case s.Load != nil:
		return numbers{s.Load.MessagesPerSecond, s.Load.Latency, s.Load.Errors}.value(m), true
	}
	return 0, false
}

// numbers are what both kinds of loads have.
type numbers struct {
	rate    float64
	latency load.Latency
	errors  int64
}

func (n numbers) value(m Measure) float64 {
	switch m {
	case Rate:
		return n.rate
	case P50:
		return n.latency.P50
	case P99:
		return n.latency.P99
	case P999:
		return n.latency.P999
	case Errors:
		return float64(n.errors)
	}
	panic("BUG: measure without a value")
}

// Spread is the median and the range of a number over the rounds.
type Spread struct {
	Median, Min, Max float64
	Count            int
}

// spread sums up values; Count 0 means that there are none.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], Count: len(sorted)}
}

// subject is one number of one server in one row.
type subject struct {
	row, server string
	measure     Measure
}

func (r Round) value(s subject) (float64, bool) {
	sample, ok := r[s.row][s.server]
	if !ok {
		return 0, false
	}
	return sample.value(s.measure)
}

// over returns the number's spread over the rounds.
func (r *Results) over(s subject) Spread {
	var values []float64
	for _, round := range r.Rounds {
		if v, ok := round.value(s); ok {
			values = append(values, v)
		}
	}
	return spread(values)
}

// ratio returns the spread of of/against, each taken within a round.
func (r *Results) ratio(of, against subject) Spread {
	var values []float64
	for _, round := range r.Rounds {
		a, okA := round.value(of)
		b, okB := round.value(against)
		if okA && okB && b > 0 {
			values = append(values, a/b)
		}
	}
	return spread(values)
}
