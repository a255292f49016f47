package plot

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Sizes in pixels.
const (
	panelWidth  = 420
	panelHeight = 300
	marginLeft  = 60
	marginTop   = 40
	marginRight = 20
	marginBelow = 45
	legendSpace = 30
	legendStep  = 90
	panelsWide  = 3
)

// Point is one measurement.
type Point struct {
	Rate    float64 // messages per second
	Latency float64 // milliseconds
	Title   string  // shown when the pointer is over the dot
}

// Curve is the measurements of one contender, joined by a line.
type Curve struct {
	Color  string // as SVG has it
	Dashed bool
	Points []Point
}

// Panel is one diagram.
type Panel struct {
	Title   string
	Latency string // what the vertical axis shows, such as "p99 ms"
	Curves  []Curve
}

// Name is an entry of the legend.
type Name struct{ Text, Color string }

// Plot is a sheet of panels.
type Plot struct {
	Legend []Name
	Note   string // behind the legend
	Panels []Panel
}

// Write writes the SVG.
func (p *Plot) Write(w io.Writer) error {
	across := max(1, min(len(p.Panels), panelsWide))
	down := (len(p.Panels) + across - 1) / across
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		across*panelWidth, down*panelHeight+legendSpace)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	p.legend(&b)
	for i := range p.Panels {
		p.Panels[i].draw(&b, i%across*panelWidth, legendSpace+i/across*panelHeight)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plot) legend(b *strings.Builder) {
	x := marginLeft
	for _, n := range p.Legend {
		fmt.Fprintf(b, `<rect x="%d" y="10" width="14" height="4" fill="%s"/><text x="%d" y="16">%s</text>`+"\n", x, n.Color, x+20, html.EscapeString(n.Text))
		x += legendStep
	}
	fmt.Fprintf(b, `<text x="%d" y="16">%s</text>`+"\n", x, html.EscapeString(p.Note))
}

func (p *Panel) draw(b *strings.Builder, left, top int) {
	var rates, latencies []float64
	for _, c := range p.Curves {
		for _, at := range c.Points {
			rates, latencies = append(rates, at.Rate), append(latencies, at.Latency)
		}
	}
	const width, height = panelWidth - marginLeft - marginRight, panelHeight - marginTop - marginBelow
	x := newAxis(rates, float64(left+marginLeft), width)
	y := newAxis(latencies, float64(top+marginTop+height), -height)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="13">%s</text>`+"\n", left+marginLeft, top+marginTop-12, html.EscapeString(p.Title))
	grid(b, x, y)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">messages per second</text>`+"\n", left+marginLeft+width/2, top+panelHeight-8)
	fmt.Fprintf(b, `<text transform="translate(%d,%d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", left+14, top+marginTop+height/2,
		html.EscapeString(p.Latency))
	for i := range p.Curves {
		p.Curves[i].draw(b, x, y)
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

func (c *Curve) draw(b *strings.Builder, x, y axis) {
	dash := ""
	if c.Dashed {
		dash = ` stroke-dasharray="5 3"`
	}
	var places []string
	for _, p := range c.Points {
		places = append(places, fmt.Sprintf("%.1f,%.1f", x.at(p.Rate), y.at(p.Latency)))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`+"\n", strings.Join(places, " "), c.Color, dash)
	for _, p := range c.Points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s</title></circle>`+"\n", x.at(p.Rate), y.at(p.Latency), c.Color,
			html.EscapeString(p.Title))
	}
}
