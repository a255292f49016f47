package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/bench/e2e"
)

// enter returns the server of a stage; the first row of it starts the server.
func (r *runner) enter(ctx context.Context, c *contender, row *row, instances map[string]*instance) (*instance, error) {
	key := c.name + string(row.alone)
	if i := instances[key]; i != nil {
		return i, nil
	}
	port := r.options.Port + portsEach*(2*len(r.contenders)+len(instances))
	i, err := r.open(ctx, c, place{dir: filepath.Join(r.dir, key), port: port, flush: SyncFlush})
	if i != nil {
		instances[key] = i
	}
	if err == nil && row.alone == backlogStage {
		err = r.fillBacklog(ctx, c, i, port)
	}
	return i, err
}

// fillBacklog writes the backlog, kills the server and starts it again: after
// that nothing of the backlog is in its memory.
func (r *runner) fillBacklog(ctx context.Context, c *contender, i *instance, port int) (err error) {
	if err := i.resume(); err != nil {
		return err
	}
	r.options.Logger.Info("write the backlog", "server", i.name, "bytes", r.options.BacklogBytes)
	if _, err := r.load(ctx, addressed(r.options.backlogArguments(), i)); err != nil {
		return fmt.Errorf("write the backlog: %w", err)
	}
	if err := i.server().end(); err != nil {
		return err
	}
	i.processes = i.processes[:len(i.processes)-1]
	unix.Sync()
	began, err := c.start(ctx, i, place{dir: i.dir, port: port, flush: SyncFlush})
	if err != nil {
		return err
	}
	if err := i.awaitService(ctx, began); err != nil {
		return err
	}
	i.restartTime = i.startTime
	r.options.Logger.Info("started again", "server", i.name, "seconds", i.restartTime.Seconds())
	if err := i.idle(ctx, r.options.Rest); err != nil {
		return err
	}
	return i.pause()
}

// samplePaced runs the open-loop load, alone or beside readers of the backlog.
func (r *runner) samplePaced(ctx context.Context, row *row, i *instance) (s Sample, err error) {
	var beside errgroup.Group
	if row.kind == pacedColdRow {
		arguments := addressed(r.options.readBacklogArguments(), i)
		beside.Go(func() error {
			var err error
			s.Readers, err = r.load(ctx, arguments)
			return err
		})
		if err := sleep(ctx, readersAhead/4); err != nil {
			return s, errors.Join(err, beside.Wait())
		}
	}
	paced, err := r.paced(ctx, addressed(r.options.arguments(row), i))
	err = errors.Join(err, beside.Wait())
	s.Paced = paced
	return s, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// runPaced runs an open-loop load in a process of its own.
func (o *Options) runPaced(ctx context.Context, arguments []string) (*e2e.Sample, error) {
	output, err := o.output(ctx, arguments)
	if err != nil {
		return nil, err
	}
	result := &e2e.Results{}
	if err := json.Unmarshal(output, result); err != nil {
		return nil, fmt.Errorf("run load %v: read its result: %w", arguments, err)
	}
	if len(result.Samples) != 1 {
		return nil, fmt.Errorf("run load %v: %d samples instead of one", arguments, len(result.Samples))
	}
	return &result.Samples[0], nil
}
