package chaos

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
	"github.com/spf13/cobra"
)

// errBroken makes the command fail; what is wrong has been printed.
var errBroken = errors.New("promises were broken")

// Command is `apogee-chaos run`.
func Command() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Break a cluster under load and judge what its clients saw",
		Long: "Start a cluster of the apogee binary on loopback, break it by a seeded schedule while official\n" +
			"clients use it, and judge what they saw. The seed repeats the plan of a run. Data and\n" +
			"logs of a run that failed are kept.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rlog.SetLogger(silence{})
			o.Out = cmd.OutOrStdout()
			if err := o.fill(); err != nil {
				return err
			}
			result, err := Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return tell(o.Out, result)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&o.Seed, "seed", 0, "of the schedule; 0 takes a new one")
	flags.DurationVar(&o.Duration, "duration", time.Minute, "of load and faults; a run takes somewhat longer")
	flags.Uint32Var(&o.Count, "count", 0, "end after so many faults, not after the duration")
	flags.StringVar(&o.Topology, "topology", "single", "nodes and groups")
	flags.StringVar(&o.Flush, "flush", "", "flushDiskType of all nodes; empty: the seed chooses")
	flags.StringSliceVar(&o.Kinds, "faults", nil, "kinds of faults, separated by commas; empty: all")
	flags.IntVar(&o.Rate, "rate", 500, "messages per second of each kind of producer")
	flags.StringArrayVar(&o.Settings, "set", nil, "`key=value` for all nodes; may be repeated")
	flags.DurationVar(&o.GapMax, "gap-max", 0, "longest time without SEND_OK that is allowed; 0: any")
	flags.StringVar(&o.Binary, "apogee", "", "`path` of the binary to break; empty: apogee in the folder of this one")
	flags.StringVar(&o.Dir, "dir", "", "folder for data and logs; empty: that for temporary files")
	flags.BoolVar(&o.Keep, "keep", false, "keep data and logs of a good run as well")
	flags.IntVar(&o.Port, "port", 0, "first of the ports to use; 0: free ones")
	return cmd
}

// fill replaces what was left out.
func (o *Options) fill() error {
	for o.Seed == 0 {
		o.Seed = rand.Uint64() >> 32 // short enough to be copied by hand
	}
	return findBinary(&o.Binary)
}

// findBinary replaces an empty path by that of apogee beside this binary.
func findBinary(path *string) error {
	if *path != "" {
		return nil
	}
	self, err := os.Executable()
	if err == nil {
		*path = filepath.Join(filepath.Dir(self), "apogee")
		_, err = os.Stat(*path)
	}
	if err != nil {
		return fmt.Errorf("find the binary to break: %w: build it there, or name it with --apogee", err)
	}
	return nil
}

// tell prints the verdict; one that blames the cluster is an error.
func tell(w io.Writer, r *Result) error {
	fmt.Fprintf(w, "\n%v", r.Verdict)
	if r.Verdict.Err() == nil {
		return nil
	}
	fmt.Fprintf(w, "\nrepeat with: %s\ndata and logs: %s\n", r.Repeat, r.Dir)
	return errBroken
}

// silence takes the place of the official client's logger, which writes a lot.
type silence struct{}

func (silence) Debug(string, map[string]any)   {}
func (silence) Info(string, map[string]any)    {}
func (silence) Warning(string, map[string]any) {}
func (silence) Error(string, map[string]any)   {}
func (silence) Fatal(string, map[string]any)   {}
func (silence) Level(string)                   {}
func (silence) OutputPath(string) error        { return nil }
