package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
)

// breakFor breaks the node's disk for a while.
func breakFor(ctx context.Context, n *cluster.Node, rules string, length time.Duration) error {
	if err := n.BreakDisk(ctx, rules); err != nil {
		return err
	}
	pause(ctx, length)
	return n.BreakDisk(context.WithoutCancel(ctx), "")
}

func planSlowDisk(f *field) (string, strike) {
	length := between(f.random, 500*time.Millisecond, 4*time.Second)
	late := between(f.random, time.Millisecond, 400*time.Millisecond)
	operation := [...]string{"sync", "write", "write|sync", "read"}[f.random.IntN(4)]
	rules := fmt.Sprintf("%s:*:*=delay(%v)", operation, late)
	return fmt.Sprintf("the disk of %v is slow for %v: %s", f.target, length, rules), func(ctx context.Context, n *cluster.Node) error {
		return breakFor(ctx, n, rules, length)
	}
}

func planHungDisk(f *field) (string, strike) {
	length := between(f.random, 100*time.Millisecond, 8*time.Second)
	rules := [...]string{"sync:*:*=hang", "write:*:*=hang", "write|sync:*:*=hang"}[f.random.IntN(3)]
	return fmt.Sprintf("the disk of %v hangs for %v: %s", f.target, length, rules), func(ctx context.Context, n *cluster.Node) error {
		return breakFor(ctx, n, rules, length)
	}
}

func planHungDiskKill(f *field) (string, strike) {
	length := between(f.random, 10*time.Millisecond, 3*time.Second)
	m, seed := f.medium()
	text := fmt.Sprintf("the disk of %v hangs for %v, then kill -9, back on %s", f.target, length, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		if err := n.BreakDisk(ctx, "sync:*:*=hang"); err != nil {
			return err
		}
		pause(ctx, length)
		if err := n.Kill(); err != nil {
			return err
		}
		return restart(ctx, n, m, seed)
	}
}

// planFullDisk lets no file grow. A node may refuse sends and must go on.
func planFullDisk(f *field) (string, strike) {
	length := between(f.random, 500*time.Millisecond, 5*time.Second)
	const rules = "allocate:*:*=ENOSPC"
	return fmt.Sprintf("the disk of %v is full for %v", f.target, length), func(ctx context.Context, n *cluster.Node) error {
		return breakFor(ctx, n, rules, length)
	}
}

// planBrokenDisk makes writes or syncs fail from some count on. A node must end
// by itself. A failure in preparing a file is none of the log yet: so all fail,
// not one.
func planBrokenDisk(f *field) (string, strike) {
	operation := [...]string{"sync", "write"}[f.random.IntN(2)]
	count := 1 + f.random.IntN(20)
	rules := fmt.Sprintf("%s:*.seg:%d..=EIO", operation, count)
	m, seed := f.medium()
	text := fmt.Sprintf("the disk of %v fails from %s %d on; back on %s", f.target, operation, count, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		ended := n.Excuse()
		if err := n.BreakDisk(ctx, rules); err != nil {
			select {
			case <-ended: // it was too fast to answer
			default:
				return err
			}
		}
		const patience = 20 * time.Second
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-ended:
		case <-ctx.Done():
		case <-timer.C:
			return errors.Join(fmt.Errorf("node %d still runs %v after its disk failed", n.Index(), patience), n.Kill())
		}
		return restart(ctx, n, m, seed)
	}
}

func planClock(f *field) (string, strike) {
	by := 24 * time.Hour
	if f.random.IntN(4) == 0 {
		by = -time.Hour
	}
	length := between(f.random, 100*time.Millisecond, 3*time.Second)
	return fmt.Sprintf("the clock of %v is %v off for %v", f.target, by, length), func(ctx context.Context, n *cluster.Node) error {
		if err := n.ShiftClock(ctx, by); err != nil {
			return err
		}
		pause(ctx, length)
		return n.ShiftClock(context.WithoutCancel(ctx), 0)
	}
}
