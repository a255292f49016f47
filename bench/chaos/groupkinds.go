package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/chaos/link"
)

// separate gives the links between a node and the others a condition for a
// while: in towards the node, out away from it. Where clients is set their
// links to the node get it, too.
func (f *field) separate(ctx context.Context, n *cluster.Node, in, out link.Condition, clients bool, length time.Duration) {
	set := func(in, out link.Condition) {
		for _, o := range others(f.cluster, n) {
			for _, l := range n.From(o) {
				l.Set(in, out)
			}
			for _, l := range o.From(n) {
				l.Set(out, in)
			}
		}
		if clients {
			for _, l := range n.Outside() {
				l.Set(in, out)
			}
		}
	}
	set(in, out)
	pause(ctx, length)
	set(link.Condition{}, link.Condition{})
}

func planPartition(f *field) (string, strike) {
	length := between(f.random, 50*time.Millisecond, 6*time.Second)
	way := f.random.IntN(4)
	clients := f.random.IntN(2) == 0
	text := fmt.Sprintf("%v is cut off from the other nodes for %v", f.target, length)
	if clients {
		text = fmt.Sprintf("%v is cut off from the other nodes and from clients for %v", f.target, length)
	}
	text += [...]string{"", "", " (what they send to it)", " (what it sends to them)"}[way]
	return text, func(ctx context.Context, n *cluster.Node) error {
		f.separate(ctx, n, link.Condition{Cut: way != 3}, link.Condition{Cut: way != 2}, clients, length)
		return nil
	}
}

func planSlowPeer(f *field) (string, strike) {
	length := between(f.random, 500*time.Millisecond, 4*time.Second)
	c := link.Condition{Delay: between(f.random, time.Millisecond, 300*time.Millisecond), BytesPerSecond: 20_000 << f.random.IntN(8)}
	return fmt.Sprintf("the links between %v and the other nodes are slow for %v: %v", f.target, length, c), func(ctx context.Context, n *cluster.Node) error {
		f.separate(ctx, n, c, c, false, length)
		return nil
	}
}

// planAbsent keeps a node down until the others have taken messages without it.
func planAbsent(f *field) (string, strike) {
	down := between(f.random, 0, 5*time.Second)
	m, seed := f.medium()
	text := fmt.Sprintf("kill -9 of %v, which stays away until sends are confirmed without it and %v more; back on %s", f.target, down, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		if err := n.Kill(); err != nil {
			return err
		}
		if f.serves(ctx, "a node is away") {
			pause(ctx, down)
		}
		return restart(ctx, n, m, seed)
	}
}

// planMajority kills all but one. The disks of the others may forget what was
// not synced.
func planMajority(f *field) (string, strike) {
	m, seed := f.medium()
	down := between(f.random, 0, 2*time.Second)
	return fmt.Sprintf("kill -9 of all nodes but %v, back on %s after %v", f.target, m, down), func(ctx context.Context, n *cluster.Node) error {
		var err error
		for _, o := range others(f.cluster, n) {
			err = errors.Join(err, o.Kill())
		}
		pause(ctx, down)
		for i, o := range others(f.cluster, n) {
			err = errors.Join(err, o.Launch(m, seed+uint64(i)))
		}
		for _, o := range others(f.cluster, n) {
			if err == nil {
				err = o.AwaitReady(ctx)
			}
		}
		return err
	}
}

// planOldImage gives a node the disk that it had some time ago. The group may
// have at most one such node at a time, and only when the others have all: what
// the node had confirmed counts no more. So it waits for them.
func planOldImage(f *field) (string, strike) {
	since, away := between(f.random, 500*time.Millisecond, 4*time.Second), between(f.random, 0, time.Second)
	m, seed := f.medium()
	text := fmt.Sprintf("%v gets back the disk that it had %v before; on %s", f.target, since, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		err := errors.Join(n.Kill(), n.Image())
		if err == nil {
			err = restart(ctx, n, m, seed)
		}
		if err != nil {
			return err
		}
		pause(ctx, since)
		if err := n.Kill(); err != nil {
			return err
		}
		if !f.serves(ctx, "a node is away") { // then the others have a leader, and with it all that was confirmed
			return nil
		}
		pause(ctx, away)
		if err := n.Restore(); err != nil {
			return err
		}
		return errors.Join(restart(ctx, n, m, seed+1), f.whole(ctx))
	}
}

// planReplace takes a node out of its groups, and adds it with an empty disk.
func planReplace(f *field) (string, strike) {
	m, seed := f.medium()
	removed := f.random.IntN(2) == 0
	text := fmt.Sprintf("%v is removed, loses its disk and is added again; on %s", f.target, m)
	if !removed {
		text = fmt.Sprintf("%v loses its disk, is removed and added again; on %s", f.target, m)
	}
	return text, func(ctx context.Context, n *cluster.Node) error {
		if !removed {
			if err := n.Kill(); err != nil {
				return err
			}
		}
		for broker := range f.cluster.Brokers() {
			if err := f.cluster.Remove(ctx, broker, n); err != nil {
				return err
			}
		}
		err := errors.Join(n.Kill(), n.Empty())
		if err == nil {
			err = n.Launch(m, seed)
		}
		for broker := range f.cluster.Brokers() {
			if err == nil {
				err = f.cluster.Add(ctx, broker, n)
			}
		}
		if err != nil {
			return err
		}
		return errors.Join(n.AwaitReady(ctx), f.whole(ctx))
	}
}

func planTransfer(f *field) (string, strike) {
	times := 1 + f.random.IntN(3)
	return fmt.Sprintf("the leadership of %s goes to another node, %d times", f.cluster.Brokers()[f.target.broker].Name, times), func(ctx context.Context, _ *cluster.Node) error {
		for range times {
			leader, err := f.cluster.Leader(ctx, f.target.broker)
			if err != nil {
				return err
			}
			to := f.cluster.Nodes()[(leader.Index()+1)%len(f.cluster.Nodes())]
			if err := f.cluster.Transfer(ctx, f.target.broker, to); err != nil {
				f.say("    %v", err) // it may take too long on a busy machine
			}
			if !f.serves(ctx, "a transfer") {
				return nil
			}
		}
		return nil
	}
}

// whole waits until all replicas of all brokers have the same.
func (f *field) whole(ctx context.Context) error {
	for broker := range f.cluster.Brokers() {
		if err := f.cluster.AwaitWhole(ctx, broker); err != nil {
			return err
		}
	}
	return nil
}
