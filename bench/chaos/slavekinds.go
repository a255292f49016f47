package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/chaos/link"
)

// These strike a master and its slave, whatever the target: they are about the
// two. Each begins with a slave that is in sync. Behind it all that was
// confirmed, and all that consumers saw, must still be there.

// pair finds the master and the slave, once that one is in sync.
func (f *field) pair(ctx context.Context) (master, slave *cluster.Node, err error) {
	if err = f.cluster.AwaitInSync(ctx, f.target.broker); err != nil {
		return nil, nil, err
	}
	if master, err = f.cluster.Leader(ctx, f.target.broker); err != nil {
		return nil, nil, err
	}
	return master, others(f.cluster, master)[0], nil
}

// planSwitch has the master hand over, which an administrator asks it for.
func planSwitch(f *field) (string, strike) {
	times := 1 + f.random.IntN(3)
	return fmt.Sprintf("master and slave change places, %d times", times), func(ctx context.Context, _ *cluster.Node) error {
		for range times {
			_, slave, err := f.pair(ctx)
			if err != nil {
				return err
			}
			if err := f.cluster.Transfer(ctx, f.target.broker, slave); err != nil {
				f.say("    %v", err) // it may take too long on a busy machine
			}
			if !f.serves(ctx, "a switch") {
				return nil
			}
		}
		return nil
	}
}

// planKillPromote kills the master and makes the slave the master. The old one
// comes back as its slave.
func planKillPromote(f *field) (string, strike) {
	down := between(f.random, 0, 4*time.Second)
	m, seed := f.medium()
	text := fmt.Sprintf("kill -9 of the master, its slave is promoted, the old master is back on %s after %v", m, down)
	return text, func(ctx context.Context, _ *cluster.Node) error {
		master, slave, err := f.pair(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(master.Kill(), f.cluster.Promote(ctx, f.target.broker, slave, false)); err != nil {
			return err
		}
		pause(ctx, down)
		return errors.Join(restart(ctx, master, m, seed), f.whole(ctx))
	}
}

// planCutPromote promotes the slave by force while the master lives, which
// nobody reaches. What reaches the old master again meets a slave.
func planCutPromote(f *field) (string, strike) {
	before, length := between(f.random, 0, 3*time.Second), between(f.random, 0, 3*time.Second)
	text := fmt.Sprintf("the master is cut off from all, its slave is promoted by force after %v, the links are whole %v later", before, length)
	return text, func(ctx context.Context, _ *cluster.Node) error {
		master, slave, err := f.pair(ctx)
		if err != nil {
			return err
		}
		promoted := make(chan error, 1)
		go func() {
			pause(ctx, before)
			promoted <- f.cluster.Promote(ctx, f.target.broker, slave, true)
		}()
		cut := link.Condition{Cut: true}
		f.separate(ctx, master, cut, cut, true, before+length)
		if err := <-promoted; err != nil {
			return err
		}
		return f.whole(ctx)
	}
}

// planSlaveAway has the master take messages alone.
func planSlaveAway(f *field) (string, strike) {
	down := between(f.random, time.Second, 6*time.Second)
	m, seed := f.medium()
	return fmt.Sprintf("kill -9 of the slave, back on %s after %v", m, down), func(ctx context.Context, _ *cluster.Node) error {
		_, slave, err := f.pair(ctx)
		if err != nil {
			return err
		}
		if err := slave.Kill(); err != nil {
			return err
		}
		pause(ctx, down)
		return restart(ctx, slave, m, seed)
	}
}

// planSlaveReplaced gives the slave an empty disk.
func planSlaveReplaced(f *field) (string, strike) {
	m, seed := f.medium()
	return fmt.Sprintf("the slave loses its disk; back on %s", m), func(ctx context.Context, _ *cluster.Node) error {
		_, slave, err := f.pair(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(slave.Kill(), slave.Empty()); err != nil {
			return err
		}
		return errors.Join(restart(ctx, slave, m, seed), f.whole(ctx))
	}
}
