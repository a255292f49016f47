package load

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

// Arrivals counts the messages in the queues of a topic, by asking the broker
// where each one ends. Messages that waited are in them when they are
// delivered.
type Arrivals struct {
	control *control
	topic   string
	queues  int
}

// OpenArrivals connects to a broker. The topic has to exist.
func OpenArrivals(ctx context.Context, self access.Client, address, topic string, queues int) (*Arrivals, error) {
	c, err := dialControl(ctx, self, address, frame.JSON)
	if err != nil {
		return nil, err
	}
	return &Arrivals{control: c, topic: topic, queues: queues}, nil
}

// Close closes the connection.
func (a *Arrivals) Close() { a.control.close() }

// Count is how many messages the queues have got so far.
func (a *Arrivals) Count(ctx context.Context) (int64, error) {
	var sum atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for queue := range a.queues {
		group.Go(func() error {
			end, err := a.control.bound(ctx, remoting.RequestGetMaxOffset, a.topic, queue)
			sum.Add(end)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("count what has arrived: %w", err)
	}
	return sum.Load(), nil
}

// arrivals are counted at the two ends of a window. Each time over a connection
// of its own, as brokers close those over which nothing went for some minutes.
type arrivals struct {
	self           access.Client
	address, topic string
	queues         int
	before         int64 // the load
}

// countArrivals counts what is there before a load.
func countArrivals(ctx context.Context, o *SendOptions) (*arrivals, error) {
	a := &arrivals{self: o.Self, address: o.Address, topic: o.Topic, queues: o.Queues}
	var err error
	a.before, err = a.count(ctx)
	return a, err
}

// countAtStart counts where the window begins; without a warm-up that is where
// the load does.
func (a *arrivals) countAtStart(ctx context.Context, w *window) (int64, error) {
	if a != nil && w.from == 0 {
		return a.before, nil
	}
	return a.count(ctx)
}

// count is 0 where nothing is to be counted.
func (a *arrivals) count(ctx context.Context) (int64, error) {
	if a == nil {
		return 0, nil
	}
	open, err := OpenArrivals(ctx, a.self, a.address, a.topic, a.queues)
	if err != nil {
		return 0, err
	}
	defer open.Close()
	return open.Count(ctx)
}
