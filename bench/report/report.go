package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Result is what a command has measured. It also is what JSON is made of.
type Result interface {
	// Print writes it for a reader.
	Print(w io.Writer) error
}

// Drawn is a result that can be plotted.
type Drawn interface {
	Result
	// Plot writes it as SVG.
	Plot(w io.Writer) error
}

// Output is where the flags of a command want its result.
type Output struct {
	asJSON bool
	svg    string
}

// AddFlags adds --json.
func (o *Output) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the result as JSON")
}

// AddPlotFlags adds --json, and --svg for a result that can be plotted.
func (o *Output) AddPlotFlags(cmd *cobra.Command) {
	o.AddFlags(cmd)
	cmd.Flags().StringVar(&o.svg, "svg", "", "`file` for a plot of latency against throughput")
}

// Progress returns what tells people how far a run is.
func Progress(cmd *cobra.Command) func(string) {
	return func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
}

// Write prints a result.
func (o *Output) Write(cmd *cobra.Command, r Result) error {
	if !o.asJSON {
		return r.Print(cmd.OutOrStdout())
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

// WritePlot plots a result if a plot is wanted, and prints it.
func (o *Output) WritePlot(cmd *cobra.Command, r Drawn) error {
	if o.svg != "" {
		f, err := os.Create(o.svg)
		if err == nil {
			err = errors.Join(r.Plot(f), f.Close())
		}
		if err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return o.Write(cmd, r)
}
