package chaos

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/check"
)

// binaries builds apogee and apogee-chaos once, without the race detector: the
// official client has races of its own. It returns their folder.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "apogee-chaos-test-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	out, err := exec.Command("go", "build", "-race=false", "-o", dir, "github.com/apogeemq/apogee/tools/apogee",
		"github.com/apogeemq/apogee/bench/chaos/apogee-chaos").CombinedOutput()
	if err != nil {
		return "", &buildError{string(out)}
	}
	return dir, nil
})

// builtIn is the folder of binaries, "" when no test needed them.
var builtIn string

type buildError struct{ output string }

func (e *buildError) Error() string { return "build apogee and apogee-chaos: " + e.output }

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := builtIn; dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// chaos is `apogee-chaos run` as a process, so that what it starts is what
// users start.
func chaos(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "apogee-chaos"), append([]string{"run", "--rate", "200", "--dir", t.TempDir()}, arguments...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func TestAShortRunWithKillsAndBrokenDisksKeepsItsPromises(t *testing.T) {
	t.Parallel()
	out, err := chaos(t, "--duration", "3s", "--faults", "kill,kill-twice,cold-start,hung-disk-kill,broken-disk,reset,slow-disk").CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("no promise was broken")) {
		t.Error(err)
	}
}

// An interrupt ends everything that the run has started.
func TestAnInterruptedRunLeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	cmd := chaos(t, "--duration", "1h", "--faults", "reset")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	dir := ""
	for b := make([]byte, 1<<10); !strings.Contains(text.String(), "are reset and refused"); {
		n, err := out.Read(b)
		text.Write(b[:n])
		if err != nil {
			t.Fatalf("before the first fault: %v\n%s", err, &text)
		}
	}
	if m := regexp.MustCompile(`data and logs: (\S+)`).FindStringSubmatch(text.String()); m != nil {
		dir = m[1]
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err == nil {
		t.Errorf("a run that was interrupted has a verdict:\n%s%s", &text, rest)
	}
	if running, err := exec.Command("pgrep", "-f", "storePathRootDir="+dir).Output(); dir == "" || err == nil {
		t.Errorf("processes of %q are still there: %s", dir, running)
	}
}

func TestAShortRunOfAGroupWithKillsAndPartitionsKeepsItsPromises(t *testing.T) {
	t.Parallel()
	out, err := chaos(t, "--topology", "group", "--duration", "3s", "--faults", "kill,transfer,partition,majority").CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("no promise was broken")) {
		t.Error(err)
	}
}

func TestAShortRunOfAMasterThatIsKilledAndItsSlavePromotedKeepsItsPromises(t *testing.T) {
	t.Parallel()
	out, err := chaos(t, "--topology", "master-slave", "--duration", "3s", "--faults", "kill-promote,switch,slave-away").CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("no promise was broken")) {
		t.Error(err)
	}
}

func TestASeedRepeatsThePlan(t *testing.T) {
	t.Parallel()
	for _, topology := range cluster.Topologies {
		samePlan(t, topology)
	}
}

func samePlan(t *testing.T, topology cluster.Topology) {
	plan := func(seed uint64) string {
		c, err := cluster.Open(cluster.Options{Dir: t.TempDir(), Topology: topology, Flush: syncFlush})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		r := &run{options: Options{Seed: seed, Flush: syncFlush}, kinds: kinds, cluster: c}
		var text []string
		for number := range uint32(40) {
			one, _, _ := r.draw(number)
			text = append(text, one)
		}
		return strings.Join(text, "\n")
	}
	if one, again, other := plan(1), plan(1), plan(2); one != again || one == other {
		t.Errorf("seed 1:\n%s\nagain:\n%s\nseed 2:\n%s", one, again, other)
	}
}

func TestOptionsThatMakeNoSenseAreRefusedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(o *Options){
		"use one of single":        func(o *Options) { o.Topology = "ring" },
		"SYNC_FLUSH or ASYNC":      func(o *Options) { o.Flush = "MAYBE" },
		"a time above zero":        func(o *Options) { o.Duration = 0 },
		"use 1 or more":            func(o *Options) { o.Rate = 0 },
		"kill, kill-twice, stop, ": func(o *Options) { o.Kinds = []string{"meteor"} },
	} {
		o := Options{Seed: 1, Duration: time.Second, Topology: "single", Rate: 1}
		if _, _, err := o.check(); err != nil || o.Flush == "" {
			t.Fatalf("%+v: %v", o, err)
		}
		spoil(&o)
		if _, _, err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func TestMissingMessagesAreThoseThatWereConfirmedAndNotReceived(t *testing.T) {
	t.Parallel()
	tr := newTraffic(nil, nil, nil, 1)
	m := func(n uint64) check.Message { return check.Message{Writer: 1, Number: n} }
	tr.settle(m(0), isConfirmed)
	tr.settle(m(1), isConfirmed)
	tr.settle(m(2), isReceived) // its send may never be confirmed
	tr.settle(m(3), isReceived)
	tr.settle(m(3), isConfirmed)
	tr.settle(m(0), isReceived)
	tr.settle(m(2), isReceived)
	if n := tr.missing(); n != 1 {
		t.Errorf("%d messages are missing, want 1", n)
	}
	tr.settle(m(1), isReceived)
	if n := tr.missing(); n != 0 {
		t.Errorf("%d messages are missing, want none", n)
	}
}
