package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/node"
)

// asBinary in the environment makes the test's own executable be apogee.
const asBinary = "APOGEE_TEST_AS_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func apogee(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), asBinary+"=1", "GOCOVERDIR="+t.TempDir())
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = time.Minute
	return cmd
}

// startServer runs a server and returns when it is ready, with what it goes on
// to log.
func startServer(t *testing.T, arguments ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := apogee(t, append([]string{"server", "--set", "listenPort=0", "--set", "namesrvListenPort=0",
		"--set", "adminListenPort=0", "--set", "mappedFileSizeCommitLog=33554432"}, arguments...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	log := bufio.NewReader(stderr)
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended before it was ready: %v", err)
		}
		if strings.Contains(line, "msg=ready") {
			return cmd, log
		}
	}
}

func TestASignalStopsTheServerInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, log := startServer(t)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(signal) // the echo of a Ctrl-C, unless it has ended already
		rest, err := io.ReadAll(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !bytes.Contains(rest, []byte("inOrder=true")) {
			t.Errorf("%v: %v\n%s", signal, err, rest)
		}
		if _, err := os.Stat(cmd.Dir + "/data/log/meta"); err != nil {
			t.Errorf("the server stored elsewhere than in ./data: %v", err)
		}
	}
}

func TestAServerThatWasKilledStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		cmd, log := startServer(t, "--set", "storePathRootDir="+dir)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, log); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
}

func TestAWrongValueEndsTheStartWithOneLine(t *testing.T) {
	t.Parallel()
	cmd := apogee(t, "server", "--set", "flushDiskType=FAST")
	out, err := cmd.CombinedOutput()
	want := "apogee: configuration: flushDiskType=FAST is not allowed: use SYNC_FLUSH or ASYNC_FLUSH\n"
	if cmd.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLogLinesAreJSONWhereAskedFor(t *testing.T) {
	t.Parallel()
	cmd := apogee(t, "server", "--log-format", "json", "--set", "listenPort=0", "--set", "namesrvListenPort=0", "--set", "adminListenPort=0",
		"--set", "mappedFileSizeCommitLog=33554432", "--set", "noSuchKey=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(stderr)
	var warned bool
	for line := (struct {
		Msg     string
		Address string // an object here would be no use to those who search
		Keys    []string
	}{}); line.Msg != "ready"; {
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		warned = warned || slices.Equal(line.Keys, []string{"noSuchKey"})
	}
	if !warned {
		t.Error("no line names the unknown key")
	}
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Error(err)
	}
}

func TestConfigPrintsTheTable(t *testing.T) {
	t.Parallel()
	out, err := apogee(t, "config").Output()
	if err != nil || string(out) != node.SettingsTable(node.ServerRole) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	t.Parallel()
	out, err := apogee(t, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "apogee ") || len(strings.Fields(string(out))) != 4 {
		t.Errorf("%v: %s", err, out)
	}
}
