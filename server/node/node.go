package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/forward"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// logDir is the folder of the log in the folder of everything.
	logDir = "log"
	// waitingDir is the folder of the table of messages that wait. It may be
	// deleted while the server is down.
	waitingDir = "waiting"
	// waitingBytesMax bounds the messages that wait to be stored. More doesn't
	// make the disk faster, only the waiting longer.
	waitingBytesMax = 32 << 20
	// haPortDistance: RocketMQ's brokers tell slaves to connect to listenPort + 1.
	haPortDistance = 1
	// systemTopicsTime bounds the wait for the first events of a new log.
	systemTopicsTime = time.Minute
)

// Options are what the process gives to a node besides its configuration.
type Options struct {
	Version string       // of the binary
	Log     *slog.Logger // slog.Default() when nil
	// Fatal ends the process: the disk has failed and nothing that is in
	// memory may be trusted to it any more. It doesn't return. It panics when nil.
	Fatal func(error)
}

// Node is a running process.
type Node struct {
	config  Config
	options Options
	log     *slog.Logger

	listeners  listeners
	addresses  Addresses
	client     string  // address that clients are told
	faults     *faults // nil but in fault runs
	admin      *admin
	metrics    *meters
	gate       *gate
	fast       *fastGate
	servers    []namedServer // of the broker
	nameserver *remoting.Server
	network    *transport.Network // to the peers; nil without a group
	replica    replica
	group      *replication.Group // the replica, where it is one of a group
	broker     *broker.Broker
	forward    *forward.Forwarder      // to the leader; nil without a group
	registrar  *nameserver.Registrar   // made when the node's first role is known
	duties     []func(context.Context) // of a leader
	leads      *leadership             // nil while the node doesn't; keepRole's
	hasRole    chan struct{}           // closed when the nameservers are told
	roleKnown  sync.Once
	guard      *access.Guard // nil without access control
	// Of registrations at nameservers elsewhere and inside this process; nil
	// without credentials.
	signer, insideSigner remoting.Signer
	work                 context.Context             // ends with stop
	stop                 context.CancelFunc          // ends the node's goroutines
	run                  func(func(context.Context)) // starts one
	running              sync.WaitGroup
}

// namedServer is a listener for metrics and log lines.
type namedServer struct {
	name   string
	server *remoting.Server
}

// Start brings a node up. When it returns without an error the node takes
// requests. A context that ends while it starts makes it give up.
func Start(ctx context.Context, c Config, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	n := &Node{config: c, options: o, log: o.Log, hasRole: make(chan struct{})}
	n.warn()
	var err error
	if n.faults, err = openFaults(os.Getenv(faultsVariable)); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if n.faults != nil {
		n.log.Warn("this process can be broken from outside: it is for tests", "variable", faultsVariable)
	}
	if n.listeners, err = listen(&n.config); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	n.addresses = n.listeners.addresses()
	work, stop := context.WithCancel(context.Background())
	n.work, n.stop = work, stop
	n.run = func(f func(context.Context)) { n.running.Go(func() { f(work) }) }
	for _, step := range n.steps() {
		if err = ctx.Err(); err == nil {
			err = step(ctx)
		}
		if err != nil {
			n.listeners.close() // those that no server has taken over yet
			return nil, errors.Join(fmt.Errorf("start: %w", err), n.Stop(context.Background()))
		}
	}
	n.admin.ready()
	if !n.config.runsBroker() {
		n.log.Info("ready", "nameserver", n.addresses.Nameserver)
		return n, nil
	}
	n.run(n.followTopics)
	n.log.Info("ready", "broker", c.BrokerName, "cluster", c.ClusterName, "clients", n.client)
	return n, nil
}

// steps are what a start consists of.
func (n *Node) steps() []func(context.Context) error {
	steps := []func(context.Context) error{n.serveOperators, n.openAccess, n.serveListeners}
	if n.config.runsBroker() {
		steps = append(steps, n.openLog, n.openBroker, n.makeDuties, n.serveRole)
	}
	return steps
}

// Addresses tells where the node listens.
func (n *Node) Addresses() Addresses { return n.addresses }

// warn says what is allowed but may not be meant.
func (n *Node) warn() {
	if unknown := n.config.Unknown(); len(unknown) > 0 {
		n.log.Warn("configuration: these keys have no effect here", "keys", unknown)
	}
	if ip := n.config.BrokerIP; ip.IsValid() && !ip.IsLoopback() && n.config.BindAddress.IsLoopback() {
		n.log.Warn("configuration: clients are told an address that this server does not listen on; set bindAddress",
			"brokerIP1", ip, "bindAddress", n.config.BindAddress)
	}
}

func (n *Node) serveOperators(context.Context) error {
	n.metrics = newMeters(n)
	n.admin = newAdmin(n.listeners.admin, n.metrics.write, n.faults, n.log)
	n.log.Info("listening", "for", "operators", "address", n.addresses.Admin)
	return nil
}

