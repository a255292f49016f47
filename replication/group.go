package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// Times are how fast a group notices what is wrong. The zero value of a field
// takes the default.
type Times struct {
	// Heartbeat is the silence of a leader after which followers elect another,
	// up to twice as long; 0 means 500 ms.
	Heartbeat time.Duration
	// Lease is how long a leader goes on without an answer of a majority; at
	// most Heartbeat, which 0 means.
	Lease time.Duration
	// FlushStall is how long a leader's disk may take for one sync; 0 means one
	// second.
	FlushStall time.Duration
	// Rounds bounds a request to a peer that carries no entries; 0 means twice
	// Heartbeat. Entries bounds those that do; 0 means ten seconds.
	Rounds, Entries time.Duration
	// Compare is the time between two comparisons of what the members have made of
	// the log; 0 means one minute.
	Compare time.Duration
}

func (t Times) withDefaults() Times {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&t.Heartbeat, 500*time.Millisecond)
	set(&t.Lease, t.Heartbeat)
	set(&t.FlushStall, time.Second)
	set(&t.Rounds, 2*t.Heartbeat)
	set(&t.Entries, 10*time.Second)
	set(&t.Compare, comparePeriod)
	return t
}

const (
	// commitTimeout is when followers hear at the latest what is committed.
	commitTimeout = 20 * time.Millisecond
	// appendEntriesMax bounds the entries that are looked up for one message.
	appendEntriesMax = 512
	// behindBytesMax: a replica with more of the log before it gets no more
	// bytes a second than the limit for catching up.
	behindBytesMax = 16 << 20
	// noSnapshots keeps Raft from making any: retention makes checkpoints.
	noSnapshots = 1 << 60
	// noStall: a sync may take as long as it takes.
	noStall = 1 << 60
	// trailingLogs must not be 0: see LogStore.DeleteRange.
	trailingLogs = 1 << 60
)

// GroupOptions open a node of a replicated group.
type GroupOptions struct {
	Engine   engine.Options // CommitAt is set here
	Proposer ProposerOptions
	// Mark that a replica's log must have passed before it counts: Durable, or
	// Written with ASYNC_FLUSH.
	Mark commitlog.Mark
	// Name of the group; all nodes have the same.
	Name string
	// Self is one of Peers, or a node that the group has or will get as a
	// member.
	Self  Peer
	Peers []Peer
	// Founder is the peer that founds a new group, and leads it first; "": the
	// first by name. It is the same on all nodes.
	Founder string
	// Service is the address at which clients reach this node.
	Service string
	// Network that reaches the peers.
	Network *transport.Network
	Times   Times
	// CatchUpBytes a second are sent at most to a replica that is far behind; 0:
	// no limit.
	CatchUpBytes int64
	// MasterSlave makes it a group of a master and its slaves; nil: a majority
	// commits and elects.
	MasterSlave *MasterSlave
	Log         *slog.Logger
}

// hello is what the node says of itself while it has no log.
func (o *GroupOptions) hello(node [16]byte) transport.Hello {
	return transport.Hello{Group: o.Name, Node: node, Name: o.Self.Name, Address: o.Self.Address, Service: o.Service}
}

// Group is a node of a replicated group.
type Group struct {
	*Proposer
	options     GroupOptions
	text        *slog.Logger
	engine      *engine.Engine
	store       *LogStore
	members     *memberFile
	checkpoints *checkpoints
	transport   *transport.Transport
	raft        *raft.Raft
	id          raft.ServerID
	metrics     *groupMetrics
	copies      *copies
	unread      chan event.Index // a peer has asked for this frame, and it, or one on the way to it, is damaged
	standing    *standing
	comparing   *comparing

	slaves       slaveWatch
	joining      sync.Mutex    // held while a slave is added
	differs      chan struct{} // closed when the node has to start again
	differing    sync.Once
	noted        time.Time // when it was noted how far slaves are; follow's
	notedThrough event.Index

	committing sync.Mutex    // held to move Committed, and while a checkpoint is installed
	told       atomic.Uint64 // frames up to here are committed, says Raft
	asked      atomic.Uint64 // how often Committed was to be moved

	handing sync.Mutex // held to hand a batch to Raft
	begun   bool       // guarded by handing: batches may be handed over
	wakeups chan struct{}
	handed  chan handedBatch
	// refusals gets an element when Raft has refused a batch.
	refusals chan struct{}

	leadership chan bool // Raft's
	roles      roles

	stop    chan struct{}
	running sync.WaitGroup
}

// handedBatch is one that Raft has and what it will say to it.
type handedBatch struct {
	batch  *batch
	future raft.ApplyFuture
}

