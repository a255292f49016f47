package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// breakFor breaks the node's disk for a while.
func (f *field) breakFor(ctx context.Context, rules string, length time.Duration) error {
	if err := f.node.BreakDisk(ctx, rules); err != nil {
		return err
	}
	pause(ctx, length)
	return f.node.BreakDisk(context.WithoutCancel(ctx), "")
}

func planSlowDisk(f *field) (string, func(context.Context) error) {
	length := between(f.random, 500*time.Millisecond, 4*time.Second)
	late := between(f.random, time.Millisecond, 400*time.Millisecond)
	operation := [...]string{"sync", "write", "write|sync", "read"}[f.random.IntN(4)]
	rules := fmt.Sprintf("%s:*:*=delay(%v)", operation, late)
	return fmt.Sprintf("the disk of node %d is slow for %v: %s", f.node.Index(), length, rules), func(ctx context.Context) error {
		return f.breakFor(ctx, rules, length)
	}
}

func planHungDisk(f *field) (string, func(context.Context) error) {
	length := between(f.random, 100*time.Millisecond, 8*time.Second)
	rules := [...]string{"sync:*:*=hang", "write:*:*=hang", "write|sync:*:*=hang"}[f.random.IntN(3)]
	return fmt.Sprintf("the disk of node %d hangs for %v: %s", f.node.Index(), length, rules), func(ctx context.Context) error {
		return f.breakFor(ctx, rules, length)
	}
}

func planHungDiskKill(f *field) (string, func(context.Context) error) {
	length := between(f.random, 10*time.Millisecond, 3*time.Second)
	m, seed := f.medium()
	text := fmt.Sprintf("the disk of node %d hangs for %v, then kill -9, which stores on %s, back on %s", f.node.Index(), length, f.node.Medium(), m)
	return text, func(ctx context.Context) error {
		if err := f.node.BreakDisk(ctx, "sync:*:*=hang"); err != nil {
			return err
		}
		pause(ctx, length)
		if err := f.node.Kill(); err != nil {
			return err
		}
		return f.restart(ctx, f.node, m, seed)
	}
}

// planFullDisk lets no file grow. A node may refuse sends and must go on.
func planFullDisk(f *field) (string, func(context.Context) error) {
	length := between(f.random, 500*time.Millisecond, 5*time.Second)
	const rules = "allocate:*:*=ENOSPC"
	return fmt.Sprintf("the disk of node %d is full for %v", f.node.Index(), length), func(ctx context.Context) error {
		return f.breakFor(ctx, rules, length)
	}
}

// planBrokenDisk makes writes or syncs fail from some count on. A node must end
// by itself. A failure in preparing a file is none of the log yet: so all fail,
// not one.
func planBrokenDisk(f *field) (string, func(context.Context) error) {
	operation := [...]string{"sync", "write"}[f.random.IntN(2)]
	count := 1 + f.random.IntN(20)
	rules := fmt.Sprintf("%s:*.seg:%d..=EIO", operation, count)
	m, seed := f.medium()
	text := fmt.Sprintf("the disk of node %d, which stores on %s, fails from %s %d on; back on %s", f.node.Index(), f.node.Medium(), operation, count, m)
	return text, func(ctx context.Context) error {
		ended := f.node.Excuse()
		if err := f.node.BreakDisk(ctx, rules); err != nil {
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
			return errors.Join(fmt.Errorf("node %d still runs %v after its disk failed", f.node.Index(), patience), f.node.Kill())
		}
		return f.restart(ctx, f.node, m, seed)
	}
}

func planClock(f *field) (string, func(context.Context) error) {
	by := 24 * time.Hour
	if f.random.IntN(4) == 0 {
		by = -time.Hour
	}
	length := between(f.random, 100*time.Millisecond, 3*time.Second)
	return fmt.Sprintf("the clock of node %d is %v off for %v", f.node.Index(), by, length), func(ctx context.Context) error {
		if err := f.node.ShiftClock(ctx, by); err != nil {
			return err
		}
		pause(ctx, length)
		return f.node.ShiftClock(context.WithoutCancel(ctx), 0)
	}
}