// serveListeners takes requests: the nameserver for good, the broker to say
// that it is starting.
func (n *Node) serveListeners(context.Context) error {
	options, err := n.connectionOptions()
	if err != nil {
		return err
	}
	if n.listeners.nameserver != nil {
		if err := n.serveNameserver(options); err != nil {
			return err
		}
	}
	if n.listeners.broker == nil {
		return nil
	}
	n.gate, n.fast = &gate{}, &fastGate{}
	options.Observe = newRPCLatency(n.metrics.set, &n.config).observe
	n.serve("broker", remoting.Serve(n.listeners.broker, n.gate, options))
	if n.listeners.fast != nil {
		n.serve("broker, fast port", remoting.Serve(n.listeners.fast, n.fast, options))
	}
	return nil
}

func (n *Node) serveNameserver(options remoting.Options) error {
	s, err := nameserver.New(nameserver.Config{Switches: &n.config.Switches, KeyValuePath: n.config.keyValueFile(),
		Properties: n.config.Properties(), Log: n.log, Authorizer: n.authorizer()})
	if err != nil {
		return err
	}
	n.metrics.add(s.WritePrometheus)
	n.nameserver = remoting.Serve(n.listeners.nameserver, s, options)
	n.metrics.observe("nameserver", n.nameserver)
	n.log.Info("listening", "for", "nameserver", "address", n.addresses.Nameserver)
	n.run(s.Run)
	return nil
}

func (n *Node) serve(name string, s *remoting.Server) {
	n.servers = append(n.servers, namedServer{name, s})
	n.metrics.observe(name, s)
	n.log.Info("listening", "for", name, "address", s.Addr().String())
}

// openLog recovers the log and everything that follows from it.
func (n *Node) openLog(ctx context.Context) error {
	n.admin.notReady("starting: reading the log")
	d, err := disk.Open(filepath.Join(n.config.StoreDir, logDir))
	if err == nil {
		d, err = n.faults.over(d)
	}
	if err != nil {
		return err
	}
	n.log.Info("disk", "path", d.Path(), "io", d.Describe(), "flush", n.config.FlushDisk)
	if err := checkOwner(d, &n.config); err != nil {
		return err
	}
	began := time.Now()
	recovery, err := n.openReplica(ctx, d)
	if err != nil {
		return err
	}
	if err := keepOwner(d, &n.config); err != nil {
		n.log.Warn("the folder is not marked as this broker's; the next start tries again", "cause", err)
	}
	n.log.Info("log open", "created", recovery.Created, "end", recovery.End, "position", recovery.Position,
		"tornBytes", recovery.TornBytes, "took", time.Since(began).Round(time.Millisecond))
	if recovery.TornBytes > 0 {
		n.log.Warn("the log ended in a write that was cut off; its bytes were kept aside",
			"bytes", recovery.TornBytes, "file", recovery.TornFile, "cause", recovery.Reason)
	}
	n.metrics.observeEngine(n.replica.Engine())
	n.metrics.add(func(w io.Writer) { writeLogMetrics(w, n.replica.Engine(), d) })
	n.metrics.add(n.replica.WriteMetrics)
	return nil
}

// openReplica opens the log of a single node, or of one of a group.
func (n *Node) openReplica(ctx context.Context, d disk.Disk) (commitlog.Recovery, error) {
	client, err := clientAddress(&n.config, n.addresses.Broker.Port())
	if err != nil {
		return commitlog.Recovery{}, err
	}
	n.client = client.String()
	proposer := replication.ProposerOptions{
		WaitingBytes: max(waitingBytesMax, 2*n.config.MessageBytesMax),
		WaitTime:     n.config.SendQueueTime, FlushTimeout: n.config.SyncFlushTimeout,
		Now: n.faults.nowMillis,
	}
	if n.config.Replication.Enabled {
		return n.openGroup(ctx, replication.GroupOptions{Engine: n.engineOptions(d), Proposer: proposer})
	}
	single, recovery, err := replication.OpenSingle(replication.SingleOptions{
		Address: n.addresses.Broker.String(), Engine: n.engineOptions(d), Proposer: proposer})
	if err == nil {
		n.replica = single
	}
	return recovery, err
}

func (n *Node) engineOptions(d disk.Disk) engine.Options {
	o := engine.Options{
		Log: commitlog.Options{Disk: d, SegmentBytes: n.config.SegmentBytes, HistoryBytes: n.config.ReadCacheBytes,
			EventBytesMax: n.config.eventBytesMax(), Clock: monotonicClock(), Log: n.log, Fatal: n.options.Fatal},
		CommitAt: engine.CommitDurable, FlushInterval: n.config.FlushInterval,
		WaitingFS: vfs.Default, WaitingDir: filepath.Join(n.config.StoreDir, waitingDir),
	}
	if n.config.FlushDisk == AsyncFlush {
		o.CommitAt = engine.CommitWritten
	}
	if n.config.FlushMethod == Dsync {
		o.Log.Method = commitlog.FlushDsync
	}
	return o
}

