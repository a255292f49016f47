package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/report"
)

// JoinOptions describe a measurement of a replica that joins a group.
type JoinOptions struct {
	MiB      int64         // of message bodies that the group has before
	Size     int           // bytes of a body
	Batch    int           // messages in a request of the filling
	InFlight int           // requests of the filling; 1 makes a frame of each
	Rate     int           // messages per second while it joins, and before
	Before   time.Duration // how long that goes on before
	Limit    time.Duration // for the joining
	Binary   string        // apogee
	Dir      string        // a folder is made below
	Keep     bool          // data and logs of a good run as well
	Settings []string      // key=value for all nodes
	Out      io.Writer     // what happens
}

// JoinCommand is `apogee-chaos join`.
func JoinCommand() *cobra.Command {
	var o JoinOptions
	var output report.Output
	cmd := &cobra.Command{
		Use: "join", Short: "Measure how fast an empty node gets the log of a group under load, and how fast it restarts", Args: cobra.NoArgs,
		Long: "Starts a group of three nodes, fills it, and sends at a steady rate. Then one node is lost for good: it is killed,\n" +
			"removed, emptied, started and added again. Measured are the time until it has a vote again and what that does\n" +
			"to the sends; then its restart after kill -9. At the end the others are killed, and every message is read from it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.ErrOrStderr()
			if err := findBinary(&o.Binary); err != nil {
				return err
			}
			r, err := Join(cmd.Context(), o)
			if err != nil {
				return err
			}
			return errors.Join(output.Write(cmd, r), r.Err())
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.MiB, "mib", 5<<10, "MiB of message bodies that the group has before")
	f.IntVar(&o.Size, "size", 1024, "bytes of a body")
	f.IntVar(&o.Batch, "batch", 1, "messages in a request of the filling")
	f.IntVar(&o.InFlight, "inflight", 256, "requests of the filling in flight; 1 makes a frame of each")
	f.IntVar(&o.Rate, "rate", 10_000, "messages per second before and while the node joins")
	f.DurationVar(&o.Before, "before", 30*time.Second, "how long they are sent before")
	f.DurationVar(&o.Limit, "limit", 10*time.Minute, "longest time for the joining")
	f.StringVar(&o.Binary, "apogee", "", "`path` of the binary to measure; empty: apogee in the folder of this one")
	f.StringVar(&o.Dir, "dir", "", "folder for data and logs; empty: that for temporary files")
	f.BoolVar(&o.Keep, "keep", false, "keep data and logs of a good run as well")
	f.StringArrayVar(&o.Settings, "set", nil, "`key=value` for all nodes; may be repeated")
	output.AddFlags(cmd)
	return cmd
}

// JoinResult is what a run showed.
type JoinResult struct {
	Started time.Time    `json:"started"`
	Machine load.Machine `json:"machine"`
	Filled  int64        `json:"filledMessages"`
	Filling float64      `json:"fillingSeconds"`
	Frames  uint64       `json:"frames"` // of the log when the node joined
	Rate    int          `json:"rate"`
	Before  *e2e.Sample  `json:"before"`
	During  *e2e.Sample  `json:"during"`
	Joined  float64      `json:"joinSeconds"`    // from the start of the empty node to its vote
	Ready   float64      `json:"readySeconds"`   // from its start after kill -9 until it took requests
	Whole   float64      `json:"wholeSeconds"`   // until it had all that the leader had
	Read    int64        `json:"readAtStart"`    // bytes from the disk, of its restart
	Stored  int64        `json:"storedMessages"` // at the end, by the leader
	Found   int64        `json:"foundMessages"`  // read from the node alone
}

// Err is nil when the node had every message.
func (r *JoinResult) Err() error {
	if r.Found != r.Stored {
		return fmt.Errorf("%w: the node has %d messages, the group had %d", errBroken, r.Found, r.Stored)
	}
	return nil
}

// Print writes the result for a reader.
func (r *JoinResult) Print(w io.Writer) error {
	before, during := r.Before.Send, r.During.Send
	_, err := fmt.Fprintf(w, `%d cores, %s, %s, %s; from %s
filled    %d messages in %.1f s; %d frames
joined    in %.1f s, beside %d messages a second
sends     p50 %.2f ms before, %.2f while it joined; p99 %.2f and %.2f; p99.9 %.2f and %.2f: %.2f times; %d and %d failed
restart   after kill -9 ready in %.2f s, with all that the leader had after %.2f s, %.1f MB read from the disk
complete  %d of %d messages read from the node alone
`, r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Machine.Go, r.Started.Format(time.RFC3339),
		r.Filled, r.Filling, r.Frames, r.Joined, r.Rate,
		before.P50, during.P50, before.P99, during.P99, before.P999, during.P999, during.P999/max(before.P999, 0.001), r.Before.Errors, r.During.Errors,
		r.Ready, r.Whole, float64(r.Read)/1e6, r.Found, r.Stored)
	return err
}

func (o *JoinOptions) check() error {
	switch {
	case o.MiB < 1 || o.MiB > 1<<20:
		return fmt.Errorf("join: %d MiB are not allowed: use 1 to %d", o.MiB, 1<<20)
	case o.Before <= 0 || o.Limit <= 0:
		return fmt.Errorf("join: %v before and a limit of %v are not allowed: use times above zero", o.Before, o.Limit)
	}
	return nil // the loads check what is theirs
}

// tell says what happens.
func (o *JoinOptions) tell(format string, arguments ...any) {
	fmt.Fprintf(o.Out, format+"\n", arguments...)
}

// Join measures.
func Join(ctx context.Context, o JoinOptions) (*JoinResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	j, err := o.begin()
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	err = errors.Join(j.run(ctx), j.cluster.Close())
	if err == nil {
		err = j.died()
	}
	if err == nil && j.result.Err() == nil && !o.Keep {
		return &j.result, j.remove()
	}
	o.tell("data and logs are in %s", j.dir)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return &j.result, nil
}
