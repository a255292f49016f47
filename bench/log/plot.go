package log

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Sizes of the plot in pixels.
const (
	panelWidth  = 420
	panelHeight = 300
	marginLeft  = 60
	marginTop   = 40
	marginRight = 20
	marginBelow = 45
	legendSpace = 30
)

var colors = map[string]string{ring: "#1f77b4", posix: "#d95f02", group: "#555555", raw: "#7b3294"}

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

// point of a line: one depth.
type point struct {
	depth     int
	rate, p99 float64
}

// curve is one contender in one mode over the depths.
type curve struct {
	contender string
	mode      Mode
	points    []point
}

// curves of one size.
func (r *Results) curves(size int) []curve {
	var all []curve
	for _, contender := range []string{ring, posix, group, raw} {
		for _, mode := range []Mode{Sync, Async} {
			l := curve{contender: contender, mode: mode}
			for _, c := range r.Cells {
				if c.Size == size && c.Mode == mode && r.of(c, contender, 0) != nil {
					l.points = append(l.points, point{c.Depth,
						r.median(c, contender, func(s *Sample) float64 { return s.MessagesPerSecond }),
						r.median(c, contender, func(s *Sample) float64 { return s.Latency.P99 })})
				}
			}
			if len(l.points) > 0 {
				all = append(all, l)
			}
		}
	}
	return all
}

// Plot writes an SVG: a panel per size, p99 latency against throughput, a
// line per contender and mode, a dot per depth.
func (r *Results) Plot(w io.Writer) error {
	var sizes []int
	for _, c := range r.Cells {
		if len(sizes) == 0 || sizes[len(sizes)-1] != c.Size {
			sizes = append(sizes, c.Size)
		}
	}
	across := min(len(sizes), 3)
	down := (len(sizes) + across - 1) / across
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		across*panelWidth, down*panelHeight+legendSpace)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	legend(&b)
	for i, size := range sizes {
		panel(&b, i%across*panelWidth, legendSpace+i/across*panelHeight, fmt.Sprintf("%d bytes", size), r.curves(size))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func legend(b *strings.Builder) {
	x := marginLeft
	for _, name := range []string{ring, posix, group, raw} {
		fmt.Fprintf(b, `<rect x="%d" y="10" width="14" height="4" fill="%s"/><text x="%d" y="16">%s</text>`+"\n", x, colors[name], x+20, name)
		x += 90
	}
	fmt.Fprintf(b, `<text x="%d" y="16">solid: sync, dashed: async; a dot per depth</text>`+"\n", x)
}

func panel(b *strings.Builder, left, top int, title string, curves []curve) {
	var rates, latencies []float64
	for _, c := range curves {
		for _, p := range c.points {
			rates, latencies = append(rates, p.rate), append(latencies, p.p99)
		}
	}
	const width, height = panelWidth - marginLeft - marginRight, panelHeight - marginTop - marginBelow
	x := newAxis(rates, float64(left+marginLeft), width)
	y := newAxis(latencies, float64(top+marginTop+height), -height)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="13">%s</text>`+"\n", left+marginLeft, top+marginTop-12, title)
	grid(b, x, y)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">messages per second</text>`+"\n", left+marginLeft+width/2, top+panelHeight-8)
	fmt.Fprintf(b, `<text transform="translate(%d,%d) rotate(-90)" text-anchor="middle">p99 ms</text>`+"\n", left+14, top+marginTop+height/2)
	for _, c := range curves {
		c.draw(b, x, y)
	}
}

// grid draws a line and a number at each decade.
func grid(b *strings.Builder, x, y axis) {
	const stroke = `stroke="#dddddd"`
	for d := x.low; d <= x.high; d++ {
		at := x.at(math.Pow(10, d))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`, at, y.from, at, y.from+y.span, stroke)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.10g</text>`+"\n", at, y.from+15, math.Pow(10, d))
	}
	for d := y.low; d <= y.high; d++ {
		at := y.at(math.Pow(10, d))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`, x.from, at, x.from+x.span, at, stroke)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%.10g</text>`+"\n", x.from-5, at+4, math.Pow(10, d))
	}
}

func (c *curve) draw(b *strings.Builder, x, y axis) {
	dash := ""
	if c.mode == Async {
		dash = ` stroke-dasharray="5 3"`
	}
	var places []string
	for _, p := range c.points {
		places = append(places, fmt.Sprintf("%.1f,%.1f", x.at(p.rate), y.at(p.p99)))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`+"\n", strings.Join(places, " "), colors[c.contender], dash)
	for _, p := range c.points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s %s, depth %d: %.0f msg/s, p99 %.3f ms</title></circle>`+"\n",
			x.at(p.rate), y.at(p.p99), colors[c.contender], c.contender, c.mode, p.depth, p.rate, p.p99)
	}
}
