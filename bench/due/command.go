package due

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/report"
	"github.com/apogeemq/apogee/server/access"
)

// Command is `bench due`.
func Command() *cobra.Command {
	var o Options
	var self access.ClientOptions
	var output report.Output
	cmd := &cobra.Command{
		Use: "due", Short: "Measure many delayed messages that become due at once, and the sends beside them", Args: cobra.NoArgs,
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
			return output.Write(cmd, r)
		},
	}
	o.addFlags(cmd)
	self.AddFlags(cmd.Flags())
	output.AddFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Address, "addr", "127.0.0.1:10911", "address of the broker")
	f.StringVar(&o.Topic, "topic", "bench-due", "topic of the delayed messages; the plain ones go to TOPIC-plain")
	f.IntVar(&o.Queues, "queues", 8, "queues of each topic")
	f.IntVar(&o.Connections, "connections", 4, "connections that send")
	f.Int64Var(&o.Messages, "messages", 100_000, "delayed messages that become due at once")
	f.IntVar(&o.Size, "size", 1024, "bytes of a message body")
	f.IntVar(&o.Rate, "rate", 10_000, "plain messages a second")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "time before the measured one, of each plain load")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "measured time of each plain load")
	f.DurationVar(&o.Ahead, "ahead", 20*time.Second, "how long before they are due the delayed messages are stored")
	f.DurationVar(&o.Patience, "patience", time.Minute, "longest wait for all of them")
	f.IntVar(&o.PID, "pid", 0, "process id of the broker, to measure its CPU time (0: don't)")
}

// Print writes the results for a reader.
func (r *Results) Print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s\n%d cores, %s, %s, %s, from %s\n", r.Load, m.Cores, m.Memory, m.System, m.Go, r.Started.Format(time.RFC3339))
	fmt.Fprintf(w, "the last of %d messages was in its queue after %.2f s; %d were early\n", r.Messages, r.Seconds, r.Early)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "plain sends, ms since due\tp50\tp90\tp99\tp99.9\tmax\tstored\terrors\t")
	for _, s := range []struct {
		name   string
		sample *e2e.Sample
	}{{"without", &r.Without}, {"during", &r.During}} {
		l := s.sample.Send
		fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%d\t%d\t\n", s.name, l.P50, l.P90, l.P99, l.P999, l.Max, s.sample.Stored, s.sample.Errors)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	_, err := fmt.Fprintf(w, "p99.9 during against without: %.2f\n", r.TailRatio())
	return err
}
