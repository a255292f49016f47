package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/bench/chaos/link"
)

// kind is a kind of fault.
type kind struct {
	name  string
	nodes int    // that it needs
	only  string // the one topology that it is for; empty for any
	// plan draws what will happen and tells it in a few words.
	plan func(f *field) (text string, strike strike)
}

// strike does what was planned to the node that the target turned out to be.
type strike func(ctx context.Context, n *cluster.Node) error

// field is where a fault strikes.
type field struct {
	random  *rand.Rand
	cluster *cluster.Cluster
	target  target
	medium  func() (cluster.Medium, uint64)
	// serves waits until the cluster takes messages.
	serves func(ctx context.Context, after string) bool
	say    func(format string, args ...any)
}

// kinds are all kinds. A strike returns when its fault is over and what it
// ended has been started again.
var kinds = []kind{
	{"kill", 1, "", planKill},
	{"kill-twice", 1, "", planKillTwice},
	{"stop", 1, "", planStop},
	{"pause", 1, "", planPause},
	{"cold-start", 1, "", planColdStart},
	{"cut", 1, "", planCut},
	{"slow-link", 1, "", planSlowLink},
	{"reset", 1, "", planReset},
	{"slow-disk", 1, "", planSlowDisk},
	{"hung-disk", 1, "", planHungDisk},
	{"hung-disk-kill", 1, "", planHungDiskKill},
	{"full-disk", 1, "", planFullDisk},
	{"broken-disk", 1, "", planBrokenDisk},
	{"clock", 1, "", planClock},
	{"partition", 2, "", planPartition},
	{"slow-peer", 2, "", planSlowPeer},
	{"absent", 3, "", planAbsent},
	{"majority", 3, "", planMajority},
	{"old-image", 3, "", planOldImage},
	{"replace", 3, "", planReplace},
	{"transfer", 3, "", planTransfer},
	{"switch", 2, cluster.MasterSlave, planSwitch},
	{"kill-promote", 2, cluster.MasterSlave, planKillPromote},
	{"cut-promote", 2, cluster.MasterSlave, planCutPromote},
	{"slave-away", 2, cluster.MasterSlave, planSlaveAway},
	{"slave-replaced", 2, cluster.MasterSlave, planSlaveReplaced},
}

// restart starts the node's process again and waits until it serves.
func restart(ctx context.Context, n *cluster.Node, m cluster.Medium, seed uint64) error {
	if err := n.Launch(m, seed); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

func planKill(f *field) (string, strike) {
	down := between(f.random, 0, 1500*time.Millisecond)
	m, seed := f.medium()
	text := fmt.Sprintf("kill -9 of %v, back on %s after %v", f.target, m, down)
	return text, func(ctx context.Context, n *cluster.Node) error {
		if err := n.Kill(); err != nil {
			return err
		}
		pause(ctx, down)
		return restart(ctx, n, m, seed)
	}
}

func planKillTwice(f *field) (string, strike) {
	times := 1 + f.random.IntN(3)
	var after []time.Duration
	for range times {
		after = append(after, between(f.random, 0, 80*time.Millisecond))
	}
	m, seed := f.medium()
	text := fmt.Sprintf("kill -9 of %v, and again %v after its starts, back on %s", f.target, after, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		for _, d := range after {
			if err := errors.Join(n.Kill(), n.Launch(m, seed)); err != nil {
				return err
			}
			pause(ctx, d)
		}
		if err := n.Kill(); err != nil {
			return err
		}
		return restart(ctx, n, m, seed)
	}
}

func planStop(f *field) (string, strike) {
	m, seed := f.medium()
	text := fmt.Sprintf("SIGTERM to %v, back on %s", f.target, m)
	return text, func(ctx context.Context, n *cluster.Node) error {
		if err := n.Terminate(ctx); err != nil {
			return err
		}
		return restart(ctx, n, m, seed)
	}
}

func planPause(f *field) (string, strike) {
	length := between(f.random, 50*time.Millisecond, 6*time.Second)
	return fmt.Sprintf("SIGSTOP of %v for %v", f.target, length), func(ctx context.Context, n *cluster.Node) error {
		if err := n.Pause(); err != nil {
			return err
		}
		pause(ctx, length)
		return n.Resume()
	}
}

func planColdStart(f *field) (string, strike) {
	type life struct {
		medium cluster.Medium
		seed   uint64
	}
	var lives []life
	for range f.cluster.Nodes() {
		m, seed := f.medium()
		lives = append(lives, life{m, seed})
	}
	down := between(f.random, 0, time.Second)
	return fmt.Sprintf("kill -9 of all nodes, back after %v", down), func(ctx context.Context, _ *cluster.Node) error {
		var err error
		for _, n := range f.cluster.Nodes() {
			err = errors.Join(err, n.Kill())
		}
		pause(ctx, down)
		for i, n := range f.cluster.Nodes() {
			err = errors.Join(err, n.Launch(lives[i].medium, lives[i].seed))
		}
		if err != nil {
			return err
		}
		for _, n := range f.cluster.Nodes() {
			err = errors.Join(err, n.AwaitReady(ctx))
		}
		return err
	}
}

// spoil gives the node's links a condition for a while.
func spoil(ctx context.Context, n *cluster.Node, there, back link.Condition, length time.Duration) {
	for _, l := range n.Outside() {
		l.Set(there, back)
	}
	pause(ctx, length)
	for _, l := range n.Outside() {
		l.Set(link.Condition{}, link.Condition{})
	}
}

func planCut(f *field) (string, strike) {
	length := between(f.random, 50*time.Millisecond, 6*time.Second)
	way := f.random.IntN(3)
	reset := f.random.IntN(2) == 0
	text := fmt.Sprintf("the links of clients to %v are cut for %v (%s)", f.target, length, [...]string{"both ways", "requests only", "answers only"}[way])
	if reset {
		text += ", then reset"
	}
	return text, func(ctx context.Context, n *cluster.Node) error {
		spoil(ctx, n, link.Condition{Cut: way != 2}, link.Condition{Cut: way != 1}, length)
		if reset {
			for _, l := range n.Outside() {
				l.Reset()
			}
		}
		return nil
	}
}

func planSlowLink(f *field) (string, strike) {
	length := between(f.random, 500*time.Millisecond, 4*time.Second)
	c := link.Condition{Delay: between(f.random, time.Millisecond, 300*time.Millisecond), BytesPerSecond: 20_000 << f.random.IntN(8)}
	return fmt.Sprintf("the links of clients to %v are slow for %v: %v", f.target, length, c), func(ctx context.Context, n *cluster.Node) error {
		spoil(ctx, n, c, c, length)
		return nil
	}
}

func planReset(f *field) (string, strike) {
	length := between(f.random, 0, time.Second)
	return fmt.Sprintf("connections to %v are reset and refused for %v", f.target, length), func(ctx context.Context, n *cluster.Node) error {
		for _, l := range n.Outside() {
			l.Refuse(true)
			l.Reset()
		}
		pause(ctx, length)
		for _, l := range n.Outside() {
			l.Refuse(false)
		}
		return nil
	}
}
