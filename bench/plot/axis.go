package plot

import "math"

// axis maps values to pixels on a logarithmic scale over whole decades.
type axis struct {
	low, high  float64 // decades
	from, span float64 // pixels
}

func newAxis(values []float64, from, span float64) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1), from: from, span: span}
	for _, v := range values {
		if v > 0 {
			a.low, a.high = min(a.low, math.Floor(math.Log10(v))), max(a.high, math.Ceil(math.Log10(v)))
		}
	}
	if a.low >= a.high {
		a.high = a.low + 1
	}
	if math.IsInf(a.low, 0) {
		a.low, a.high = 0, 1
	}
	return a
}

func (a axis) at(v float64) float64 {
	return a.from + a.span*(math.Log10(max(v, math.Pow(10, a.low)))-a.low)/(a.high-a.low)
}
