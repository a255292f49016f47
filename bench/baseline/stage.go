package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/apogeemq/apogee/bench/due"
	"github.com/apogeemq/apogee/bench/e2e"
	"golang.org/x/sync/errgroup"
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
		err = r.fillBacklog(ctx, i)
	}
	return i, err
}

// fillBacklog writes the backlog and starts the server again.
func (r *runner) fillBacklog(ctx context.Context, i *instance) error {
	if err := i.resume(); err != nil {
		return err
	}
	r.options.Logger.Info("write the backlog", "server", i.name, "bytes", r.options.BacklogBytes)
	if _, err := r.load(ctx, addressed(r.options.backlogArguments(), i)); err != nil {
		return fmt.Errorf("write the backlog: %w", err)
	}
	return errors.Join(r.restart(ctx, i), i.pause())
}

func (r *runner) restart(ctx context.Context, i *instance) error {
	err := i.restart(ctx, r.options.Rest)
	r.options.Logger.Info("started again", "server", i.name, "seconds", i.restartTime.Seconds(), "residentMB", i.idleMemory.Resident/megabyte)
	return err
}

// sampleDue runs the load in which many messages become due at once.
func (r *runner) sampleDue(ctx context.Context, row *row, i *instance) (s Sample, err error) {
	s.Due, err = r.due(ctx, addressed(r.options.arguments(row), i))
	if err == nil {
		s.Paced = &s.Due.During
	}
	return s, err
}

// runDue runs that load in a process of its own.
func (o *Options) runDue(ctx context.Context, arguments []string) (*due.Results, error) {
	output, err := o.output(ctx, arguments)
	if err != nil {
		return nil, err
	}
	result := &due.Results{}
	if err := json.Unmarshal(output, result); err != nil {
		return nil, fmt.Errorf("run load %v: read its result: %w", arguments, err)
	}
	return result, nil
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
