package outbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// options of a run.
type options struct {
	binary  string
	dir     string
	seconds int
	body    int
	rows    []string
}

// Command is `apogee bench outbox`.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{Use: "outbox", Short: "Measure the outbox: forwarding against direct sends, spooling, draining", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.seconds < 1 || o.body < 1 || o.body > 1<<20 {
				return fmt.Errorf("--seconds %d and --body %d are not allowed: use 1 or more, and 1 to %d", o.seconds, o.body, 1<<20)
			}
			for _, row := range o.rows {
				if !slices.Contains(allRows(), row) {
					return fmt.Errorf("--rows %s is not allowed: use some of %s", row, strings.Join(allRows(), ","))
				}
			}
			if o.binary == "" {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				o.binary = self
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		}}
	cmd.Flags().StringVar(&o.binary, "binary", "", "apogee `binary` to measure (default: this one)")
	cmd.Flags().StringVar(&o.dir, "dir", "", "`folder` for the data, removed afterwards (default: a temporary one)")
	cmd.Flags().IntVar(&o.seconds, "seconds", 5, "length of each row")
	cmd.Flags().IntVar(&o.body, "body", 1024, "bytes of a message")
	cmd.Flags().StringSliceVar(&o.rows, "rows", allRows(), "`rows` to measure: all by default; draining belongs to spooling")
	return cmd
}

// forwarding has the rows that compare with direct sends.
var forwarding = []struct {
	name string
	shape
}{
	{"one", shape{1, 1}},
	{"apart", shape{queues, 1}},
	{"shared", shape{4, 64}},
}

// spooling keeps so many messages in flight that one sync serves many.
var spooling = shape{queues, 16}

// rowSpooling measures both spooling and, with what it has left, draining.
const rowSpooling = "spooling"

func allRows() (names []string) {
	for _, f := range forwarding {
		names = append(names, f.name)
	}
	return append(names, rowSpooling)
}

// run measures the rows in turn.
func (o *options) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "apogee-bench-outbox-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startScene(ctx, o.binary, dir)
	if err != nil {
		return err
	}
	defer s.close()
	length := time.Duration(o.seconds) * time.Second
	body := make([]byte, o.body)
	for _, f := range forwarding {
		if !slices.Contains(o.rows, f.name) {
			continue
		}
		direct, err := s.load(ctx, s.direct, f.shape, length, body)
		if err != nil {
			return err
		}
		through, err := s.load(ctx, s.through, f.shape, length, body)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-10s direct %.0f/s, median %v, %v of the server's CPU each; through the agent %.0f/s, %v more, %v of the server's and %v of the agent's\n",
			f.name, direct.rate(), direct.median, direct.serverEach(), through.rate(), through.median-direct.median, through.serverEach(), through.agentEach())
	}
	if !slices.Contains(o.rows, rowSpooling) {
		return nil
	}
	return o.spoolAndDrain(ctx, s, length, body, out)
}

// spoolAndDrain kills the server, measures what the agent keeps, and how it goes
// on when the server is back.
func (o *options) spoolAndDrain(ctx context.Context, s *scene, length time.Duration, body []byte, out io.Writer) error {
	if err := s.server.Kill(); err != nil {
		return err
	}
	spooled, err := s.load(ctx, s.through, spooling, length, body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-10s %.0f/s synced here, median %v, %v of the agent's CPU each\n", rowSpooling, spooled.rate(), spooled.median, spooled.agentEach())
	waiting, err := s.waiting(ctx)
	if err != nil {
		return err
	}
	before := cpuTime(s.agent)
	noticed, took, err := s.drain(ctx, waiting)
	if err != nil {
		return err
	}
	each := (cpuTime(s.agent) - before) / time.Duration(max(waiting, 1))
	fmt.Fprintf(out, "%-10s begins %v after the server's return; %d messages in %v: %.0f/s, %v of the agent's CPU each\n", "draining", noticed.Round(time.Millisecond), waiting, took.Round(time.Millisecond), float64(waiting)/took.Seconds(), each)
	return nil
}
