package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

const (
	nameserverTime = time.Second
	entryBytesMax  = 8 << 20 // RocketMQ's brokers take 4 MiB with the usual settings
	drainTime      = 3 * time.Second
)

// Agent is a running agent.
type Agent struct {
	config  Config
	log     *slog.Logger
	metrics *agentMetrics
	spool   *spool.Spool
	drain   *drain
	routes  *routes
	memory  *memory
	admin   *admin
	own     *door
	names   *remoting.Server

	nameservers []*upstream

	doorsMu sync.RWMutex
	doors   map[string]*door // by the broker's address
	stopped bool

	flights  sync.Pool
	inFlight atomic.Int64
	batch    remoting.Batch // of the log's goroutine

	statsMu   sync.Mutex
	statsAt   time.Time
	lastStats Stats

	stop    chan struct{}
	working sync.WaitGroup
}

// Options are what an agent needs besides its configuration.
type Options struct {
	Log   *slog.Logger // slog.Default() when nil
	Fatal func(error)  // ends the process when the disk has failed
}

// Start opens the spool and the ports. An error leaves nothing open.
func Start(c Config, o Options) (*Agent, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &Agent{config: c, log: o.Log, doors: make(map[string]*door), stop: make(chan struct{})}
	a.routes = &routes{agent: a, topics: make(map[string]*knownRoute), asking: make(map[string]time.Time)}
	a.memory = newMemory(a)
	a.drain = newDrain(a)
	a.metrics = newMetrics(a)
	for _, unknown := range c.unknown {
		a.log.Warn("configuration: this key means nothing here", "key", unknown)
	}
	if err := a.open(o); err != nil {
		return nil, errors.Join(err, a.Stop(context.Background()))
	}
	a.admin.ready()
	a.log.Info("ready", "nameserver", a.names.Addr(), "admin", a.admin.address())
	return a, nil
}

func (a *Agent) open(o Options) (err error) {
	if err := os.MkdirAll(a.config.Dir, 0o755); err != nil {
		return fmt.Errorf("create storePathRootDir: %w", err)
	}
	if a.admin, err = newAdmin(a); err != nil {
		return err
	}
	a.spool, err = spool.Open(spool.Options{Dir: a.config.Dir, BytesMax: a.config.SpoolBytesMax, SegmentBytes: a.config.segmentBytes,
		EntryBytesMax: entryBytesMax, Arrived: a.drain.arrived, Log: a.log, Fatal: o.Fatal})
	if err != nil {
		return err
	}
	for _, address := range a.config.Nameservers {
		a.nameservers = append(a.nameservers, a.connect(address))
	}
	if err := a.openDoors(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(a.config.BindAddress.String(), strconv.Itoa(a.config.Port)))
	if err != nil {
		return fmt.Errorf("listen on listenPort: %w; choose another port", err)
	}
	a.names = remoting.Serve(l, nameserver{a}, remoting.Options{Logger: a.log})
	a.working.Add(2)
	go func() {
		defer a.working.Done()
		a.memory.run(a.stop)
	}()
	go func() {
		defer a.working.Done()
		a.drain.run(a.stop)
	}()
	return nil
}

// openDoors listens where clients have found the brokers before.
func (a *Agent) openDoors() (err error) {
	before := a.memory.load()
	if a.own, err = a.openDoor(ownBroker, "", before.Own); err != nil {
		a.log.Warn("the port is taken; clients find another one with their next route", "port", before.Own, "cause", err)
		if a.own, err = a.openDoor(ownBroker, "", 0); err != nil {
			return err
		}
	}
	for _, d := range before.Doors {
		if _, err := a.addDoor(d.Broker, d.Address, d.Port); err != nil {
			return err
		}
	}
	for topic, body := range before.Routes {
		if _, err := a.routes.learn(topic, []byte(body)); err != nil {
			a.log.Warn("a route that was known can't be used", "topic", topic, "cause", err)
		}
	}
	return nil
}

// doorOf is the door to a broker, made where there is none.
func (a *Agent) doorOf(broker, address string) (*door, error) {
	a.doorsMu.RLock()
	d := a.doors[address]
	a.doorsMu.RUnlock()
	if d != nil {
		return d, nil
	}
	return a.addDoor(broker, address, 0)
}

func (a *Agent) addDoor(broker, address string, port int) (*door, error) {
	a.doorsMu.Lock()
	defer a.doorsMu.Unlock()
	if d := a.doors[address]; d != nil {
		return d, nil
	}
	if a.stopped {
		return nil, errors.New("the outbox stops")
	}
	d, err := a.openDoor(broker, address, port)
	if err != nil && port != 0 {
		a.log.Warn("the port is taken; clients find another one with their next route", "port", port, "cause", err)
		d, err = a.openDoor(broker, address, 0)
	}
	if err != nil {
		return nil, err
	}
	a.doors[address] = d
	a.memory.changed()
	return d, nil
}

func (a *Agent) allDoors() []*door {
	a.doorsMu.RLock()
	defer a.doorsMu.RUnlock()
	all := make([]*door, 0, len(a.doors))
	for _, d := range a.doors {
		all = append(all, d)
	}
	return all
}

// connect begins to connect to a broker or nameserver.
func (a *Agent) connect(address string) *upstream {
	u := &upstream{address: address, dial: a.dial, reached: a.drain.look, options: remoting.ClientOptions{Logger: a.log}}
	return u.begin()
}

func (a *Agent) dial(ctx context.Context, address string, o remoting.ClientOptions) (*remoting.Client, error) {
	return a.config.Client.Dial(ctx, address, o)
}

// Stop answers what is under way, closes the ports and the spool. What waits
// stays there.
func (a *Agent) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if a.admin != nil {
		a.admin.notReady("stopping")
	}
	a.doorsMu.Lock()
	a.stopped = true
	a.doorsMu.Unlock()
	close(a.stop)
	a.working.Wait()
	var failed []error
	if a.names != nil {
		failed = append(failed, a.names.Shutdown(ctx))
	}
	doors := a.allDoors()
	if a.own != nil {
		doors = append(doors, a.own)
	}
	failed = append(failed, closeDoors(ctx, doors)...)
	for _, u := range a.nameservers {
		u.close()
	}
	if a.spool != nil {
		failed = append(failed, a.spool.Close())
	}
	if a.admin != nil {
		a.admin.close(ctx)
	}
	return errors.Join(failed...)
}

// closeDoors waits for the answers under way, then ends the connections to the
// brokers: what they had not answered is kept.
func closeDoors(ctx context.Context, doors []*door) []error {
	failed := make([]error, len(doors))
	var closing sync.WaitGroup
	for i, d := range doors {
		closing.Go(func() {
			if d.proxy != nil {
				d.proxy.Close()
			}
			failed[i] = d.server.Shutdown(ctx)
			if d.upstream != nil {
				d.upstream.close()
			}
		})
	}
	closing.Wait()
	return failed
}
