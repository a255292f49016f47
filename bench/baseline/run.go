package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/bench/due"
	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/rocketmq"
)

// Options of a run.
type Options struct {
	Self           string   // this binary: load generator and floor
	Apogee         string   // the binary to measure
	Other          string   // another build of it, to compare with
	ApogeeSettings []string // more key=value for its server
	Servers        []string // rocketmq, floor, gathered, apogee, other; in the order of measuring
	Rows           []string
	Rounds         int
	Connections    int           // of each load
	Warmup         time.Duration // of each load, not measured
	Duration       time.Duration // of each load, measured
	Settle         time.Duration // load on a fresh server before the first row
	Rest           time.Duration // of a fresh server before its memory is read
	Heap           string        // of RocketMQ's broker, as -Xmx takes it
	Cache          string        // where RocketMQ's jars are kept
	BacklogBytes   int64         // of the backlog for cold reads and the start after kill -9
	Pending        int64         // messages that wait at once
	Dir            string        // where data goes, in a directory of the run's own
	Port           int           // the first of the ports that are used
	Logger         *slog.Logger

	jars string
}

func (o *Options) check() error {
	switch {
	case o.Rounds < 1:
		return fmt.Errorf("run baseline: %d rounds, at least 1 is needed", o.Rounds)
	case o.Connections < 1:
		return fmt.Errorf("run baseline: %d connections, at least 1 is needed", o.Connections)
	case o.Duration <= 0 || o.Warmup < 0 || o.Settle < 0 || o.Rest < 0:
		return errors.New("run baseline: the duration must be above zero, and no other time below")
	case o.Port < 1024 || o.Port > 60000:
		return fmt.Errorf("run baseline: port %d: allowed are 1024 to 60000", o.Port)
	case o.BacklogBytes < backlogBytesMin:
		return fmt.Errorf("run baseline: a backlog of %d bytes: at least %d are needed, several times what caches hold", o.BacklogBytes, backlogBytesMin)
	case o.Pending < 1:
		return fmt.Errorf("run baseline: %d messages that wait: at least 1 is needed", o.Pending)
	case len(o.Servers) == 0 || len(o.Rows) == 0:
		return errors.New("run baseline: at least one server and one row are needed")
	}
	return nil
}

// backlogBytesMin keeps the backlog larger than read cache and tail together.
const backlogBytesMin = 512 << 20

// loader runs one load with these arguments and returns its result.
type loader func(ctx context.Context, arguments []string) (*load.Result, error)

// pacer does the same for an open-loop load.
type pacer func(ctx context.Context, arguments []string) (*e2e.Sample, error)

// runner is a run in progress.
type runner struct {
	options    *Options
	rows       []row
	contenders []contender
	dir        string
	load       loader
	paced      pacer
	due        func(ctx context.Context, arguments []string) (*due.Results, error)
}

