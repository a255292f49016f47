package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	controlsInFlight = 64 // admin requests before a load
	// routeInterval is how often a RocketMQ client asks for the route of each
	// of its topics.
	routeInterval = 30 * time.Second
	routeRetry    = 20 * time.Millisecond
	routeTimeout  = 2 * time.Minute
)

// routes asks a nameserver for the routes of all topics of a load: until all
// are there, and then, while the load runs, each once in routeInterval.
type routes struct {
	control *control
	topics  []string
	queues  int
	asked   int64
}

func openRoutes(ctx context.Context, o *SendOptions) (*routes, error) {
	c, err := dialControl(ctx, o.Self, o.Nameserver, o.Serialization)
	if err != nil {
		return nil, err
	}
	return &routes{control: c, topics: o.topicNames(), queues: o.Queues}, nil
}

var errNoRoute = errors.New("the route does not have the queues yet")

// ask asks for one route.
func (r *routes) ask(ctx context.Context, topic string) error {
	reply, err := r.control.call(ctx, &remoting.Request{Code: remoting.RequestGetRouteInfoByTopic,
		Header: []remoting.TextField{{Key: "topic", Value: topic}, {Key: "acceptStandardJsonOnly", Value: "true"}}})
	if err != nil {
		return fmt.Errorf("route of topic %q: %w", topic, err)
	}
	if !strings.Contains(string(reply.Body), `"writeQueueNums":`+strconv.Itoa(r.queues)) {
		return fmt.Errorf("route of topic %q: %w: %.200s", topic, errNoRoute, reply.Body)
	}
	return nil
}

// await returns when the nameserver has the routes of all topics.
func (r *routes) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(controlsInFlight)
	for _, topic := range r.topics {
		group.Go(func() error {
			for {
				err := r.ask(ctx, topic)
				if err == nil {
					return nil
				}
				if pause(ctx, routeRetry); ctx.Err() != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// run asks for the routes one after the other until the context ends. A
// nameserver that does not answer fails the load.
func (r *routes) run(ctx context.Context) error {
	ticker := time.NewTicker(max(routeInterval/time.Duration(len(r.topics)), time.Millisecond))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := r.ask(ctx, r.topics[i%len(r.topics)]); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		r.asked++
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
