package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLogCommandsEndWithTheirStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startServer(t, "--set", "storePathRootDir="+dir)
	for _, c := range []struct {
		args   []string
		status int
	}{
		{[]string{"log", "verify", dir}, 0}, // beside the running server
		{[]string{"log", "dump", filepath.Join(dir, "log")}, 0},
		{[]string{"log", "verify"}, 3},
		{[]string{"log", "verify", t.TempDir()}, 3},
		{[]string{"log", "dump", "--kind", "nothing", dir}, 3},
	} {
		cmd := apogee(t, c.args...)
		out, err := cmd.CombinedOutput()
		if _, ended := err.(*exec.ExitError); err != nil && !ended {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.status {
			t.Errorf("%q ends with %d, want %d\n%s", c.args, got, c.status, out)
		}
	}
}
