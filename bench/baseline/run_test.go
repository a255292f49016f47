package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/due"
	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/floor"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/process"
)

// answering is the address of a server that answers every request, until the
// test ends.
func answering(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- floor.Serve(ctx, l, floor.Options{Mode: floor.Echo, Answers: floor.Each}, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// fakeRun is a runner whose servers are idle processes.
type fakeRun struct {
	runner
	t       *testing.T
	mu      sync.Mutex // readers run beside a paced load
	started []*instance
	starts  int
	loads   []string // "topic on server", in order
	fail    string   // the load that fails
}

func newFakeRun(t *testing.T, rowNames ...string) *fakeRun {
	t.Helper()
	address := answering(t)
	selected, err := selectRows(rowNames)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeRun{t: t}
	start := func(_ context.Context, i *instance, _ place) (time.Time, error) {
		if f.starts++; !slices.Contains(f.started, i) {
			f.started = append(f.started, i)
		}
		i.address = address
		return time.Now(), i.add("out", "sleep", "1000")
	}
	f.runner = runner{
		options: &Options{Logger: slog.New(slog.DiscardHandler), Settle: time.Second, Warmup: time.Second, Duration: time.Second, Port: 20900},
		rows:    selected, dir: t.TempDir(), load: f.takeLoad, paced: f.takePaced, due: f.takeDue,
		contenders: []contender{{RocketMQ, broker, start}, {Floor, answers, start}, {Apogee, broker, start}},
	}
	return f
}

// takePaced takes an open-loop load like any other.
func (f *fakeRun) takePaced(ctx context.Context, arguments []string) (*e2e.Sample, error) {
	r, err := f.takeLoad(ctx, arguments)
	if err != nil {
		return nil, err
	}
	return &e2e.Sample{PerSecond: r.MessagesPerSecond, Send: load.Latency{P999: 2}}, nil
}

// takeDue takes a load in which many messages become due.
func (f *fakeRun) takeDue(ctx context.Context, arguments []string) (*due.Results, error) {
	s, err := f.takePaced(ctx, arguments)
	if err != nil {
		return nil, err
	}
	return &due.Results{Seconds: 1.5, During: *s, Without: e2e.Sample{Send: load.Latency{P999: 0.5}}}, nil
}

// takeLoad notes a load and checks that no other server can run meanwhile.
func (f *fakeRun) takeLoad(_ context.Context, arguments []string) (*load.Result, error) {
	line := strings.Join(arguments, " ")
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.started {
		loaded := strings.HasSuffix(line, fmt.Sprintf("--pid %d", i.server().PID()))
		// A signal takes a moment to arrive.
		err := i.await(f.t.Context(), func(context.Context) error {
			if stopped := state(f.t, i) == "T"; stopped == loaded {
				return fmt.Errorf("%s: stopped %v during load %q", i.name, stopped, line)
			}
			return nil
		})
		if err != nil {
			f.t.Error(err)
		}
		if loaded {
			f.loads = append(f.loads, argument(arguments, "--topic")+" on "+i.name)
		}
	}
	if f.fail != "" && f.loads[len(f.loads)-1] == f.fail {
		return nil, errors.New("the load fails")
	}
	return &load.Result{MessagesPerSecond: float64(len(f.loads))}, nil
}

func argument(arguments []string, name string) string {
	for i, a := range arguments {
		if a == name {
			return arguments[i+1]
		}
	}
	return ""
}

// state is the letter of a process's state: T when it is stopped.
func state(t *testing.T, i *instance) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.server().PID()))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(stat))[2]
}

// checkEnded checks that nothing of a run is left.
func (f *fakeRun) checkEnded() {
	f.t.Helper()
	for _, i := range f.started {
		select {
		case <-i.server().Ended():
		default:
			f.t.Errorf("%s still runs", i.name)
		}
		if _, err := os.Stat(i.dir); !errors.Is(err, fs.ErrNotExist) {
			f.t.Errorf("data of %s is left: %v", i.name, err)
		}
	}
}

func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this system has no /proc")
	}
}

