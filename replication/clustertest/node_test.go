package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/replication/transport"
)

// Node is a member of the group, up or down. Its disk outlives its lives.
type Node struct {
	cluster *Cluster
	peer    replication.Peer
	disk    *simdisk.Disk
	said    *lines
	gone    bool   // for good: it was taken out of the group
	waiting vfs.FS // has the table of what waits, which outlives the node's orderly stops; nil: it is made anew at each start

	mu   sync.Mutex
	life *life         // nil while it is down
	skew time.Duration // of its clock
}

// life is what a node is between a start and the next stop, kill or power cut.
type life struct {
	node     *Node
	disk     *machineDisk
	network  *transport.Network
	stopping context.CancelFunc
	opened   chan struct{} // closed when group, or failed, is set

	group  *replication.Group
	failed error

	once sync.Once
	over chan struct{} // closed when the machine does nothing any more
	dark bool          // its power is gone
}

// Times of the group under test.
const (
	heartbeat  = 100 * time.Millisecond
	flushStall = 300 * time.Millisecond
	// comparePeriod leaves time for other sums beside those of the leader.
	comparePeriod = 300 * time.Millisecond
)

func (n *Node) now() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.skew).UnixMilli()
}

func (n *Node) options(l *life) replication.GroupOptions {
	c := n.cluster
	return replication.GroupOptions{
		Engine: engine.Options{
			Log: commitlog.Options{
				Disk: l.disk, SegmentBytes: c.segmentBytes, TailBytes: 64 << 10, HistoryBytes: 1 << 20,
				Fatal: func(err error) { l.fatal(err) },
			},
			RunBytes: 24 << 10, IndexCacheBytes: 256 << 10, WaitingFS: n.waiting, WaitingDir: "waiting",
		},
		Proposer: replication.ProposerOptions{WaitingBytes: 1 << 20, WaitTime: time.Second, FlushTimeout: 2 * time.Second, Now: n.now},
		Mark:     commitlog.Durable, Name: "sim", Self: n.peer, Peers: c.peers(),
		Network: l.network,
		Times:   replication.Times{Heartbeat: heartbeat, FlushStall: flushStall, Entries: 2 * time.Second, Compare: comparePeriod},
		Log:     slog.New(slog.NewTextHandler(n.said, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
}

// fatal ends the machine: the process would. Without power that is no news.
func (l *life) fatal(err error) {
	if !errors.Is(err, simdisk.ErrCrashed) && !l.disk.Crashed() {
		l.node.cluster.ledger.fail(fmt.Errorf("%s failed: %w", l.node.peer.Name, err))
	}
	l.end(true)
}

// end takes the machine off the network: it does nothing that others hear of.
func (l *life) end(dark bool) {
	l.once.Do(func() {
		l.dark = dark
		close(l.over)
		l.node.cluster.network.fail(l.node.peer.Address, dark)
		l.disk.slow(0, false)
	})
}

// start begins a life, and doesn't wait for its group to open.
func (n *Node) start() *life {
	c := n.cluster
	l := &life{node: n, over: make(chan struct{}), opened: make(chan struct{})}
	l.disk = newMachineDisk(n.disk, func() { l.end(true) })
	l.network = transport.NewNetwork(transport.Options{
		Listener: c.network.listen(n.peer.Address), Dial: c.network.dialer(n.peer.Address, l.over),
		Secret: []byte("secret"), EntryBytesMax: 1 << 20,
	})
	var ctx context.Context
	ctx, l.stopping = context.WithCancel(context.Background())
	n.mu.Lock()
	n.life = l
	n.mu.Unlock()
	c.running.Go(func() {
		defer close(l.opened)
		l.group, _, l.failed = replication.OpenGroup(ctx, n.options(l))
		if l.failed != nil && ctx.Err() == nil && !l.ended() {
			c.ledger.fail(fmt.Errorf("start %s: %w", n.peer.Name, l.failed))
		}
	})
	return l
}

func (l *life) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// living is the node's life, nil where it is down or not yet open.
func (n *Node) living() *life {
	n.mu.Lock()
	l := n.life
	n.mu.Unlock()
	if l == nil || l.ended() {
		return nil
	}
	select {
	case <-l.opened:
		if l.group != nil {
			return l
		}
	default:
	}
	return nil
}

// take ends what the node is known for.
func (n *Node) take() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.life
	n.life = nil
	return l
}

// cut cuts the power, if it isn't gone already.
func (n *Node) cut() {
	l := n.take()
	if l == nil {
		n.disk = n.disk.Crash()
		return
	}
	l.end(true)
	n.disk = n.disk.Crash()
	n.cluster.bury(l)
}

// kill ends the process. Where its power went meanwhile, that counts.
func (n *Node) kill() {
	l := n.take()
	if l == nil {
		return
	}
	l.end(false)
	if n.disk.Crashed() {
		n.disk = n.disk.Crash()
	} else {
		n.disk = n.disk.Kill()
	}
	n.cluster.bury(l)
}

// stop ends the node in order.
func (n *Node) stop() {
	l := n.take()
	if l == nil {
		return
	}
	l.stopping()
	<-l.opened
	// Whoever would end a hang of the disk is waiting here.
	defer time.AfterFunc(flushStall, func() { l.disk.slow(usualSync, false) }).Stop()
	if l.group != nil {
		if err := l.group.Close(); err != nil && !n.disk.Crashed() {
			n.cluster.note("close %s: %v", n.peer.Name, err)
		}
	}
	_ = l.network.Close()
	crashed := n.disk.Crashed()
	l.end(false)
	if crashed {
		n.disk = n.disk.Crash()
		return
	}
	n.disk = n.disk.Kill()
}

// bury has everything that a dead machine was doing come to its end.
func (c *Cluster) bury(l *life) {
	c.running.Go(func() {
		l.stopping()
		<-l.opened
		if l.group != nil {
			for range 1000 { // it leads no more when it hears from nobody, unless it is alone
				if !l.group.Role().Leads {
					break
				}
				c.pause(time.Millisecond)
			}
			_ = l.group.Close()
		}
		_ = l.network.Close()
	})
}

// lines keeps the last lines that a node has logged.
type lines struct {
	mu  sync.Mutex
	all [][]byte
}

const linesMax = 120

// Write takes in a line.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == linesMax {
		l.all = l.all[1:]
	}
	l.all = append(l.all, bytes.Clone(line))
	return len(line), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.all, nil))
}