// Run measures all rows on all servers. It ends what it has started, however
// it ends.
func Run(ctx context.Context, o *Options) (results *Results, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &runner{options: o, load: o.runSelf, paced: o.runPaced, due: o.runDue}
	if r.rows, err = selectRows(o.Rows); err != nil {
		return nil, err
	}
	for _, name := range o.Servers {
		c, err := newContender(name, o)
		if err != nil {
			return nil, err
		}
		r.contenders = append(r.contenders, c)
	}
	results = &Results{Started: time.Now(), Machine: load.DescribeMachine(), Settings: o.settings(), Commands: r.commands()}
	if err := r.prepare(ctx, results); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp(o.Dir, "baseline-"); err != nil {
		return nil, fmt.Errorf("run baseline: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return nil, fmt.Errorf("run baseline: %w", err)
	}
	for i := range o.Rounds {
		round, err := r.round(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("round %d of %d: %w", i+1, o.Rounds, err)
		}
		results.Rounds = append(results.Rounds, round)
	}
	return results, nil
}

// prepare gets what the contenders need, and notes their versions.
func (r *runner) prepare(ctx context.Context, results *Results) error {
	o := r.options
	for _, row := range r.rows {
		results.Rows = append(results.Rows, row.name)
	}
	for _, c := range r.contenders {
		results.Servers = append(results.Servers, c.name)
		switch c.name {
		case RocketMQ:
			java, err := rocketmq.JavaVersion(ctx)
			if err != nil {
				return err
			}
			if o.jars, err = rocketmq.Fetch(ctx, o.Cache); err != nil {
				return err
			}
			results.Software = append(results.Software, fmt.Sprintf("Apache RocketMQ %s with its defaults but for flushDiskType, %s heap, G1, %s", rocketmq.Version, o.Heap, java))
		case DLedger:
			if o.jars == "" {
				jars, err := rocketmq.Fetch(ctx, o.Cache)
				if err != nil {
					return err
				}
				o.jars = jars
			}
			results.Software = append(results.Software, fmt.Sprintf("Apache RocketMQ %s as a DLedger group of three with its defaults, %s heap each", rocketmq.Version, o.Heap))
		case Group:
			results.Software = append(results.Software, "Apogee as a group of three, each message durable on two, "+revision(o.Apogee))
		case Apogee:
			if _, err := os.Stat(o.Apogee); err != nil {
				return fmt.Errorf("run baseline: %w: build Apogee first, or leave apogee out of --servers", err)
			}
			results.Software = append(results.Software, "Apogee "+revision(o.Apogee))
		case Other:
			if _, err := os.Stat(o.Other); err != nil {
				return fmt.Errorf("run baseline: %w: name the binary with --other, or leave other out of --servers", err)
			}
			results.Software = append(results.Software, "The other build of Apogee: "+revision(o.Other))
		}
	}
	return os.MkdirAll(o.Dir, 0o755)
}

// round runs all rows once on fresh servers.
func (r *runner) round(ctx context.Context, number int) (round Round, err error) {
	instances := map[string]*instance{}
	defer func() {
		for _, i := range instances {
			err = errors.Join(err, i.close())
		}
	}()
	port := r.options.Port
	for _, flush := range []Flush{SyncFlush, AsyncFlush} {
		for at := range r.contenders {
			c := &r.contenders[at]
			if !r.needs(c, flush) {
				continue
			}
			i, err := r.open(ctx, c, place{dir: filepath.Join(r.dir, folder(c.name+"-"+string(flush))), port: port, flush: flush})
			if i != nil {
				instances[c.name+string(flush)] = i
			}
			if err != nil {
				return nil, err
			}
			port += portsEach
		}
	}
	return r.measure(ctx, number, instances)
}

// folder is a name without what means something in a setting: both brokers
// take a path with a comma for two.
func folder(name string) string {
	return strings.NewReplacer(", ", "-", " ", "-").Replace(name)
}

// measure runs each row on all servers before the next row.
func (r *runner) measure(ctx context.Context, number int, instances map[string]*instance) (Round, error) {
	round := Round{}
	for at := range r.rows {
		row := &r.rows[at]
		round[row.name] = map[string]Sample{}
		for _, c := range r.contenders {
			if !c.takes(row) {
				continue
			}
			r.options.Logger.Info("measure", "round", number+1, "of", r.options.Rounds, "row", row.name, "server", c.name)
			i, err := instances[c.name+string(row.flush)], error(nil)
			if row.alone != "" {
				i, err = r.enter(ctx, &c, row, instances)
			}
			var sample Sample
			if err == nil {
				sample, err = r.sample(ctx, row, i)
			}
			if err != nil {
				return nil, fmt.Errorf("row %s on %s: %w", row.name, c.name, err)
			}
			round[row.name][c.name] = sample
		}
	}
	return round, nil
}

// needs tells whether a row is measured on a contender with that flush, on no
// server of the row's own.
func (r *runner) needs(c *contender, flush Flush) bool {
	for at := range r.rows {
		if row := &r.rows[at]; row.flush == flush && row.alone == "" && c.takes(row) {
			return true
		}
	}
	return false
}

// open starts a server, lets it rest and warm up, and pauses it.
func (r *runner) open(ctx context.Context, c *contender, at place) (*instance, error) {
	unix.Sync()
	i, err := c.open(ctx, at)
	if err != nil {
		return i, err
	}
	if err := i.idle(ctx, r.options.Rest); err != nil {
		return i, err
	}
	r.options.Logger.Info("started", "server", i.name, "seconds", i.startTime.Seconds(), "residentMB", i.idleMemory.Resident/megabyte)
	if c.sort != answers && r.options.Settle > 0 {
		if _, err := r.load(ctx, addressed(r.options.warmUpArguments(), i)); err != nil {
			return i, fmt.Errorf("warm up %s: %w", i.name, err)
		}
	}
	return i, i.pause()
}

// addressed adds to a load's arguments whom it goes to.
func addressed(arguments []string, i *instance) []string {
	return append(arguments, "--addr", i.address, "--pid", strconv.Itoa(i.server().PID()))
}

// sample runs one row on one server, which runs only meanwhile.
func (r *runner) sample(ctx context.Context, row *row, i *instance) (s Sample, err error) {
	if row.kind == startRow {
		return Sample{Start: &Start{Seconds: i.startTime.Seconds(), IdleBytes: i.idleMemory.Resident}}, nil
	}
	if row.kind == pendingRestartRow {
		if err := errors.Join(i.resume(), r.restart(ctx, i), i.pause()); err != nil {
			return s, err
		}
	}
	if row.kind == restartRow || row.kind == pendingRestartRow {
		return Sample{Start: &Start{Seconds: i.restartTime.Seconds(), IdleBytes: i.idleMemory.Resident}}, nil
	}
	unix.Sync()
	if err := i.wake(ctx); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, i.pause()) }()
	switch row.kind {
	case pacedRow, pacedColdRow:
		return r.samplePaced(ctx, row, i)
	case dueRow:
		return r.sampleDue(ctx, row, i)
	case pullRow:
		if _, err := r.load(ctx, addressed(r.options.fillArguments(), i)); err != nil {
			return s, fmt.Errorf("fill the topic to pull from: %w", err)
		}
	}
	arguments := r.options.arguments(row)
	if row.alone == queuesStage {
		arguments = append(arguments, "--namesrv", i.nameserver)
	}
	s.Load, err = r.load(ctx, addressed(arguments, i))
	return s, err
}

// runSelf runs a load in a process of its own.
func (o *Options) runSelf(ctx context.Context, arguments []string) (*load.Result, error) {
	output, err := o.output(ctx, arguments)
	if err != nil {
		return nil, err
	}
	result := &load.Result{}
	if err := json.Unmarshal(output, result); err != nil {
		return nil, fmt.Errorf("run load %v: read its result: %w", arguments, err)
	}
	return result, nil
}

// output is what this binary prints with these arguments.
func (o *Options) output(ctx context.Context, arguments []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, o.Self, append(arguments, "--json")...)
	output, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("run load %v: %w: %s", arguments, errors.Join(ctx.Err(), err), exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("run load %v: %w", arguments, err)
	}
	return output, nil
}
