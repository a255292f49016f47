package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/forward"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
)

// shard is one broker of the process, with all that it has for itself: a log in
// a folder, which may be a replica of others, the ports for clients, duties and
// a place at the nameservers. Shards of a process share no state but the Node's.
type shard struct {
	node   *Node
	config Config // the process's, with this broker's name, port and folder
	log    *slog.Logger

	listener, fastListener net.Listener // until servers own them
	address                netip.AddrPort
	client                 string // address that clients are told
	metrics                *meters
	gate                   *gate
	fast                   *fastGate
	servers                []namedServer
	replica                replica
	group                  *replication.Group // the replica, where it is one of a group
	broker                 *broker.Broker
	forward                *forward.Forwarder      // to the leader; nil without a group
	registrar              *nameserver.Registrar   // made when the first role is known
	duties                 []func(context.Context) // of a leader
	leads                  *leadership             // nil while it doesn't lead; keepRole's
	hasRole                chan struct{}           // closed when the nameservers are told
	roleKnown              sync.Once
	forced                 chan struct{} // gets an element when an administrator has it lead whoever else may

	permission atomic.Int32 // what clients may do with the broker

	waits   atomic.Pointer[string] // for what the start waits; nil: it takes requests
	work    context.Context        // ends with stop
	stop    context.CancelFunc
	running sync.WaitGroup
}

// namedServer is a listener for metrics and log lines.
type namedServer struct {
	name   string
	server *remoting.Server
}

// newShard prepares a broker with its own configuration.
func newShard(n *Node, c Config) *shard {
	s := &shard{node: n, config: c, log: n.log, metrics: newMeters(), hasRole: make(chan struct{}), forced: make(chan struct{}, 1)}
	if c.severalShards() {
		s.log = n.log.With("broker", c.BrokerName)
		s.metrics.label = fmt.Sprintf("broker=%q", c.BrokerName)
	}
	s.metrics.info(n.options.Version, &s.config)
	s.permission.Store(int32(c.BrokerPermission))
	s.work, s.stop = context.WithCancel(n.work)
	s.waitsFor(starting)
	return s
}

// run starts a goroutine that ends with the shard.
func (s *shard) run(f func(context.Context)) { s.running.Go(func() { f(s.work) }) }

func (s *shard) waitsFor(what string) { s.waits.Store(&what) }

// listen opens the ports for clients.
func (s *shard) listen() (err error) {
	c := &s.config
	key := "listenPort"
	if c.severalShards() {
		key += " of " + c.BrokerName
	}
	if s.listener, err = open(key, c.BindAddress, c.BrokerPort); err != nil {
		return err
	}
	s.address = addressOf(s.listener)
	if c.BrokerPort > fastPortDistance {
		s.fastListener, err = open(key+" - 2", c.BindAddress, c.BrokerPort-fastPortDistance)
	}
	return err
}

func (s *shard) closeListeners() {
	for _, l := range []net.Listener{s.listener, s.fastListener} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// serveListeners takes requests, to say that the broker is starting.
func (s *shard) serveListeners() {
	options := s.node.connections
	options.Observe = newRPCLatency(s.metrics.set, &s.config).observe
	s.gate, s.fast = &gate{}, &fastGate{}
	s.serve("broker", remoting.Serve(s.listener, s.gate, options))
	if s.fastListener != nil {
		s.serve("broker, fast port", remoting.Serve(s.fastListener, s.fast, options))
	}
}

func (s *shard) serve(name string, server *remoting.Server) {
	s.servers = append(s.servers, namedServer{name, server})
	s.metrics.observe(name, server)
	s.log.Info("listening", "for", name, "address", server.Addr().String())
}

// start opens the log and serves from it. It returns when clients find the
// broker.
func (s *shard) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.openLog, s.openBroker, s.makeDuties, s.serveRole} {
		err := ctx.Err()
		if err == nil {
			err = step(ctx)
		}
		if err != nil {
			return err
		}
	}
	s.waits.Store(nil)
	s.run(func(ctx context.Context) { s.followTopics(ctx, s.topicNames()) })
	s.node.log.Info("ready", "broker", s.config.BrokerName, "cluster", s.config.ClusterName, "clients", s.client)
	return nil
}

