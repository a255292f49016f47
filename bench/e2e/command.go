package e2e

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/plot"
	"github.com/apogeemq/apogee/bench/report"
	"github.com/apogeemq/apogee/server/access"
)

// Command is `bench e2e`.
func Command() *cobra.Command {
	var o Options
	var self access.ClientOptions
	var output report.Output
	cmd := &cobra.Command{
		Use: "e2e", Short: "Measure the time from producer to consumer at fixed rates", Args: cobra.NoArgs,
		Long: "Sends at fixed rates and measures, from the time at which each message was due, how long its\n" +
			"send takes and when a consumer has it. A stall is counted for every message that it delays.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = report.Progress(cmd)
			var err error
			if o.Self, err = self.Open(); err != nil {
				return err
			}
			r, err := Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return output.WritePlot(cmd, r)
		},
	}
	o.addFlags(cmd)
	self.AddFlags(cmd.Flags())
	output.AddPlotFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Address, "addr", "127.0.0.1:10911", "address of the broker")
	f.StringVar(&o.Topic, "topic", "bench-e2e", "topic; it is created")
	f.IntVar(&o.Queues, "queues", 8, "queues of the topic")
	f.IntSliceVar(&o.Rates, "rates", []int{1000, 5000, 10_000, 20_000, 40_000}, "messages per second, one rate after the other")
	f.IntVar(&o.Size, "size", 1024, "bytes of a message body")
	f.IntVar(&o.Producers, "producers", 4, "connections that send")
	f.IntVar(&o.Consumers, "consumers", 2, "connections that pull")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "time before the measured one, of each rate")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "measured time of each rate")
	f.DurationVar(&o.Rest, "rest", 10*time.Second, "longest wait for messages under way after it")
	f.IntVar(&o.PID, "pid", 0, "process id of the broker, to measure its CPU time (0: don't)")
	f.StringVar(&o.Group, "group", "bench-e2e", "producer and consumer group")
}

// Print writes the results for a reader.
func (r *Results) Print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s\n%d cores, %s, %s, %s, from %s\nmilliseconds since each message was due\n\n", r.Load, m.Cores, m.Memory, m.System, m.Go,
		r.Started.Format(time.RFC3339))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "due/s\tdelivered/s\t\tp50\tp90\tp99\tp99.9\tmax\t")
	for i := range r.Samples {
		s := &r.Samples[i]
		for _, l := range []struct {
			name string
			load.Latency
		}{{"end to end", s.EndToEnd}, {"send", s.Send}, {"generator late", s.Lateness}} {
			fmt.Fprintf(table, "%d\t%.0f\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t\n", s.Rate, s.PerSecond, l.name, l.P50, l.P90, l.P99, l.P999, l.Max)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.ServerCPU > 0 {
			fmt.Fprintf(w, "at %d/s: %.2f µs CPU of the broker per message\n", s.Rate, s.ServerCPU)
		}
		if s.Errors+s.Missing+s.Duplicates > 0 {
			fmt.Fprintf(w, "at %d/s: %d sends failed, %d messages missing, %d twice; %s\n", s.Rate, s.Errors, s.Missing, s.Duplicates, s.FirstError)
		}
	}
	return nil
}

// quantile is one line of the plot.
type quantile struct {
	name, color string
	of          func(load.Latency) float64
}

var quantiles = []quantile{
	{"p50", "#1f77b4", func(l load.Latency) float64 { return l.P50 }},
	{"p99", "#d95f02", func(l load.Latency) float64 { return l.P99 }},
	{"p99.9", "#7b3294", func(l load.Latency) float64 { return l.P999 }},
}

// Plot writes an SVG: end-to-end and send latency against throughput.
func (r *Results) Plot(w io.Writer) error {
	p := plot.Plot{Note: "a dot per rate; from the time at which each message was due"}
	for _, q := range quantiles {
		p.Legend = append(p.Legend, plot.Name{Text: q.name, Color: q.color})
	}
	for _, panel := range []struct {
		title string
		of    func(*Sample) load.Latency
	}{
		{"end to end", func(s *Sample) load.Latency { return s.EndToEnd }},
		{"send", func(s *Sample) load.Latency { return s.Send }},
	} {
		drawn := plot.Panel{Title: panel.title, Latency: "ms"}
		for _, q := range quantiles {
			c := plot.Curve{Color: q.color}
			for i := range r.Samples {
				s := &r.Samples[i]
				at := q.of(panel.of(s))
				c.Points = append(c.Points, plot.Point{Rate: s.PerSecond, Latency: at,
					Title: fmt.Sprintf("%s %s at %d/s: %.0f/s delivered, %.3f ms", panel.title, q.name, s.Rate, s.PerSecond, at)})
			}
			drawn.Curves = append(drawn.Curves, c)
		}
		p.Panels = append(p.Panels, drawn)
	}
	return p.Write(w)
}
