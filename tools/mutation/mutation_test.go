package mutation

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	run   = flag.Bool("mutations", false, "apply the mutations and run the tests that must catch them")
	only  = flag.String("mutations.only", "", "a pattern of the names of those to apply")
	seeds = flag.String("mutations.seeds", "1000", "seeds that the crash tests may take")
)

const root = "../.."

func TestEveryMutationStandsInItsFileOnce(t *testing.T) {
	t.Parallel()
	for _, m := range List {
		b, err := os.ReadFile(filepath.Join(root, m.File))
		if err != nil {
			t.Error(err)
			continue
		}
		if n := strings.Count(string(b), m.Old); n != 1 {
			t.Errorf("%s: the code to replace stands %d times in %s", m.Name, n, m.File)
		}
	}
}

func TestEveryMutationIsCaught(t *testing.T) {
	if !*run {
		t.Skip("takes minutes: make mutations")
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyModule(t, dir)
	for _, m := range List {
		if !pattern.MatchString(m.Name) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) { catch(t, dir, m) })
	}
}

// copyModule copies what the tests need.
func copyModule(t *testing.T, dir string) {
	t.Helper()
	for _, part := range []string{"go.mod", "go.sum", "bench", "engine", "iouring", "replication", "server"} {
		if out, err := exec.Command("cp", "-r", filepath.Join(root, part), dir).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v\n%s", part, err, out)
		}
	}
}

// catch applies one mutation, runs its tests and puts the file back.
func catch(t *testing.T, dir string, m Mutation) {
	path := filepath.Join(dir, m.File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}()
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), m.Old, m.New, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	vet := exec.Command("go", "build", m.Test)
	vet.Dir = dir
	if out, err := vet.CombinedOutput(); err != nil {
		t.Fatalf("the mutated code doesn't build: %v\n%s", err, out)
	}
	arguments := []string{"test", "-failfast", "-count=1", "-timeout=120s", "-run=" + m.Run, m.Test}
	if seeded := seedFlags[m.Test]; seeded != "" {
		arguments = append(arguments, seeded+*seeds)
	}
	test := exec.Command("go", arguments...)
	test.Dir = dir
	out, err := test.CombinedOutput()
	failure := firstFailure(string(out))
	if err == nil || failure == "" {
		t.Errorf("not caught: %s\n%s", m.Name, out)
		return
	}
	t.Logf("caught by: %s", failure)
}

// seedFlags set how many seeds the crash tests of a package take, where it has such.
var seedFlags = map[string]string{commitlogTests: "-crash.seeds=", logStoreTests: "-cut.seeds="}

// firstFailure is the line that tells which test failed, empty where none did.
func firstFailure(out string) string {
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "--- FAIL") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
