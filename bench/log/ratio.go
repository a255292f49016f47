package log

import "slices"

// Ratio compares an engine with a floor over the rounds: the median of the
// ratios of samples of one cell in one round.
type Ratio struct {
	Cell
	Contender string  `json:"contender"`
	Floor     string  `json:"floor"`
	Rate      float64 `json:"rate"`         // messages per second; bytes per second over device
	P50       float64 `json:"p50"`          // 0 over device
	P99       float64 `json:"p99"`          // 0 over device
	CPU       float64 `json:"cpu"`          // per message; 0 over device
	Rounds    int     `json:"roundsInPair"` // that have both
}

// of finds the sample of a contender in a round; the device has no cell.
func (r *Results) of(c Cell, contender string, round int) *Sample {
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Contender == contender && s.Round == round && (s.Cell == c || contender == device) {
			return s
		}
	}
	return nil
}

func (r *Results) rounds() int {
	n := 0
	for i := range r.Samples {
		n = max(n, r.Samples[i].Round+1)
	}
	return n
}

// ratios of all engines over all floors, in the order of cells.
func (r *Results) ratios() []Ratio {
	var all []Ratio
	for _, c := range r.Cells {
		for _, contender := range []string{ring, posix} {
			for _, floor := range []string{group, raw, device} {
				if q := r.ratio(c, contender, floor); q.Rounds > 0 {
					all = append(all, q)
				}
			}
		}
	}
	return all
}

func (r *Results) ratio(c Cell, contender, floor string) Ratio {
	q := Ratio{Cell: c, Contender: contender, Floor: floor}
	var rate, p50, p99, cpu []float64
	for round := range r.rounds() {
		s, f := r.of(c, contender, round), r.of(c, floor, round)
		if s == nil || f == nil {
			continue
		}
		q.Rounds++
		if floor == device {
			rate = append(rate, s.BytesPerSecond/f.BytesPerSecond)
			continue
		}
		rate = append(rate, s.MessagesPerSecond/f.MessagesPerSecond)
		p50 = append(p50, s.Latency.P50/f.Latency.P50)
		p99 = append(p99, s.Latency.P99/f.Latency.P99)
		cpu = append(cpu, s.CPUMicros/f.CPUMicros)
	}
	q.Rate, q.P50, q.P99, q.CPU = median(rate), median(p50), median(p99), median(cpu)
	return q
}

// median of values; 0 of none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// median of one number of a contender's samples in a cell.
func (r *Results) median(c Cell, contender string, number func(*Sample) float64) float64 {
	var values []float64
	for round := range r.rounds() {
		if s := r.of(c, contender, round); s != nil {
			values = append(values, number(s))
		}
	}
	return median(values)
}
