package e2e

import (
	"context"
	"fmt"
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=50s",
		"-apogee="+apogee, fmt.Sprint("-kill.seed=", *killSeed)).CombinedOutput()
	if err != nil {
		t.Fatalf("without the race detector: %v\n%s", err, out)
	}
	return true
}