// serveRole takes on the shard's role, opens the gates and registers the broker.
// One of a group serves from here on, whoever leads.
func (s *shard) serveRole(ctx context.Context) error {
	if s.group != nil {
		s.openGates()
		s.run(s.keepRole)
		if r := &s.config.Replication; r.Prefer != "" && r.ReturnDelay > 0 {
			s.run(s.returnLeadership)
		}
		return s.awaitRole(ctx)
	}
	role := s.replica.Role()
	if err := s.beginLead(s.work, role.Term); err != nil {
		return err
	}
	s.openGates()
	if err := s.takeRole(ctx, role); err != nil {
		return err
	}
	s.run(s.keepRole)
	return s.awaitRole(ctx)
}

func (s *shard) openGates() {
	var h remoting.Handler = s.broker
	if s.group != nil {
		h = &replicas{Handler: s.forward, group: s.group, authorizer: s.node.authorizer(), run: s.run, aside: s.aside}
	}
	if s.config.Replication.Prefer != "" {
		h = &groupGate{Handler: h, shard: s}
	}
	s.gate.open(h)
	s.fast.open(h)
	if now := int(s.permission.Load()); now != s.config.BrokerPermission {
		s.broker.Permit(now) // it was changed during the start
	}
}

// serving reports whether the broker takes requests.
func (s *shard) serving() bool { return s.gate.behind.Load() != nil && s.work.Err() == nil }

// track tells what became of the messages with an id.
func (s *shard) track(id, topic string) (track.Answer, error) {
	if !s.serving() {
		return track.Answer{}, errNotServing
	}
	return s.broker.Track(id, topic)
}

// startRegistrar begins to keep the broker known to the nameservers.
func (s *shard) startRegistrar(id, term int64) error {
	n := s.node
	nameservers := s.config.Nameservers
	if n.nameserver != nil {
		nameservers = append(nameservers[:len(nameservers):len(nameservers)], reachableHere(n.addresses.Nameserver).String())
	}
	dial, err := n.dialNameservers()
	if err != nil {
		return err
	}
	s.registrar = nameserver.NewRegistrar(nameserver.RegistrarConfig{
		Dial:        dial,
		Nameservers: nameservers, Period: s.config.RegistrationPeriod, Log: n.log,
		Topics: registeredTopics{table: s.broker, startedMillis: n.faults.nowMillis()},
		Broker: nameserver.Broker{Cluster: s.config.ClusterName, Name: s.config.BrokerName, ID: id, Term: term,
			Address: s.client, HAAddress: s.haAddress(), Forwards: s.passesOn()},
	})
	s.metrics.observeRegistrar(s.registrar)
	return nil
}

// awaitRoute waits until clients that ask the nameserver inside this process
// find the broker. Other nameservers may be down for long, and the broker
// serves clients with cached routes meanwhile.
func (s *shard) awaitRoute(ctx context.Context) error {
	if s.node.nameserver == nil {
		return nil
	}
	s.waitsFor("starting: registering the broker")
	return s.registrar.Await(ctx)
}

// handOver gives leadership to another node, where there is one to take it, while
// clients are still served: they are passed on to it. A slave takes a master's
// place only when an administrator says so.
func (s *shard) handOver() {
	if s.group == nil || !s.serving() || !s.group.Role().Leads || len(s.group.Members()) < 2 || !s.config.Replication.Enabled {
		return
	}
	if err := s.group.Transfer(""); err != nil {
		s.log.Warn("leadership was not handed over before the stop", "cause", err)
	}
}

// close takes the shard down in order, as far as it has come up: it gives away
// leadership, leaves the nameservers, answers what is under way, and closes its
// log.
func (s *shard) close(ctx context.Context) error {
	s.handOver()
	s.stop()
	s.running.Wait()
	if s.registrar != nil {
		s.registrar.Stop(ctx)
	}
	failed := s.stopServing(ctx)
	if s.broker != nil {
		failed = append(failed, s.broker.Close())
	}
	if s.replica != nil {
		failed = append(failed, s.replica.Close())
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("stop broker %s: %w", s.config.BrokerName, err)
	}
	return nil
}

// stopServing answers what is under way and closes the broker's connections.
func (s *shard) stopServing(ctx context.Context) []error {
	if s.broker != nil {
		s.broker.ReleasePulls()
	}
	if s.forward != nil {
		s.forward.Close()
	}
	failed := make([]error, len(s.servers))
	var closing sync.WaitGroup
	for i, server := range s.servers {
		closing.Go(func() { failed[i] = server.server.Shutdown(ctx) })
	}
	closing.Wait()
	return failed
}
