package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// Set before the tests run.
var (
	apogee  string // path of the program under test
	workDir string // folder of what is built
)

func init() {
	flag.StringVar(&apogee, "apogee", "", "test this binary instead of building one")
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if err := waitSideBySide(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	rlog.SetLogger(silence{})
	primitive.PanicHandler = outlive
	var err error
	if workDir, err = os.MkdirTemp("", "apogee-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(workDir) }()
	if apogee == "" {
		apogee = filepath.Join(workDir, "apogee")
		if err := build(apogee); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	return m.Run()
}

// waitSideBySide lets more tests run at once than there are processors, as
// most of them wait most of the time, unless the command line says how many.
func waitSideBySide() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
}

// build makes the binary at path, never with the race detector: it is the
// program that users run.
func build(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/apogeemq/apogee/tools/apogee").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// outlive keeps the other tests going when the official client panics in a
// goroutine of its own: it does after an asynchronous send that took more than
// 3 s, having told its caller.
func outlive(cause any) { fmt.Fprintln(os.Stderr, "e2e: the official client panics:", cause) }

// silence takes the place of the official client's logger, which writes a lot.
type silence struct{}

func (silence) Debug(string, map[string]any)   {}
func (silence) Info(string, map[string]any)    {}
func (silence) Warning(string, map[string]any) {}
func (silence) Error(string, map[string]any)   {}
func (silence) Fatal(string, map[string]any)   {}
func (silence) Level(string)                   {}
func (silence) OutputPath(string) error        { return nil }