func TestServersTakeTurnsAndOnlyTheLoadedOneRuns(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "sync1", "sync64", "pull", "start")
	round, err := f.round(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"baseline-warmup on RocketMQ SYNC_FLUSH", "baseline-warmup on Apogee SYNC_FLUSH",
		"baseline-warmup on RocketMQ ASYNC_FLUSH", "baseline-warmup on Apogee ASYNC_FLUSH",
		"baseline-sync1 on RocketMQ SYNC_FLUSH", "baseline-sync1 on floor SYNC_FLUSH", "baseline-sync1 on Apogee SYNC_FLUSH",
		"baseline-sync64 on RocketMQ SYNC_FLUSH", "baseline-sync64 on floor SYNC_FLUSH", "baseline-sync64 on Apogee SYNC_FLUSH",
		"baseline-pull on RocketMQ ASYNC_FLUSH", "baseline-pull on RocketMQ ASYNC_FLUSH",
		"baseline-pull on Apogee ASYNC_FLUSH", "baseline-pull on Apogee ASYNC_FLUSH",
	}
	if !reflect.DeepEqual(f.loads, want) {
		t.Errorf("loads were\n%s", strings.Join(f.loads, "\n"))
	}
	if got := round["sync64"][Floor].Load.MessagesPerSecond; got != 9 {
		t.Errorf("the floor's row sync64 has the result of load %v", got)
	}
	if s := round["start"][Apogee].Start; s == nil || s.Seconds <= 0 || s.IdleBytes <= 0 {
		t.Errorf("start of Apogee: %+v", s)
	}
	if _, ok := round["start"][Floor]; ok {
		t.Error("the floor has a start row")
	}
	f.checkEnded()
}

func TestLargeAmountsAreMeasuredOnApogeeAlone(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "pullcold", "paced", "pacedcold", "queues8", "queues100k", "restart")
	round, err := f.round(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"baseline-warmup on Apogee SYNC_FLUSH", "baseline-backlog on Apogee SYNC_FLUSH", // written; then killed and started again
		"baseline-backlog on Apogee SYNC_FLUSH", "baseline-paced on Apogee SYNC_FLUSH",
		"baseline-backlog on Apogee SYNC_FLUSH", "baseline-paced on Apogee SYNC_FLUSH",
		"baseline-warmup on Apogee SYNC_FLUSH", "baseline-queues8 on Apogee SYNC_FLUSH", "baseline-queues100k on Apogee SYNC_FLUSH",
	}
	if !reflect.DeepEqual(f.loads, want) {
		t.Errorf("loads were\n%s", strings.Join(f.loads, "\n"))
	}
	if len(f.started) != 2 || f.starts != 3 {
		t.Errorf("%d starts of %d servers, want 2 servers, one of them twice", f.starts, len(f.started))
	}
	if s := round["restart"][Apogee].Start; s == nil || s.Seconds <= 0 {
		t.Errorf("start after the kill: %+v", s)
	}
	s := round["pacedcold"][Apogee]
	if tail, ok := s.value(P999); !ok || tail != 2 || s.Readers == nil {
		t.Errorf("sends beside readers: %+v", s)
	}
	f.checkEnded()
}

func TestWhatWaitsIsMeasuredOnBrokersAndLargeAmountsOnApogeeAlone(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "transactions", "delaylevel", "delaytime", "due", "pending", "pendingrestart")
	round, err := f.round(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"baseline-warmup on RocketMQ SYNC_FLUSH", "baseline-warmup on Apogee SYNC_FLUSH"}
	for _, name := range []string{"transactions", "delaylevel", "delaytime"} {
		want = append(want, "baseline-"+name+" on RocketMQ SYNC_FLUSH", "baseline-"+name+" on Apogee SYNC_FLUSH")
	}
	want = append(want, "baseline-warmup on Apogee SYNC_FLUSH", "baseline-due on Apogee SYNC_FLUSH", "baseline-pending on Apogee SYNC_FLUSH")
	if !reflect.DeepEqual(f.loads, want) {
		t.Errorf("loads were\n%s", strings.Join(f.loads, "\n"))
	}
	if len(f.started) != 3 || f.starts != 4 { // not the floor: it has no load
		t.Errorf("%d starts of %d servers, want one of 3 twice", f.starts, len(f.started))
	}
	if s := round["pendingrestart"][Apogee].Start; s == nil || s.Seconds <= 0 || s.IdleBytes <= 0 {
		t.Errorf("start with waiting messages: %+v", s)
	}
	s := round["due"][Apogee]
	for m, want := range map[Measure]float64{DueSeconds: 1.5, DueTail: 4, Early: 0, P999: 2} {
		if got, ok := s.value(m); !ok || got != want {
			t.Errorf("measure %d is %v, want %v", m, got, want)
		}
	}
	f.checkEnded()
}

