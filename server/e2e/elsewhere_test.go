package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The official client has data races of its own: a consumer's list of topics
// is read by its heartbeat while a rebalance writes it. The race detector
// would report those as faults of ours. So under the race detector a test that
// uses the client runs in another process, without the detector; the tests
// that use our own client stay.

// unchecked builds this package's tests without the race detector, once.
var unchecked = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	path := filepath.Join(workDir, "e2e.test")
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-race=false", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the tests without the race detector: %w\n%s", err, out)
	}
	return path, nil
})

// ranElsewhere runs the calling test in another process where the race
// detector asks for that, and reports whether it did.
func ranElsewhere(t *testing.T) bool {
	t.Helper()
	if !raceDetector {
		return false
	}
	path, err := unchecked()
	if err != nil {
		t.Fatal(err)
	}
	runIn(t, path)
	return true
}

// localOffsets is the environment variable by which the official client finds
// the folder for the offsets of broadcasting consumers. It reads it as it is
// loaded.
const localOffsets = "rocketmq.client.localOffsetStoreDir"

// ranWithLocalOffsets runs the calling test in another process whose official
// client keeps offsets in a folder of the test's, and reports whether it did.
func ranWithLocalOffsets(t *testing.T) bool {
	t.Helper()
	if os.Getenv(localOffsets) != "" {
		return false
	}
	path, err := os.Executable()
	if raceDetector {
		path, err = unchecked()
	}
	if err != nil {
		t.Fatal(err)
	}
	runIn(t, path, localOffsets+"="+t.TempDir())
	return true
}

// runIn runs the calling test in a process of a test binary.
func runIn(t *testing.T, path string, environment ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, path, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=50s",
		"-apogee="+apogee, fmt.Sprint("-kill.seed=", *killSeed))
	command.Env = append(os.Environ(), environment...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("in another process: %v\n%s", err, out)
	}
}
