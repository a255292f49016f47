package baseline

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/report"
	"github.com/apogeemq/apogee/bench/rocketmq"
)

// Command is `bench baseline`.
func Command() *cobra.Command {
	var o Options
	var document, results string
	cmd := &cobra.Command{
		Use: "baseline", Short: "Measure Apache RocketMQ, the floor and Apogee side by side", Args: cobra.NoArgs,
		Long: "Fetches Apache RocketMQ " + rocketmq.Version + " with Maven, runs the same loads on it, on the floor and on Apogee in alternation,\n" +
			"and writes the table and its ratios into the document. With the defaults it takes some 35 minutes and 40 GB of disk.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if document != "" {
				if err := block.Check(document); err != nil {
					return err
				}
			}
			r, err := Run(cmd.Context(), &o)
			if err != nil {
				return errors.Join(cmd.Context().Err(), err)
			}
			text := Render(r)
			fmt.Fprint(cmd.OutOrStdout(), text)
			return errors.Join(writeResults(results, r), writeDocument(document, text))
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&document, "document", "docs/BENCHMARKS.md", "document that gets the table between its marks (empty: none; use that for a part of the rows)")
	cmd.Flags().StringVar(&results, "results", filepath.Join("bin", "baseline.json"), "file for all numbers as measured (empty: none)")
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&o.Servers, "servers", []string{"rocketmq", "floor", "gathered", "apogee", "dledger", "group"}, "what to measure, in this order")
	f.StringSliceVar(&o.Rows, "rows", rowNames(), "rows of the table")
	f.IntVar(&o.Rounds, "rounds", 3, "times that everything is measured")
	f.IntVar(&o.Connections, "connections", 4, "connections of each load")
	f.DurationVar(&o.Duration, "duration", 8*time.Second, "measured time of a load")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "time of a load before the measured one")
	f.DurationVar(&o.Settle, "settle", 10*time.Second, "load on a fresh broker before its first row")
	f.DurationVar(&o.Rest, "rest", 2*time.Second, "rest of a fresh server before its memory is read")
	f.StringVar(&o.Heap, "heap", "2g", "heap of RocketMQ's broker")
	f.Int64Var(&o.BacklogBytes, "backlog-bytes", 2<<30, "size of the backlog for cold reads and for the start after kill -9")
	f.StringVar(&o.Cache, "cache", filepath.Join("bin", "rocketmq"), "where RocketMQ's jars are kept")
	f.StringVar(&o.Dir, "dir", "bin", "directory on the disk to measure; data is removed afterwards")
	f.IntVar(&o.Port, "port", 20900, "first of the ports that the servers listen on")
	f.StringVar(&o.Apogee, "apogee", "", "Apogee's binary (default: this one)")
	f.StringVar(&o.Other, "other", "", "another build of Apogee for the server other, to compare with")
	f.Int64Var(&o.Pending, "pending", 10_000_000, "messages that wait at once, of the rows pending and pendingrestart")
	f.StringArrayVar(&o.ApogeeSettings, "apogee-set", nil, "more settings for Apogee's server, key=value")
}

// complete finds this binary and makes paths absolute, as children run in
// directories of their own.
func (o *Options) complete() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("run baseline: find this binary: %w", err)
	}
	o.Self = self
	if o.Apogee == "" {
		o.Apogee = self
	}
	for _, path := range []*string{&o.Apogee, &o.Other} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("run baseline: %w", err)
		}
	}
	return nil
}

// block is where the table stands in a document.
const block = report.Block("baseline")

func writeDocument(path, text string) error {
	if path == "" {
		return nil
	}
	return block.Update(path, text)
}

func writeResults(path string, r *Results) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
