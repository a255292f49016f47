package baseline

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Render writes the results as the Markdown that goes into the document.
func Render(r *Results) string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Measured on %s: %d cores, %s, %s, %s.\n", r.Started.Format("2 January 2006"), m.Cores, m.Memory, m.System, m.Go)
	for _, s := range r.Software {
		fmt.Fprintf(&b, "* %s\n", s)
	}
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "* %s\n", s)
	}
	fmt.Fprintf(&b, "\nEach cell is the median of %d rounds, with the smallest and the largest in brackets.\n\n", len(r.Rounds))
	renderLoads(&b, r)
	renderArrivals(&b, r)
	renderStarts(&b, r)
	renderGoals(&b, r)
	b.WriteString("Commands; each load also had the address and the process id of its server:\n\n```\n")
	for _, c := range r.Commands {
		b.WriteString(c + "\n")
	}
	b.WriteString("```\n")
	return b.String()
}

func renderLoads(b *strings.Builder, r *Results) {
	if !r.has(func(row *row) bool { return !row.isStart() }) {
		return
	}
	b.WriteString("| load | server | msg/s | p50 ms | p99 ms | p99.9 ms | CPU µs/msg | resident MB | errors |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for i := range rows {
		row := &rows[i]
		if row.isStart() {
			continue
		}
		r.servers(row, func(server string) {
			fmt.Fprintf(b, "| %s | %s |", row.title, server)
			for _, m := range []Measure{Rate, P50, P99, P999, CPU, Resident, Errors} {
				fmt.Fprintf(b, " %s |", r.over(subject{row.name, server, m}))
			}
			b.WriteByte('\n')
		})
	}
	b.WriteByte('\n')
}

// renderArrivals tells how many of the messages that waited have come into
// their queues while the load went on.
func renderArrivals(b *strings.Builder, r *Results) {
	first := true
	for i := range rows {
		row := &rows[i]
		r.servers(row, func(server string) {
			s := r.over(subject{row.name, server, Arrived})
			if s.Count == 0 {
				return
			}
			if first {
				b.WriteString("| came into their queues meanwhile | server | msg/s |\n|---|---|--:|\n")
				first = false
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", row.title, server, s)
		})
	}
	if !first {
		b.WriteByte('\n')
	}
}

func renderStarts(b *strings.Builder, r *Results) {
	if !r.has((*row).isStart) {
		return
	}
	b.WriteString("| start | server | seconds until it serves | MB resident at rest |\n|---|---|--:|--:|\n")
	for i := range rows {
		row := &rows[i]
		if !row.isStart() {
			continue
		}
		r.servers(row, func(server string) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", row.title, server, r.over(subject{row.name, server, StartSeconds}), r.over(subject{row.name, server, IdleResident}))
		})
	}
	b.WriteByte('\n')
}

func renderGoals(b *strings.Builder, r *Results) {
	first := true
	for i := range goals {
		g := &goals[i]
		s := g.measured(r)
		if s.Count == 0 {
			continue
		}
		if first {
			b.WriteString("| Apogee | goal | measured | |\n|---|--:|--:|---|\n")
			first = false
		}
		relation, unit, verdict := "≥", "", "missed"
		if g.atMost {
			relation = "≤"
		}
		if g.isRatio() {
			unit = "×"
		}
		switch {
		case g.stricter:
			verdict = "to compare"
		case g.met(s):
			verdict = "met"
		}
		fmt.Fprintf(b, "| %s | %s %s%s | %s | %s |\n", g.title, relation, number(g.limit), unit, s, verdict)
	}
	if !first {
		b.WriteByte('\n')
	}
}

// has tells whether a row of that sort was measured.
func (r *Results) has(sort func(*row) bool) bool {
	for i := range rows {
		found := false
		if sort(&rows[i]) {
			r.servers(&rows[i], func(string) { found = true })
		}
		if found {
			return true
		}
	}
	return false
}

// servers visits the servers that have samples of a row, in their order.
func (r *Results) servers(row *row, visit func(server string)) {
	for _, server := range r.Servers {
		for _, round := range r.Rounds {
			if _, ok := round[row.name][server]; ok {
				visit(server)
				break
			}
		}
	}
}

// String is the median, with the range when there is one.
func (s Spread) String() string {
	switch {
	case s.Count == 0:
		return "–"
	case s.Min == s.Max:
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// number writes v with three significant digits, and whole numbers of four
// digits or more with separators.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case v == math.Trunc(v) && size < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 100:
		return separated(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func separated(digits string) string {
	const group = 3
	for at := len(digits) - group; at > 0 && digits[at-1] != '-'; at -= group {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