// OpenGroup opens a node of a group. A node without a log waits for the others,
// until the context ends.
func OpenGroup(ctx context.Context, o GroupOptions) (*Group, commitlog.Recovery, error) {
	o.Times, o.MasterSlave = o.Times.withDefaults(), o.MasterSlave.withDefaults()
	if o.MasterSlave != nil {
		// Nobody would lead instead of a master whose disk hangs.
		o.Times.FlushStall, o.Proposer.ReplicaTimeout = noStall, o.MasterSlave.ReplicaTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &founding{disk: o.Engine.Log.Disk, options: &o, text: o.Log}
	creation, err := f.creation(ctx)
	if err != nil {
		return nil, commitlog.Recovery{}, err
	}
	g := &Group{
		Proposer: newProposer(o.Proposer), metrics: newGroupMetrics(), options: o, text: o.Log, leadership: make(chan bool),
		wakeups: make(chan struct{}, 1), handed: make(chan handedBatch, handedQueue), refusals: make(chan struct{}, 1), stop: make(chan struct{}), differs: make(chan struct{}),
	}
	g.roles.changed = make(chan struct{}, 1)
	g.unread = make(chan event.Index, 1)
	g.copies, g.standing, g.comparing = newCopies(&g.options), &standing{group: g}, newComparing(g)
	q := &inquiry{ctx: ctx, options: &g.options, text: o.Log}
	recovery, err := g.openEngine(creation, q.admit)
	if err != nil {
		return nil, recovery, err
	}
	if err := g.openRaft(ctx, creation, recovery, q.standsDown); err != nil {
		g.copies.stop()
		g.running.Wait()
		return nil, recovery, errors.Join(fmt.Errorf("open group %s: %w", o.Name, err), g.engine.Close())
	}
	g.running.Go(g.hand)
	go g.hear()
	g.running.Go(g.follow)
	g.running.Go(g.standing.recover)
	g.running.Go(g.comparing.run)
	if o.MasterSlave == nil {
		g.running.Go(g.leaveFull)
	} else {
		g.running.Go(g.join)
		if err := g.applyAsSlave(ctx); err != nil {
			return nil, recovery, errors.Join(fmt.Errorf("open group %s: %w", o.Name, err), g.Close())
		}
	}
	return g, recovery, nil
}

func (g *Group) openEngine(creation commitlog.Creation, admit func(*commitlog.Log) error) (commitlog.Recovery, error) {
	o := g.options.Engine
	o.CommitAt, o.Admit = engine.CommitExternal, admit
	o.Log.Create = creation
	o.Log.Policy = commitlog.FlushAtOnce
	if g.options.Mark == commitlog.Written {
		o.Log.Policy = commitlog.FlushOnRequest
	}
	if len(g.options.Peers) > 1 {
		o.Log.Copies = g.copies.list
	}
	o.OnMarks = g.marksMoved
	o.OnCommitted = g.committed
	e, recovery, err := engine.Open(o)
	if err != nil {
		return recovery, err
	}
	g.engine = e
	g.attachToRaft(e, g.wakeUp)
	g.id = serverID(e.Log().Meta().Node)
	return recovery, nil
}

// openRaft starts Raft over the open log. standsDown says that the node has no
// vote, whatever its log says.
func (g *Group) openRaft(ctx context.Context, creation commitlog.Creation, recovery commitlog.Recovery, standsDown bool) error {
	l, d := g.engine.Log(), g.options.Engine.Log.Disk
	_, term, _ := l.End()
	stable, err := OpenStableStore(d, l.Meta().Log, term)
	if err != nil {
		return err
	}
	if g.members, err = openMembers(d, l.Meta().Log); err != nil {
		return err
	}
	if recovery.Created && len(creation.Configuration) > 0 {
		if err := g.members.note(1, creation.Configuration); err != nil {
			return err
		}
	}
	logs := entries{members: g.members, voteless: &atomic.Pointer[raft.ServerID]{}}
	var voteless raft.ServerID
	if standsDown {
		voteless = g.id
		logs.voteless.Store(&voteless)
	}
	if g.checkpoints, err = g.openCheckpoints(voteless); err != nil {
		return err
	}
	g.store = NewLogStore(l, g.options.Mark)
	g.store.watcher = g.Proposer
	g.store.ahead = g.options.MasterSlave == nil
	if g.options.MasterSlave != nil {
		g.store.beforeCut = g.beforeCut
	}
	logs.LogStore = g.store
	t := g.options.Times
	hello := g.options.hello(l.Meta().Node)
	hello.Log = l.Meta().Log
	g.transport = g.options.Network.Join(transport.Config{
		Self: hello, Present: g.present, Joins: g.joins, Answered: g.slaveAnswered,
		Entries: logs, Stalled: func() bool { return g.store.hangs(t.FlushStall) },
		Gone:     g.peerGone,
		MayStand: g.standing.mayStand, MayVote: g.standing.mayVote, Standing: g.standing.now,
		CopyFrame:  g.copyFrame,
		State:      g.state,
		RPCTimeout: t.Rounds, EntriesTimeout: t.Entries,
		CatchUpBytes: g.options.CatchUpBytes, CatchUpBehind: behindBytesMax,
	})
	g.slaves = slaveWatch{kind: g.options.MasterSlave, of: g.transport.Match}
	g.running.Go(g.repairUnread)
	if err := g.repairAtStart(ctx, logs, recovery.Damaged); err != nil {
		return errors.Join(err, g.transport.Close())
	}
	if err := g.startRaft(logs, stable); err != nil {
		return errors.Join(err, g.transport.Close())
	}
	g.copies.raft.Store(g.raft)
	g.checkpoints.started()
	logs.voteless.Store(nil)
	return nil
}

// startRaft starts Raft, which panics where it can't store its term: on a full
// disk, or one that fails.
func (g *Group) startRaft(logs raft.LogStore, stable raft.StableStore) (err error) {
	defer func() {
		cause := recover()
		if _, bug := cause.(runtime.Error); bug {
			panic(cause)
		}
		if cause != nil {
			err = fmt.Errorf("start raft: %v", cause)
		}
	}()
	g.raft, err = raft.NewRaft(g.raftConfig(), &stateMachine{group: g}, logs, stable, g.checkpoints, g.transport)
	return err
}

// openCheckpoints lets Raft begin with everything that the projections have.
func (g *Group) openCheckpoints(voteless raft.ServerID) (*checkpoints, error) {
	l, d := g.engine.Log(), g.options.Engine.Log.Disk
	c := &checkpoints{disk: d, log: l, voteless: voteless}
	if err := c.remove(); err != nil {
		return nil, err
	}
	base, err := baseHeader(d, l.Meta().Log)
	if err != nil {
		return nil, err
	}
	applied := g.engine.Marks().Applied
	if applied <= base.Index || applied == 0 {
		return c, nil
	}
	configuration, err := g.members.at(l, applied, base)
	if err != nil {
		return nil, err
	}
	if voteless != "" {
		configuration = withoutVote(configuration, voteless)
	}
	err = l.NewReader().Frame(applied, func(f commitlog.Frame) error {
		c.boot = &raft.SnapshotMeta{
			Version: raft.SnapshotVersionMax, ID: snapshotID(uint64(f.Index), uint64(f.Term)),
			Index: uint64(f.Index), Term: uint64(f.Term), Configuration: configuration, ConfigurationIndex: uint64(f.Index),
		}
		return nil
	})
	return c, err
}

func (g *Group) raftConfig() *raft.Config {
	t := g.options.Times
	c := raft.DefaultConfig()
	c.LocalID = g.id
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = t.Heartbeat, t.Heartbeat, t.Lease
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries = appendEntriesMax
	c.BatchApplyCh = true
	c.NoLegacyTelemetry = true
	c.NoSnapshotRestoreOnStart = true
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = noSnapshots, 24*time.Hour, trailingLogs
	c.ShutdownOnRemove = false
	c.NotifyCh = g.leadership
	c.LogOutput, c.LogLevel = &raftLog{text: g.text.With("group", g.options.Name)}, "INFO"
	return c
}

// Engine of the node.
func (g *Group) Engine() *engine.Engine { return g.engine }

// Close hands leadership over, where this node has it, completes what was
// accepted and closes the engine.
func (g *Group) Close() error {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	var err error
	if g.Role().Leads {
		err = g.drain(timer.C)
		g.handOff()
	}
	close(g.stop)
	g.copies.stop()
	shutdown := g.raft.Shutdown()
	g.running.Wait()
	g.lose()
	return errors.Join(err, shutdown.Error(), g.engine.Close())
}

// handOff gives leadership to another, if there is one to take it.
func (g *Group) handOff() {
	if g.options.MasterSlave != nil || len(g.raft.GetConfiguration().Configuration().Servers) < 2 {
		return
	}
	if err := g.raft.LeadershipTransfer().Error(); err != nil {
		g.text.Warn("leadership was not handed over; the others elect a leader", "group", g.options.Name, "cause", err)
	}
}

// lastCommitted is what Raft has committed as far as it knows.
func (g *Group) lastCommitted() event.Index { return event.Index(g.raft.CommitIndex()) }
