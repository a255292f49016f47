package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/check"
)

const (
	// warmUp is how long a producer sends before it is measured: until it has
	// compiled what it needs and knows its brokers.
	warmUp = 3 * time.Second
	// strikeFrom is the earliest moment of a strike, strikeWithin the length of
	// the client's poll for routes, of which each moment is as likely.
	strikeFrom, strikeWithin = 5 * time.Second, 30 * time.Second
	lengthMin                = 15 * time.Second
)

// once does one run.
func (o *FailoverOptions) once(ctx context.Context, row failoverRow, random *rand.Rand) (run FailoverRun, err error) {
	dir, err := os.MkdirTemp(o.Dir, "apogee-failover-")
	if err != nil {
		return run, err
	}
	defer func() {
		switch {
		case err != nil:
			err = fmt.Errorf("%w; data and logs are in %s", err, dir)
		case run.Broken != "":
			run.Broken += "data and logs: " + dir
		case !o.Keep:
			err = os.RemoveAll(dir)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Length+extraTime, errors.New("the run takes too long"))
	defer cancel()
	path := filepath.Join(dir, "history")
	file, err := os.Create(path)
	if err != nil {
		return run, err
	}
	defer file.Close()
	began := time.Now()
	recorder := check.NewRecorder(file, func() time.Duration { return time.Since(began) })
	topology, err := cluster.TopologyNamed(row.topology)
	if err != nil {
		return run, err
	}
	c, err := cluster.Open(cluster.Options{Dir: dir, Binary: o.Binary, Topology: topology, Flush: syncFlush, Plain: true, Died: func(node int, cause error) {
		recorder.Record(check.Event{Kind: check.Broken, Text: fmt.Sprintf("node %d: %v", node, cause)})
	}})
	if err != nil {
		return run, err
	}
	run, err = o.suffer(ctx, row, c, recorder, dir, random)
	if err = errors.Join(err, c.Close(), recorder.Close()); err != nil {
		return run, err
	}
	v, err := check.Judge(check.Open(func() (io.ReadCloser, error) { return os.Open(path) }), check.Rules{})
	if err != nil {
		return run, err
	}
	if failed := v.Err(); failed != nil {
		run.Broken = strings.TrimSpace(failed.Error()) + "\n"
	}
	for _, s := range v.Sources {
		if s.Name == measuredSource {
			run.Gap, run.Confirmed = s.Longest.Length(), s.Statuses[check.OK]
		}
	}
	if run.Confirmed == 0 {
		return run, errors.New("no send was confirmed after the warm-up")
	}
	return run, nil
}

// The names of what a producer sends before it is measured, and after that.
const (
	warmUpSource   = "warm-up"
	measuredSource = "producer"
)

// suffer runs load and strike, and reads back what is stored.
func (o *FailoverOptions) suffer(ctx context.Context, row failoverRow, c *cluster.Cluster, recorder *check.Recorder, home string, random *rand.Rand) (FailoverRun, error) {
	run := FailoverRun{Row: row.name}
	if err := c.Start(ctx, func() (cluster.Medium, uint64) { return cluster.Best, 0 }); err != nil {
		return run, err
	}
	sites, err := makeTopic(ctx, c)
	if err != nil {
		return run, err
	}
	t := newTraffic(recorder, c.Nameservers(), sites, o.Rate)
	warm, measured := &source{traffic: t, name: warmUpSource}, &source{traffic: t, name: measuredSource}
	p := paced{traffic: t, warm: warm.writer(officialTries, false), measured: measured.writer(officialTries, false), rate: o.Rate}
	load, endLoad := context.WithCancel(ctx)
	defer endLoad()
	var client errgroup.Group
	client.Go(func() error {
		if row.java {
			return p.java(load, o.classes, home, row.poll)
		}
		return p.official(load)
	})
	for warm.confirmed.Load() == 0 && pause(ctx, pollTime) { // a virtual machine takes its time to start
	}
	started := time.Now()
	run.Phase = between(random, strikeFrom, min(strikeFrom+strikeWithin, o.Length-lengthMin/2))
	pause(ctx, run.Phase)
	if measured.confirmed.Load() == 0 {
		err = errors.New("the producer has confirmed nothing before the strike")
	} else {
		recorder.Record(check.Event{Kind: check.FaultBegan, Fault: 1, Text: row.title})
		run.Struck, err = row.strike(ctx, c, random)
	}
	if err == nil {
		pause(ctx, time.Until(started.Add(o.Length)))
	}
	recorder.Record(check.Event{Kind: check.LoadEnded})
	endLoad()
	if err = errors.Join(err, client.Wait(), context.Cause(ctx)); err != nil {
		return run, err
	}
	return run, readConfirmed(ctx, c, t)
}

// readConfirmed reads back what clients may read.
func readConfirmed(ctx context.Context, c *cluster.Cluster, t *traffic) error {
	for _, site := range t.sites {
		leader, err := c.Leader(ctx, site.number)
		if err == nil {
			err = t.readBack(ctx, site, asClientsRead, leader.Direct(site.number))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