// openBroker makes the broker.
func (n *Node) openBroker(context.Context) error {
	n.admin.notReady("starting: creating system topics")
	client, err := netip.ParseAddrPort(n.client)
	if err != nil {
		return err
	}
	e := n.replica.Engine()
	b, err := broker.New(n.brokerConfig(client), broker.Dependencies{
		Authorizer: n.authorizer(),
		Proposer:   n.replica, Queues: e, Topics: e.Topics(), Offsets: e.Offsets(), Groups: e.Groups(), Locks: e.Locks(), Waiting: e.Waiting(), Progress: e,
	})
	if err != nil {
		return err
	}
	n.broker = b
	n.metrics.add(b.WriteMetrics)
	if n.group != nil {
		return n.openForwarder()
	}
	return nil
}

// serveRole takes on the node's role, opens the gates and registers the broker.
// A node of a group serves from here on, whoever leads.
func (n *Node) serveRole(ctx context.Context) error {
	if n.group != nil {
		n.openGates()
		n.run(n.keepRole)
		return n.awaitRole(ctx)
	}
	role := n.replica.Role()
	if err := n.beginLead(n.work, role.Term); err != nil {
		return err
	}
	n.openGates()
	if err := n.takeRole(ctx, role); err != nil {
		return err
	}
	n.run(n.keepRole)
	return n.awaitRole(ctx)
}

func (n *Node) openGates() {
	var h remoting.Handler = n.broker
	if n.group != nil {
		h = &replicas{Handler: n.forward, group: n.group, authorizer: n.authorizer(), run: n.run}
	}
	n.gate.open(h)
	n.fast.open(h)
	var t tracker = n.broker
	n.admin.tracker.Store(&t)
}

// startRegistrar begins to keep the broker known to the nameservers.
func (n *Node) startRegistrar(id, term int64) error {
	nameservers := n.config.Nameservers
	if n.nameserver != nil {
		nameservers = append(nameservers[:len(nameservers):len(nameservers)], reachableHere(n.addresses.Nameserver).String())
	}
	dial, err := n.dialNameservers()
	if err != nil {
		return err
	}
	n.registrar = nameserver.NewRegistrar(nameserver.RegistrarConfig{
		Dial:        dial,
		Nameservers: nameservers, Period: n.config.RegistrationPeriod, Log: n.log,
		Topics: registeredTopics{table: n.broker, startedMillis: n.faults.nowMillis()},
		Broker: nameserver.Broker{Cluster: n.config.ClusterName, Name: n.config.BrokerName, ID: id, Term: term,
			Address: n.client, HAAddress: n.highAvailability()},
	})
	n.metrics.observeRegistrar(n.registrar)
	return nil
}

// awaitRoute waits until clients that ask the nameserver inside this process
// find the broker. Other nameservers may be down for long, and the broker
// serves clients with cached routes meanwhile.
func (n *Node) awaitRoute(ctx context.Context) error {
	if n.nameserver == nil {
		return nil
	}
	n.admin.notReady("starting: registering the broker")
	return n.registrar.Await(ctx)
}

func (n *Node) brokerConfig(client netip.AddrPort) broker.Config {
	c := broker.DefaultConfig(client)
	c.ClusterName, c.BrokerName = n.config.ClusterName, n.config.BrokerName
	c.Region, c.Trace, c.Permission = n.config.Region, n.config.Trace, n.config.BrokerPermission
	c.StoreReplies = n.config.StoreReplies
	if n.config.TraceTopicExists {
		c.TraceTopic = n.config.TraceTopic
	}
	c.AutoCreateTopic, c.AutoCreateGroup, c.DefaultTopicQueues = n.config.AutoCreateTopic, n.config.AutoCreateGroup, n.config.DefaultTopicQueues
	c.PropertyFilter = n.config.PropertyFilter
	c.TransactionTimeout, c.RejectTransactions = n.config.TransactionTimeout, n.config.RejectTransactions
	c.Delays, c.Recall = delay.Rules{Levels: n.config.DelayLevels, Longest: n.config.TimerMax}, n.config.Recall
	c.MessageBytesMax, c.OffsetCommitInterval = n.config.MessageBytesMax, n.config.OffsetInterval
	c.Properties = n.config.Properties()
	c.Space = func() (uint64, uint64, error) { return diskSpace(n.config.StoreDir) }
	c.Clock, c.Logger, c.ProcessID = n.faults.now, n.log, uint16(os.Getpid())
	return c
}

// highAvailability is where RocketMQ's slaves would connect; nothing listens
// there, but registrations have the field.
func (n *Node) highAvailability() string {
	client, err := netip.ParseAddrPort(n.client)
	if err != nil {
		panic("BUG: the address that clients are told is none: " + n.client)
	}
	return netip.AddrPortFrom(client.Addr(), client.Port()+haPortDistance).String()
}

// followTopics reports changed topics to the nameservers.
func (n *Node) followTopics(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.broker.TopicsChanged():
			n.registrar.TopicsChanged()
		}
	}
}
