package log

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// column is one number of the table.
type column struct {
	title  string
	format string
	number func(*Sample) float64
}

var columns = []column{
	{"msg/s", "%.0f", func(s *Sample) float64 { return s.MessagesPerSecond }},
	{"MB/s", "%.1f", func(s *Sample) float64 { return s.BytesPerSecond / 1e6 }},
	{"p50 ms", "%.3f", func(s *Sample) float64 { return s.Latency.P50 }},
	{"p99 ms", "%.3f", func(s *Sample) float64 { return s.Latency.P99 }},
	{"p99.9 ms", "%.3f", func(s *Sample) float64 { return s.Latency.P999 }},
	{"CPU µs", "%.2f", func(s *Sample) float64 { return s.CPUMicros }},
	{"writes", "%.3f", func(s *Sample) float64 { return s.perMessage(s.Operations.Writes) }},
	{"syncs", "%.3f", func(s *Sample) float64 { return s.perMessage(s.Operations.Syncs) }},
	{"waits", "%.3f", func(s *Sample) float64 { return s.perMessage(s.Operations.Waits) }},
	{"wakes", "%.3f", func(s *Sample) float64 { return s.perMessage(s.Operations.Wakes) }},
	{"switches", "%.2f", func(s *Sample) float64 { return s.VoluntarySwitches + s.InvoluntarySwitches }},
	{"written/B", "%.2f", func(s *Sample) float64 { return s.WrittenPerByte }},
	{"fill/B", "%.2f", func(s *Sample) float64 { return s.FillPerByte }},
	{"kernel/B", "%.2f", func(s *Sample) float64 { return s.KernelPerByte }},
}

// Print writes the medians and the ratios for a reader.
func (r *Results) Print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%d cores, %s, %s, %s\n%s\n", m.Cores, m.Memory, m.System, m.Go, r.Disk)
	d := r.median(Cell{}, device, func(s *Sample) float64 { return s.BytesPerSecond })
	fmt.Fprintf(w, "device: %.1f MB/s with writes of 64 KiB, %d in flight, no sync\n", d/1e6, deviceDepth)
	fmt.Fprintf(w, "medians of %d rounds; CPU, writes, syncs, waits, wakes and context switches are per message\n\n", r.rounds())
	if err := r.printSamples(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nengine over floor, median of the rounds' ratios\n")
	return r.printRatios(w)
}

func (r *Results) printSamples(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "bytes\tmode\tdepth\t\t")
	for _, c := range columns {
		fmt.Fprint(table, c.title, "\t")
	}
	fmt.Fprintln(table)
	for _, c := range r.Cells {
		for _, contender := range []string{ring, posix, group, raw} {
			if r.of(c, contender, 0) == nil {
				continue
			}
			fmt.Fprintf(table, "%d\t%s\t%d\t%s\t", c.Size, c.Mode, c.Depth, contender)
			for _, col := range columns {
				fmt.Fprintf(table, col.format+"\t", r.median(c, contender, col.number))
			}
			fmt.Fprintln(table)
		}
	}
	return table.Flush()
}

func (r *Results) printRatios(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "bytes\tmode\tdepth\tengine\tfloor\trate\tp50\tp99\tCPU\t")
	for _, q := range r.Ratios {
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%s\t%.2f\t", q.Size, q.Mode, q.Depth, q.Contender, q.Floor, q.Rate)
		if q.Floor == device {
			fmt.Fprintln(table, "\t\t\t")
			continue
		}
		fmt.Fprintf(table, "%.2f\t%.2f\t%.2f\t\n", q.P50, q.P99, q.CPU)
	}
	return table.Flush()
}
