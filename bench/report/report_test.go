package report

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

type drawn struct {
	Rate    int `json:"rate"`
	refuses error
}

func (d drawn) Print(w io.Writer) error {
	_, err := io.WriteString(w, "rate for a reader\n")
	return err
}

func (d drawn) Plot(w io.Writer) error {
	_, err := io.WriteString(w, "<svg/>")
	return errors.Join(d.refuses, err)
}

// execute runs a command that measures d and returns what it prints.
func execute(d drawn, args ...string) (stdout, stderr string, err error) {
	var output Output
	cmd := &cobra.Command{SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error {
		Progress(cmd)("half of it")
		return output.WritePlot(cmd, d)
	}}
	output.AddPlotFlags(cmd)
	var out, progress bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), progress.String(), err
}

func TestAResultIsPrintedForAReaderOrAsJSON(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{"rate for a reader\n": {}, "{\n  \"rate\": 7\n}\n": {"--json"}} {
		out, progress, err := execute(drawn{Rate: 7}, args...)
		if err != nil || out != want || progress != "half of it\n" {
			t.Errorf("%q: %q, progress %q, %v", args, out, progress, err)
		}
	}
}

func TestAPlotIsAFileAndItsFailureTheCommands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.svg")
	if out, _, err := execute(drawn{}, "--svg", path); err != nil || out == "" {
		t.Errorf("printed %q, %v", out, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "<svg/>" {
		t.Errorf("%q, %v", text, err)
	}
	full := errors.New("full")
	if _, _, err := execute(drawn{refuses: full}, "--svg", path); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if _, _, err := execute(drawn{}, "--svg", filepath.Join(path, "p.svg")); err == nil || !strings.Contains(err.Error(), "write plot") {
		t.Errorf("error %v", err)
	}
}
