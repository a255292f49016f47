package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/access"
)

// joining is one run.
type joining struct {
	options *JoinOptions
	dir     string
	cluster *cluster.Cluster
	leader  *cluster.Node
	node    *cluster.Node // that joins
	deaths  chan error    // of processes that nobody ended
	result  JoinResult
}

const (
	fillTopic, pacedTopic = "join-filled", "join-paced"
	joinQueues            = 8
	fillTime              = time.Hour
	restMax               = 20 * time.Second
)

func (o *JoinOptions) begin() (*joining, error) {
	topology, err := cluster.TopologyNamed("group")
	if err != nil {
		return nil, err
	}
	j := &joining{options: o, deaths: make(chan error, 16), result: JoinResult{Started: time.Now(), Machine: load.DescribeMachine(), Rate: o.Rate}}
	if j.dir, err = os.MkdirTemp(o.Dir, "apogee-join-"); err != nil {
		return nil, err
	}
	// As servers are set by default, where fault runs set them otherwise.
	settings := append([]string{"mappedFileSizeCommitLog=1073741824", "maxMessageSize=4194304"}, o.Settings...)
	j.cluster, err = cluster.Open(cluster.Options{Dir: j.dir, Binary: o.Binary, Topology: topology, Flush: syncFlush, Plain: true, Settings: settings,
		Died: func(node int, cause error) { j.deaths <- fmt.Errorf("node %d: %w", node, cause) }})
	return j, err
}

func (j *joining) remove() error { return os.RemoveAll(j.dir) }

// died is how a process ended that nobody ended.
func (j *joining) died() error {
	select {
	case err := <-j.deaths:
		return err
	default:
		return nil
	}
}

func (j *joining) run(ctx context.Context) error {
	err := j.cluster.Start(ctx, func() (cluster.Medium, uint64) { return cluster.Best, 0 })
	if err == nil {
		j.leader, err = j.cluster.Leader(ctx, 0)
	}
	if err == nil {
		j.node = j.cluster.Nodes()[(j.leader.Index()+1)%len(j.cluster.Nodes())]
		err = j.fill(ctx)
	}
	if err == nil {
		j.result.Before, err = j.paced(ctx, j.options.Before, nil)
	}
	if err == nil {
		err = j.joinUnderLoad(ctx)
	}
	if err == nil {
		err = j.restart(ctx)
	}
	if err == nil {
		err = j.readAll(ctx)
	}
	return err
}

func (j *joining) address() string { return j.leader.Direct(0) }

// fill stores the messages that the node will lack.
func (j *joining) fill(ctx context.Context) error {
	o := j.options
	n := o.MiB << 20 / int64(o.Size)
	o.tell("node %d leads; %d messages are stored first", j.leader.Index(), n)
	r, err := load.Send(ctx, load.SendOptions{
		Target: load.Target{Address: j.address(), Connections: min(4, o.InFlight), Topic: fillTopic, Queues: joinQueues, Duration: fillTime},
		Size:   o.Size, Batch: o.Batch, InFlight: o.InFlight, Topics: 1, Messages: n, Producers: "join"})
	if err != nil {
		return err
	}
	if r.Errors > 0 {
		return fmt.Errorf("fill the group: %d sends failed: %v", r.Errors, r.Statuses)
	}
	j.result.Filled, j.result.Filling = r.Messages, r.Seconds
	o.tell("that took %.1f s", r.Seconds)
	return nil
}

// paced sends at the rate and receives, until enough is closed or the time is over.
func (j *joining) paced(ctx context.Context, length time.Duration, enough <-chan struct{}) (*e2e.Sample, error) {
	r, err := e2e.Run(ctx, e2e.Options{Address: j.address(), Topic: pacedTopic, Queues: joinQueues, Rates: []int{j.options.Rate}, Size: j.options.Size,
		Producers: 4, Consumers: 2, Warmup: warmUp, Duration: length, Rest: restMax, Group: "join", Enough: enough})
	if err != nil {
		return nil, err
	}
	return &r.Samples[0], nil
}

// joinUnderLoad loses the node and gets it back, empty, while messages are sent.
func (j *joining) joinUnderLoad(ctx context.Context) error {
	err := errors.Join(j.node.Kill(), j.cluster.Remove(ctx, 0, j.node), j.node.Empty())
	if err != nil {
		return err
	}
	enough := make(chan struct{})
	var sending errgroup.Group
	sending.Go(func() (err error) {
		j.result.During, err = j.paced(ctx, j.options.Limit+warmUp, enough)
		return err
	})
	pause(ctx, 2*warmUp)
	began := time.Now()
	if err = j.node.Launch(cluster.Best, 0); err == nil {
		err = j.cluster.AddWithin(ctx, 0, j.node, j.options.Limit)
	}
	j.result.Joined = time.Since(began).Seconds()
	close(enough)
	if err = errors.Join(err, sending.Wait()); err != nil {
		return err
	}
	v, err := j.leader.View(ctx, 0)
	for _, m := range v.Members {
		j.result.Frames = max(j.result.Frames, m.Match)
	}
	j.options.tell("node %d has joined in %.1f s", j.node.Index(), j.result.Joined)
	return err
}

// restart kills the node and starts it again.
func (j *joining) restart(ctx context.Context) error {
	if err := errors.Join(j.cluster.AwaitWhole(ctx, 0), j.node.Kill()); err != nil {
		return err
	}
	began := time.Now()
	err := j.node.Launch(cluster.Best, 0)
	if err == nil {
		err = j.node.AwaitReady(ctx)
	}
	if err != nil {
		return err
	}
	j.result.Ready = time.Since(began).Seconds()
	err = j.cluster.AwaitWhole(ctx, 0)
	j.result.Whole = time.Since(began).Seconds()
	if err != nil {
		return err
	}
	traffic, err := load.ReadDisk(j.node.PID())
	j.result.Read = traffic.Read
	return err
}

// readAll counts what the leader has, and reads it from the node, which is alone
// then.
func (j *joining) readAll(ctx context.Context) error {
	for _, topic := range []string{fillTopic, pacedTopic} {
		a, err := load.OpenArrivals(ctx, access.Client{}, j.address(), topic, joinQueues)
		if err != nil {
			return err
		}
		n, err := a.Count(ctx)
		a.Close()
		if err != nil {
			return err
		}
		j.result.Stored += n
	}
	// The node has the whole log; what is read from it must be applied as well.
	if err := j.cluster.Compare(ctx); err != nil {
		return err
	}
	for _, n := range j.cluster.Nodes() {
		if n != j.node {
			if err := n.Kill(); err != nil {
				return err
			}
		}
	}
	if err := j.cluster.AwaitAlone(ctx, j.node, 0); err != nil {
		return err
	}
	j.options.tell("node %d is alone; all is read from it", j.node.Index())
	for _, topic := range []string{fillTopic, pacedTopic} {
		r, err := load.Pull(ctx, load.PullOptions{
			Target:    load.Target{Address: j.node.Direct(0), Connections: 2, Topic: topic, Queues: joinQueues, Duration: fillTime},
			Consumers: joinQueues, Count: 32, Reading: load.ReadOnce, Group: "join"})
		if err != nil {
			return err
		}
		j.result.Found += r.Messages
	}
	return nil
}
