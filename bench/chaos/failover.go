package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/report"
	"github.com/apogeemq/apogee/bench/rocketmq"
)

// FailoverOptions describe a measurement of failovers.
type FailoverOptions struct {
	Rows    []string
	Runs    int           // of each row
	Length  time.Duration // of a run, from the client's start on
	Rate    int           // sends per second
	Seed    uint64        // of victims and times
	Binary  string        // apogee
	Dir     string        // folders are made below
	Cache   string        // where RocketMQ's jars are kept
	Keep    bool          // data and logs of good runs as well
	Out     io.Writer     // what happens
	classes string        // of the Java client, and its jars
}

// block is where the table stands in a document.
const block = report.Block("failover")

// FailoverCommand is `apogee-chaos failover`.
func FailoverCommand() *cobra.Command {
	var o FailoverOptions
	var document, results string
	seconds := 0
	cmd := &cobra.Command{
		Use: "failover", Short: "Measure how long producers wait when a node dies for good, or leadership moves", Args: cobra.NoArgs,
		Long: "Starts three nodes, lets an official producer with its default settings send at a steady pace, ends one node\n" +
			"with kill -9 for good (or moves leadership) at a random moment of the client's poll for routes, and takes the\n" +
			"longest time without SEND_OK until the end of the run. What was confirmed must be there afterwards.\n" +
			"The defaults take about an hour. The Java producer needs a JDK, and Maven the first time.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			rlog.SetLogger(silence{})
			o.Length = time.Duration(seconds) * time.Second
			o.Out = cmd.ErrOrStderr()
			if document != "" {
				if err := block.Check(document); err != nil {
					return err
				}
			}
			if err := findBinary(&o.Binary); err != nil {
				return err
			}
			if o.Seed == 0 {
				o.Seed = rand.Uint64() >> 32
			}
			r, err := Failover(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), r.Render())
			return errors.Join(r.write(results, document), r.Err())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Rows, "rows", failoverNames(), "rows of the table")
	f.IntVar(&o.Runs, "runs", 10, "runs of each row")
	f.IntVar(&seconds, "seconds", 75, "length of a run")
	f.IntVar(&o.Rate, "rate", 100, "sends per second")
	f.Uint64Var(&o.Seed, "seed", 0, "of victims and moments; 0 takes a new one")
	f.StringVar(&o.Binary, "apogee", "", "`path` of the binary to measure; empty: apogee in the folder of this one")
	f.StringVar(&o.Dir, "dir", "", "folder for data and logs; empty: that for temporary files")
	f.StringVar(&o.Cache, "cache", filepath.Join("bin", "rocketmq"), "where RocketMQ's jars are kept")
	f.BoolVar(&o.Keep, "keep", false, "keep data and logs of good runs as well")
	f.StringVar(&document, "document", "", "document that gets the table between its marks")
	f.StringVar(&results, "results", "", "file for all numbers as measured")
	return cmd
}

// FailoverRun is what one run showed.
type FailoverRun struct {
	Row       string        `json:"row"`
	Struck    string        `json:"struck"`
	Phase     time.Duration `json:"phase"` // from the client's start to the strike
	Gap       time.Duration `json:"gap"`   // longest without SEND_OK
	Confirmed uint64        `json:"confirmed"`
	Broken    string        `json:"broken,omitempty"` // promises
}

// FailoverResults are all runs.
type FailoverResults struct {
	Started time.Time     `json:"started"`
	Machine load.Machine  `json:"machine"`
	Command string        `json:"command"`
	Rate    int           `json:"rate"`
	Length  time.Duration `json:"length"`
	Runs    []FailoverRun `json:"runs"`
}

// Failover measures all rows.
func Failover(ctx context.Context, o FailoverOptions) (*FailoverResults, error) {
	rows, err := failoverRows(o.Rows)
	if err == nil {
		err = o.check()
	}
	if err == nil && slices.ContainsFunc(rows, func(r failoverRow) bool { return r.java }) {
		err = o.compile(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("failover: %w", err)
	}
	results := &FailoverResults{Started: time.Now(), Machine: load.DescribeMachine(), Rate: o.Rate, Length: o.Length,
		Command: fmt.Sprintf("apogee-chaos failover --runs %d --seconds %.0f --rate %d --seed %d --rows %s", o.Runs, o.Length.Seconds(), o.Rate, o.Seed, strings.Join(o.Rows, ","))}
	for i := range o.Runs { // all rows in turn, so that the machine's moods hit all of them
		for at, row := range rows {
			random := rand.New(rand.NewPCG(o.Seed, uint64(i)<<16|uint64(at)))
			run, err := o.once(ctx, row, random)
			if err != nil {
				return nil, fmt.Errorf("failover: run %d of %s: %w", i+1, row.name, err)
			}
			fmt.Fprintf(o.Out, "%s, run %d of %d: %s at %.1f s: %.3f s without SEND_OK, %d confirmed %s\n", row.name, i+1, o.Runs,
				run.Struck, run.Phase.Seconds(), run.Gap.Seconds(), run.Confirmed, run.Broken)
			results.Runs = append(results.Runs, run)
		}
	}
	return results, nil
}

func (o *FailoverOptions) check() error {
	switch {
	case o.Runs < 1 || o.Rate < 1:
		return fmt.Errorf("%d runs at %d sends per second are not allowed: use 1 or more", o.Runs, o.Rate)
	case o.Length < lengthMin:
		return fmt.Errorf("a length of %v is not allowed: use %v or more, so that what follows the strike is seen", o.Length, lengthMin)
	}
	return nil
}

// compile makes the Java client.
func (o *FailoverOptions) compile(ctx context.Context) error {
	jars, err := rocketmq.Fetch(ctx, o.Cache)
	if err != nil {
		return err
	}
	o.classes, err = compilePaced(ctx, jars)
	return err
}

// write keeps the results.
func (r *FailoverResults) write(results, document string) error {
	var err error
	if results != "" {
		text, failed := json.MarshalIndent(r, "", "  ")
		if failed == nil {
			failed = os.WriteFile(results, text, 0o644)
		}
		err = failed
	}
	if document != "" {
		err = errors.Join(err, block.Update(document, r.Render()))
	}
	return err
}

// Err is nil when nothing that was confirmed was lost.
func (r *FailoverResults) Err() error {
	for _, run := range r.Runs {
		if run.Broken != "" {
			return errBroken
		}
	}
	return nil
}
