package clustertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// sums are what nodes have said of their states, by the frame after which it
// was.
type sums struct {
	mu       sync.Mutex
	first    map[event.Index]engine.Sum
	compared int // sums that were held against another node's
}

// take holds a node's sum against what another has said.
func (s *sums) take(node string, got engine.Sum) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	want, known := s.first[got.Index]
	if !known {
		s.first[got.Index] = got
		return nil
	}
	s.compared++
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("after frame %d the state of %s is %+v, another has said %+v", got.Index, node, got, want)
	}
	return nil
}

// Sums are asked for so often, of a frame so far ahead.
const (
	sumPeriod = 100 * time.Millisecond
	sumAhead  = 5
)

// sumUp has all nodes sum up their states after the same frames, while they
// work, until the returned function is called.
func (c *Cluster) sumUp() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(sumPeriod)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			at := c.ledger.end() + sumAhead
			for _, n := range c.all() {
				if l := n.living(); l != nil {
					asking.Go(func() { c.sum(ctx, l, at) })
				}
			}
		}
	})
	return func() {
		cancel()
		asking.Wait()
	}
}

// sum asks one node, which may be gone before it comes to the frame.
func (c *Cluster) sum(ctx context.Context, l *life, at event.Index) {
	ctx, cancel := context.WithTimeout(ctx, 5*sumPeriod)
	defer cancel()
	got, err := l.group.Engine().Sum(ctx, at)
	switch {
	case err == nil:
		err = c.sums.take(l.node.peer.Name, got)
	case errors.Is(err, engine.ErrPassed), errors.Is(err, engine.ErrClosed), ctx.Err() != nil, l.ended():
		return
	}
	if err != nil {
		c.ledger.fail(err)
	}
}

// comparedSums fails a scenario that has compared nothing.
func (c *Cluster) comparedSums() {
	c.t.Helper()
	c.sums.mu.Lock()
	defer c.sums.mu.Unlock()
	if c.sums.compared == 0 {
		c.fatalf("no state was compared with another node's at the same frame")
	}
	c.t.Logf("%d sums compared", c.sums.compared)
}
