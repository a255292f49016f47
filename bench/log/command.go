package log

import (
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/report"
)

// Command is `bench log`.
func Command() *cobra.Command {
	var o Options
	var output report.Output
	cmd := &cobra.Command{
		Use: "log", Short: "Measure the log and its floors without a network", Args: cobra.NoArgs,
		Long: "Measure producers that store into the log, on io_uring and on plain system calls, and in the same run\n" +
			"the floors: merged writes without format, a write per message, and the device. With the defaults it\n" +
			"takes some eight minutes on an idle machine, and 5 GiB on the disk.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = report.Progress(cmd)
			r, err := Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return output.WritePlot(cmd, r)
		},
	}
	o.addFlags(cmd)
	output.AddPlotFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", filepath.Join("bin", "bench-log"), "directory on the disk to measure; what is made there is removed")
	f.IntSliceVar(&o.Sizes, "sizes", []int{256, 1 << 10, 4 << 10, 64 << 10, 1 << 20}, "bytes of a message")
	f.IntSliceVar(&o.Depths, "depths", []int{1, 64, 512}, "producers")
	f.StringSliceVar(&o.Modes, "modes", []string{string(Sync), string(Async)}, "when a message counts as stored")
	f.StringSliceVar(&o.Engines, "engines", []string{ring, posix}, "I/O paths of the engine")
	f.IntVar(&o.Rounds, "rounds", 3, "times that everything is measured")
	f.DurationVar(&o.Warmup, "warmup", 300*time.Millisecond, "time before the measured one, of each sample")
	f.DurationVar(&o.Duration, "duration", time.Second, "measured time of each sample")
	f.Int64Var(&o.SegmentBytes, "segment-bytes", 1<<30, "size of the log's segments")
	f.StringVar(&o.Segments, "segments", ready, "what the engine writes into: segments that are ready, as recycled ones are, or fresh ones, zero-filled while it writes")
	f.Int64Var(&o.FloorBytes, "floor-bytes", 256<<20, "size of the file that the floors write around in")
}
