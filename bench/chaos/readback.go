package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
)

// asClientsRead is the reader whose copy is judged: it reads as clients do, from
// the leader. Replicas have numbers behind it.
const asClientsRead = 0

// settleTime lets followers hear of the last commit of their leader.
const settleTime = 500 * time.Millisecond

// compare compares the states of replicas, which are the same after the same
// frame.
func (r *run) compare(ctx context.Context) error {
	if r.cluster.Topology().Replicas < 2 {
		return nil
	}
	for _, site := range r.traffic.sites {
		if err := r.cluster.AwaitWhole(ctx, site.number); err != nil {
			return err
		}
	}
	return r.cluster.Compare(ctx)
}

// readBack reads every queue of every broker: as clients do, and from each
// replica by itself.
func (r *run) readBack(ctx context.Context) error {
	for _, site := range r.traffic.sites {
		if err := r.traffic.readBack(ctx, site, asClientsRead, r.cluster.Nodes()[0].Direct(site.number)); err != nil {
			return err
		}
	}
	if r.cluster.Topology().Replicas < 2 {
		return nil
	}
	for _, n := range r.cluster.Nodes() {
		for _, site := range r.traffic.sites {
			if err := r.cluster.AwaitWhole(ctx, site.number); err != nil {
				return err
			}
		}
		pause(ctx, settleTime)
		if err := r.readCopies(ctx, n); err != nil {
			return fmt.Errorf("read the copies of node %d: %w", n.Index(), err)
		}
	}
	return nil
}

// readCopies reads what one node has. A node that can reach its leader asks
// it, so the others are stopped meanwhile.
func (r *run) readCopies(ctx context.Context, n *cluster.Node) (err error) {
	for _, o := range others(r.cluster, n) {
		if err := o.Pause(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Resume()) }()
	}
	for _, site := range r.traffic.sites {
		err := r.cluster.AwaitAlone(ctx, n, site.number)
		if err == nil {
			err = r.traffic.readBack(ctx, site, asClientsRead+1+uint32(n.Index()), n.Direct(site.number))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