func TestOnlyServersThatRowsNeedAreStarted(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "async64")
	if _, err := f.round(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if len(f.started) != 3 || f.started[0].name != "RocketMQ ASYNC_FLUSH" {
		t.Fatalf("started %d servers, first %s", len(f.started), f.started[0].name)
	}
}

func TestAFailedLoadEndsAllServers(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "sync1", "async1")
	f.fail = "baseline-sync1 on floor SYNC_FLUSH"
	if _, err := f.round(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "row sync1 on floor: the load fails") {
		t.Errorf("error %v", err)
	}
	f.checkEnded()
}

func TestAnInterruptedRunEndsAllServers(t *testing.T) {
	t.Parallel()
	needProc(t)
	f := newFakeRun(t, "sync1")
	ctx, cancel := context.WithCancel(t.Context())
	f.load = func(context.Context, []string) (*load.Result, error) {
		cancel()
		return nil, ctx.Err()
	}
	if _, err := f.round(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	f.checkEnded()
}

func TestAServerThatEndsAtOnceIsReportedWithItsOutput(t *testing.T) {
	t.Parallel()
	c := contender{name: Apogee, start: func(_ context.Context, i *instance, _ place) (time.Time, error) {
		i.address = "127.0.0.1:1"
		return time.Now(), i.add("out", "sh", "-c", "echo listenPort is taken; exit 3")
	}}
	i, err := c.open(t.Context(), place{dir: filepath.Join(t.TempDir(), "x")})
	if err == nil || !strings.Contains(err.Error(), "listenPort is taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	if err := i.resume(); err == nil {
		t.Error("a server that has ended was resumed")
	}
	if err := i.close(); err != nil {
		t.Error(err)
	}
}

func TestEndKillsWhatTheProcessHasStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Shell and sleeper hold the write end; reading ends when both are gone.
	p, err := process.Start(dir, "out", nil, "sh", "-c", "mkfifo pipe; exec 3<>pipe; sleep 1000 & echo started; wait")
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{processes: []*process.Process{p}}
	err = i.await(t.Context(), func(context.Context) error {
		output, err := os.ReadFile(filepath.Join(dir, "out"))
		if err == nil && len(output) == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := os.Open(filepath.Join(dir, "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := pipe.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v: the sleeper is alive", n, err)
	}
}

func TestALoadRunsInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	o := &Options{Self: script(t, `[ "$1 $2 $3" = "bench send --json" ] && echo '{"messages": 5}'`)}
	r, err := o.runSelf(t.Context(), []string{"bench", "send"})
	if err != nil || r.Messages != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	for text, want := range map[string]string{"echo no broker >&2; exit 1": "no broker", "echo oops": "read its result"} {
		o := &Options{Self: script(t, text)}
		if _, err := o.runSelf(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

// script writes an executable.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadRunOptionsAreRefused(t *testing.T) {
	t.Parallel()
	good := Options{BacklogBytes: backlogBytesMin, Pending: 1, Rounds: 1, Connections: 4, Duration: time.Second, Port: 20900, Servers: []string{"floor"}, Rows: []string{"sync1"}}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"rounds":      func(o *Options) { o.Rounds = 0 },
		"connections": func(o *Options) { o.Connections = 0 },
		"duration":    func(o *Options) { o.Duration = 0 },
		"port":        func(o *Options) { o.Port = 80 },
		"servers":     func(o *Options) { o.Servers = nil },
		"rows":        func(o *Options) { o.Rows = nil },
		"backlog":     func(o *Options) { o.BacklogBytes = 1 << 20 },
		"pending":     func(o *Options) { o.Pending = 0 },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	bad := good
	bad.Servers = []string{"kafka"}
	if _, err := Run(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), "allowed are rocketmq, floor, gathered, apogee, dledger, group and other") {
		t.Errorf("error %v", err)
	}
	bad = good
	bad.Rows = []string{"sync2"}
	if _, err := Run(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), "sync256") {
		t.Errorf("error %v", err)
	}
}
