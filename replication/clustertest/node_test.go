package clustertest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/replication"
)

// Node is a member of the group, up or down. Its disk outlives its lives.
type Node struct {
	cluster *Cluster
	id      raft.ServerID
	address raft.ServerAddress
	meta    commitlog.Meta
	logs    *logBuffer

	disk *simdisk.Disk
	life *life // nil while it is down
}

// life is what a node is between a start and the next stop or power cut.
type life struct {
	node      *Node
	disk      *simdisk.Disk
	log       *commitlog.Log
	store     *replication.LogStore
	mortal    *mortalLog
	snapshots *replication.Snapshots
	fold      *fold
	transport *raft.InmemTransport
	raft      *raft.Raft

	gate sync.RWMutex // held while the disk is in use
	over bool

	once sync.Once
	dead chan struct{} // closed when the disk has failed
}

// die takes the node off the network: Raft's heartbeats don't need its disk.
func (l *life) die() {
	l.once.Do(func() {
		close(l.dead)
		if l.transport != nil {
			l.transport.DisconnectAll()
		}
	})
}

func (n *Node) logOptions() commitlog.Options {
	d := n.disk
	return commitlog.Options{
		Disk: d, SegmentBytes: n.cluster.segmentBytes, TailBytes: 64 << 10, HistoryBytes: 1 << 20,
		Create: commitlog.Creation{Meta: n.meta},
		Fatal: func(err error) {
			if !d.Crashed() {
				n.cluster.ledger.fail(fmt.Errorf("%s failed with power: %w", n.id, err))
			}
		},
	}
}

// start opens the node's log and Raft over it. It reports false where the power
// was lost on the way.
func (n *Node) start() bool {
	l := &life{node: n, disk: n.disk, dead: make(chan struct{})}
	err := n.open(l)
	if err == nil {
		err = n.join(l)
	}
	if err == nil {
		n.life = l
		return true
	}
	if !n.disk.Crashed() {
		n.cluster.fatalf("start %s: %v", n.id, err)
	}
	l.bury()
	n.disk = n.disk.Crash()
	return false
}

func (n *Node) open(l *life) error {
	log, _, err := commitlog.Open(n.logOptions())
	if err != nil {
		return err
	}
	l.log = log
	l.store = replication.NewLogStore(log, commitlog.Durable)
	l.mortal = &mortalLog{life: l, LogStore: l.store}
	if l.snapshots, err = replication.OpenSnapshots(n.disk, l.store); err != nil {
		return err
	}
	l.fold, err = newFold(l)
	return err
}

// join starts Raft. NewRaft writes to the disk, so the power may be lost in it;
// then its goroutine perishes.
func (n *Node) join(l *life) error {
	_, term, _ := l.log.End()
	stable, err := replication.OpenStableStore(n.disk, n.meta.Log, term)
	if err != nil {
		return err
	}
	_, l.transport = raft.NewInmemTransportWithTimeout(n.address, rpcTimeout)
	ready := make(chan error, 1)
	go func() {
		var err error
		l.raft, err = raft.NewRaft(n.configuration(), l.fold, l.mortal, &mortalStable{l, stable}, &mortalSnapshots{l, l.snapshots},
			&countingTransport{l.transport, &n.cluster.installs})
		ready <- err
	}()
	select {
	case err := <-ready:
		return err
	case <-l.dead:
		return errors.New("the power went while Raft started")
	}
}

// Times of the group under test: short, but long for a busy machine.
const (
	heartbeatTimeout = patienceShare * 120 * time.Millisecond
	rpcTimeout       = patienceShare * 150 * time.Millisecond
	commitTimeout    = 5 * time.Millisecond
	entriesMax       = 32
)

func (n *Node) configuration() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = n.id
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = heartbeatTimeout, heartbeatTimeout, heartbeatTimeout
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries = entriesMax
	c.BatchApplyCh = true
	c.NoLegacyTelemetry = true
	c.NoSnapshotRestoreOnStart = true
	c.SnapshotThreshold = 1 << 60
	c.SnapshotInterval = time.Hour
	c.ShutdownOnRemove = false
	c.LogOutput, c.LogLevel = n.logs, "INFO"
	return c
}

// Stop ends a node in order.
func (n *Node) stop() {
	l := n.life
	n.life = nil
	n.cluster.isolate(n)
	if err := l.raft.Shutdown().Error(); err != nil {
		n.cluster.fatalf("stop %s: %v", n.id, err)
	}
	if err := l.log.Close(); err != nil {
		n.cluster.fatalf("close the log of %s: %v", n.id, err)
	}
}

// cut cuts the node's power, if it isn't gone already.
func (n *Node) cut() {
	next := n.disk.Crash()
	if l := n.life; l != nil {
		n.life = nil
		n.cluster.isolate(n)
		l.raft.Shutdown()
		l.bury()
	}
	n.disk = next
}

// bury releases what a dead life holds, once nobody uses it.
func (l *life) bury() {
	l.gate.Lock()
	l.over = true
	l.gate.Unlock()
	if l.log != nil {
		_ = l.log.Close()
	}
}
