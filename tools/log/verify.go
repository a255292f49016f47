package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/tools/message"
)

func verifyCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check every byte of a log and name what is wrong",
		Long: "Check every byte of a log and name what is wrong. Nothing is changed; a broker may be running.\n" +
			"Exit status: 0 clean, 1 torn tail (opening repairs it), 2 corrupt, 3 usage or read error.",
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			return failed(verify(cmd.OutOrStdout(), logFolder(args[0]), asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print report and findings as JSON")
	return cmd
}

// verdict is the outcome of a verification as JSON.
type verdict struct {
	Folder   string           `json:"folder"`
	Report   commitlog.Report `json:"report"`
	Findings []place          `json:"findings"`
}

type place struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Class  string `json:"class"` // torn, corrupt or newer
	What   string `json:"what"`
}

func placeOf(f commitlog.Finding) place {
	class := "corrupt"
	switch {
	case errors.Is(f.Err, commitlog.ErrTorn):
		class = "torn"
	case errors.Is(f.Err, commitlog.ErrNewerFormat):
		class = "newer"
	}
	return place{File: f.File, Offset: f.Offset, Class: class, What: f.Err.Error()}
}

// findingsMax bounds what is printed; all findings are counted.
const findingsMax = 10_000

func verify(w io.Writer, f folder, asJSON bool) error {
	v := verdict{Folder: f.Path()}
	r, err := commitlog.Inspect(commitlog.Inspection{Folder: f, Again: again, Finding: func(f commitlog.Finding) {
		if len(v.Findings) < findingsMax {
			v.Findings = append(v.Findings, placeOf(f))
		}
	}})
	if err != nil {
		return err
	}
	v.Report = r
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(v)
	} else {
		err = v.print(w)
	}
	return errors.Join(err, v.outcome())
}

// outcome is the error whose status says what was found.
func (v *verdict) outcome() error {
	r := &v.Report
	switch {
	case r.Corrupt > 0:
		return &failure{statusCorrupt, fmt.Errorf("verify %s: corrupt at %d places", v.Folder, r.Corrupt)}
	case r.Newer > 0:
		return &failure{statusFailed, fmt.Errorf("verify %s: parts are of a later format; use a later version of apogee", v.Folder)}
	case r.Torn > 0:
		return &failure{statusTorn, fmt.Errorf("verify %s: torn, as after a crash; opening the log repairs it", v.Folder)}
	}
	return nil
}

func (v *verdict) print(w io.Writer) error {
	r := &v.Report
	fmt.Fprintf(w, "log %x, group %x, node %x\n", r.Meta.Log, r.Meta.Group, r.Meta.Node)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "segment\tframes\tevents\tused bytes\tfile bytes\t")
	for _, s := range r.Segments {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", s.Name, s.Frames, s.Events, s.UsedBytes, s.FileBytes)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	fmt.Fprintf(w, "%d segments, %d frames (index %d to %d), %d events, %d data bytes (position %d to %d)\n",
		len(r.Segments), r.Frames, r.First, r.Last, r.Events, r.DataBytes, r.Begin, r.End)
	if r.Frames > 0 {
		fmt.Fprintf(w, "from %s to %s\n", message.TimeText(r.FirstTimestamp), message.TimeText(r.LastTimestamp))
	}
	fmt.Fprintf(w, "durable by evidence: frame %d in the mark file, %d in frames\n", r.DurableInMark, r.DurableInFrames)
	if r.Live {
		fmt.Fprintln(w, "the log is being written; this is how far it had come")
	}
	for _, p := range v.Findings {
		fmt.Fprintf(w, "%s at %d: %s\n", p.File, p.Offset, p.What)
	}
	if n := r.Torn + r.Corrupt + r.Newer; n > len(v.Findings) {
		fmt.Fprintf(w, "… and %d more\n", n-len(v.Findings))
	}
	_, err := fmt.Fprintf(w, "findings: %d corrupt, %d torn, %d of a later format\n", r.Corrupt, r.Torn, r.Newer)
	return err
}
