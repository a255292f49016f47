package log

import (
	"fmt"
	"io"

	"github.com/apogeemq/apogee/bench/plot"
)

var colors = map[string]string{ring: "#1f77b4", posix: "#d95f02", group: "#555555", raw: "#7b3294"}

// curve is one contender in one mode at one size, over the depths.
func (r *Results) curve(contender string, mode Mode, size int) plot.Curve {
	l := plot.Curve{Color: colors[contender], Dashed: mode == Async}
	for _, c := range r.Cells {
		if c.Size != size || c.Mode != mode || r.of(c, contender, 0) == nil {
			continue
		}
		rate := r.median(c, contender, func(s *Sample) float64 { return s.MessagesPerSecond })
		p99 := r.median(c, contender, func(s *Sample) float64 { return s.Latency.P99 })
		l.Points = append(l.Points, plot.Point{Rate: rate, Latency: p99,
			Title: fmt.Sprintf("%s %s, depth %d: %.0f msg/s, p99 %.3f ms", contender, mode, c.Depth, rate, p99)})
	}
	return l
}

// Plot writes an SVG: a panel per size, p99 latency against throughput, a
// line per contender and mode, a dot per depth.
func (r *Results) Plot(w io.Writer) error {
	contenders := []string{ring, posix, group, raw}
	p := plot.Plot{Note: "solid: sync, dashed: async; a dot per depth"}
	for _, name := range contenders {
		p.Legend = append(p.Legend, plot.Name{Text: name, Color: colors[name]})
	}
	seen := map[int]bool{}
	for _, c := range r.Cells {
		if seen[c.Size] {
			continue
		}
		seen[c.Size] = true
		panel := plot.Panel{Title: fmt.Sprintf("%d bytes", c.Size), Latency: "p99 ms"}
		for _, contender := range contenders {
			for _, mode := range []Mode{Sync, Async} {
				if l := r.curve(contender, mode, c.Size); len(l.Points) > 0 {
					panel.Curves = append(panel.Curves, l)
				}
			}
		}
		p.Panels = append(p.Panels, panel)
	}
	return p.Write(w)
}
