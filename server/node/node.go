package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
)

// Options are what the process gives to a node besides its configuration.
type Options struct {
	Version string       // of the binary
	Log     *slog.Logger // slog.Default() when nil
	// Fatal ends the process: the disk has failed and nothing that is in
	// memory may be trusted to it any more. It doesn't return. It panics when nil.
	Fatal func(error)
}

// Node is a running process: what its shards have in common, and the shards.
type Node struct {
	config  Config
	options Options
	log     *slog.Logger

	listeners   listeners
	addresses   Addresses
	faults      *faults // nil but in fault runs
	admin       *admin
	metrics     *meters
	connections remoting.Options // of all listeners for clients
	nameserver  *remoting.Server
	network     *transport.Network // to the peers; nil without a group
	guard       *access.Guard      // nil without access control
	// Of registrations at nameservers elsewhere and inside this process; nil
	// without credentials.
	signer, insideSigner remoting.Signer
	changing             sync.Mutex  // held while a group is changed
	states               groupStates // of a cluster's groups; changing's
	stops                bool        // no group is changed any more; changing's

	mu     sync.Mutex
	shards []*shard // those that run; hostedShards once others may change them

	again      chan struct{}               // closed when the node has to be started again
	startAgain func()                      // closes it
	work       context.Context             // ends with stop
	stop       context.CancelFunc          // ends the node's goroutines
	run        func(func(context.Context)) // starts one
	running    sync.WaitGroup
}

// Start brings a node up. When it returns without an error the node takes
// requests. A context that ends while it starts makes it give up.
func Start(ctx context.Context, c Config, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	n := &Node{config: c, options: o, log: o.Log, again: make(chan struct{})}
	n.startAgain = sync.OnceFunc(func() { close(n.again) })
	n.warn()
	var err error
	if n.faults, err = openFaults(os.Getenv(faultsVariable)); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if n.faults != nil {
		n.log.Warn("this process can be broken from outside: it is for tests", "variable", faultsVariable)
	}
	n.work, n.stop = context.WithCancel(context.Background())
	n.run = func(f func(context.Context)) { n.running.Go(func() { f(n.work) }) }
	if err := n.listen(); err != nil {
		n.closeListeners()
		n.stop()
		return nil, fmt.Errorf("start: %w", err)
	}
	for _, step := range []func(context.Context) error{n.serveOperators, n.openAccess, n.serveListeners, n.openShards} {
		if err = ctx.Err(); err == nil {
			err = step(ctx)
		}
		if err != nil {
			n.closeListeners() // those that no server has taken over yet
			return nil, errors.Join(fmt.Errorf("start: %w", err), n.Stop(context.Background()))
		}
	}
	n.admin.ready()
	if !n.config.runsBroker() {
		n.log.Info("ready", "nameserver", n.addresses.Nameserver)
	}
	return n, nil
}

// listen opens all sockets, so that a port that is taken ends the start before
// anything else has begun.
func (n *Node) listen() (err error) {
	configs := n.config.shards()
	if len(n.config.Replication.ClusterPeers) > 0 {
		if n.states, err = readGroupStates(n.config.StoreDir); err != nil {
			return err
		}
		configs = n.config.groups(n.states)
	}
	for _, c := range configs {
		s := newShard(n, c)
		n.shards = append(n.shards, s)
		if err := s.listen(); err != nil {
			return err
		}
	}
	if n.listeners, err = listen(&n.config); err != nil {
		return err
	}
	n.addresses = n.listeners.addresses()
	if len(n.shards) > 0 {
		n.addresses.Broker, n.addresses.Fast = n.shards[0].address, addressOf(n.shards[0].fastListener)
	}
	return nil
}

func (n *Node) closeListeners() {
	n.listeners.close()
	for _, s := range n.shards {
		s.closeListeners()
	}
}

// Again is closed when the node has to be stopped and started again: it turns
// from a broker by itself into a master, or from a master into a slave.
func (n *Node) Again() <-chan struct{} { return n.again }

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
	n.metrics = newMeters()
	if len(n.shards) == 0 {
		n.metrics.info(n.options.Version, &n.config)
	}
	n.admin = newAdmin(n.listeners.admin, n)
	n.log.Info("listening", "for", "operators", "address", n.addresses.Admin)
	return nil
}

// serveListeners takes requests: the nameserver for good, brokers to say that
// they are starting.
func (n *Node) serveListeners(context.Context) error {
	options, err := n.connectionOptions()
	if err != nil {
		return err
	}
	n.connections = options
	if n.listeners.nameserver != nil {
		if err := n.serveNameserver(); err != nil {
			return err
		}
	}
	for _, s := range n.shards {
		s.serveListeners()
	}
	return nil
}

func (n *Node) serveNameserver() error {
	s, err := nameserver.New(nameserver.Config{Switches: &n.config.Switches, KeyValuePath: n.config.keyValueFile(),
		Properties: n.config.Properties(), Log: n.log, Authorizer: n.authorizer()})
	if err != nil {
		return err
	}
	n.metrics.add(s.WritePrometheus)
	n.nameserver = remoting.Serve(n.listeners.nameserver, s, n.connections)
	n.metrics.observe("nameserver", n.nameserver)
	n.log.Info("listening", "for", "nameserver", "address", n.addresses.Nameserver)
	n.run(s.Run)
	return nil
}

// openShards brings the shards up side by side: each waits for its disk, and
// for its peers.
func (n *Node) openShards(ctx context.Context) error {
	if n.listeners.replication != nil {
		if err := n.openNetwork(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make([]error, len(n.shards))
	var starting sync.WaitGroup
	for i, s := range n.shards {
		starting.Go(func() {
			if failed[i] = s.start(ctx); failed[i] != nil {
				cancel() // the others needn't wait for their peers
			}
		})
	}
	starting.Wait()
	return errors.Join(failed...)
}

// Stop takes the node down in order. It also stops a node that hasn't come up
// completely. When it returns everything that was accepted is stored and the
// logs are closed; the error says what was not done in order. Requests under
// way are waited for until the context or the configured time ends.
func (n *Node) Stop(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, n.config.ShutdownTime)
	defer cancel()
	if n.admin != nil {
		n.admin.notReady("stopping")
	}
	n.changing.Lock() // a change that is under way comes to its end first
	n.stops = true
	shards := n.hostedShards()
	n.changing.Unlock()
	failed := make([]error, len(shards), len(shards)+2)
	var stopping sync.WaitGroup
	for i, s := range shards {
		stopping.Go(func() { failed[i] = s.close(ctx) })
	}
	stopping.Wait()
	n.stop()
	n.running.Wait()
	if n.network != nil {
		failed = append(failed, n.network.Close())
	}
	if n.nameserver != nil {
		failed = append(failed, n.nameserver.Shutdown(ctx))
	}
	if n.admin != nil {
		n.admin.close(ctx)
	}
	err := errors.Join(failed...)
	n.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond), "inOrder", err == nil)
	return err
}
