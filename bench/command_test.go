package bench

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandNamesAllTools(t *testing.T) {
	t.Parallel()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--help"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"send", "pull", "e2e", "floor", "baseline", "due", "log"} {
		if !strings.Contains(out.String(), "\n  "+name+" ") {
			t.Errorf("%s is missing in\n%s", name, out.String())
		}
	}
}

func TestAWrongFlagValueIsRefusedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"send", "--header", "xml"}, {"send", "--inflight", "0"}, {"pull", "--read", "twice"},
		{"floor", "--mode", "fast", "--listen", "127.0.0.1:0"}, {"baseline", "--rounds", "0", "--document", ""},
	} {
		cmd := Command()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(args)
		cmd.SetContext(t.Context())
		if err := cmd.Execute(); err == nil {
			t.Errorf("%q: accepted", args)
		}
	}
}
