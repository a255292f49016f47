package nameserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// Defaults of a RegistrarConfig.
const (
	// DefaultPeriod is RocketMQ's registerNameServerPeriod.
	DefaultPeriod = 30 * time.Second
	// DefaultRetry is the first pause after a nameserver didn't answer. It
	// doubles up to retryMax: one that has come back should soon know who is
	// the master, as clients may ask it.
	DefaultRetry = time.Second
	retryMax     = 4 * time.Second
	// DefaultCallTimeout bounds one request to a nameserver.
	DefaultCallTimeout = 5 * time.Second
)

// Broker is what a nameserver tells clients about a broker process.
type Broker struct {
	Cluster   string
	Name      string
	ID        int64  // 0 for the master; as the broker begins
	Term      int64  // of its group, which grows with each master; 0 without one
	Address   string // host:port that clients connect to
	HAAddress string // host:port that RocketMQ slaves would connect to
	Forwards  bool   // passes on to the master what only a master can do
}

// TopicConfig is a topic as a broker registers it.
type TopicConfig struct {
	Name        string
	ReadQueues  int32
	WriteQueues int32
	Permission  int32  // bits of RocketMQ's PermName: 4 read, 2 write, 1 inherit
	FilterType  string // "SINGLE_TAG" when ""
	SystemFlag  int32
	Order       bool
	Attributes  map[string]string
}

// TopicSource is where a Registrar finds the topics to register. It is called
// from several goroutines.
type TopicSource interface {
	// RegisteredTopics returns all topics, which the caller doesn't change,
	// and a version that differs whenever they do.
	RegisteredTopics() (DataVersion, []TopicConfig)
}

// RegistrarConfig says who registers where.
type RegistrarConfig struct {
	Nameservers []string // host:port each
	Broker      Broker
	Topics      TopicSource
	// Dial connects to one of Nameservers. nil: a plain connection.
	Dial        func(ctx context.Context, address string) (*remoting.Client, error)
	Period      time.Duration // DefaultPeriod when 0
	Retry       time.Duration // DefaultRetry when 0
	CallTimeout time.Duration // DefaultCallTimeout when 0
	Log         *slog.Logger  // slog.Default() when nil
}

// Registrar keeps one broker registered at its nameservers.
type Registrar struct {
	config     RegistrarConfig
	reporters  []*reporter
	cancel     context.CancelFunc
	running    sync.WaitGroup
	registered atomic.Int32
	role       atomic.Pointer[role]
	first      chan struct{} // closed when a nameserver has accepted the broker
	once       sync.Once
}

// NewRegistrar starts to register the broker. Nothing here ever waits for a
// nameserver.
func NewRegistrar(c RegistrarConfig) *Registrar {
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, address string) (*remoting.Client, error) {
			return remoting.Dial(ctx, address, remoting.ClientOptions{})
		}
	}
	if c.Period == 0 {
		c.Period = DefaultPeriod
	}
	if c.Retry == 0 {
		c.Retry = DefaultRetry
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = DefaultCallTimeout
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Registrar{config: c, cancel: cancel, first: make(chan struct{})}
	r.role.Store(&role{id: c.Broker.ID, term: c.Broker.Term})
	for _, address := range c.Nameservers {
		p := &reporter{registrar: r, address: address, changed: make(chan struct{}, 1)}
		r.reporters = append(r.reporters, p)
		r.running.Go(func() { p.run(ctx) })
	}
	return r
}

// role is what a broker is among those of its name.
type role struct{ id, term int64 }

// SetRole makes the broker known under another id, at once, with all topics. A
// nameserver that has heard of a later term keeps the broker that it has.
func (r *Registrar) SetRole(id, term int64) {
	next := role{id, term}
	if *r.role.Swap(&next) != next {
		r.TopicsChanged()
	}
}

// TopicsChanged makes the broker's topics known at once. It never blocks and
// may be called for each of many changes: those that come close together go
// out as one.
func (r *Registrar) TopicsChanged() {
	for _, p := range r.reporters {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// Registered is the number of nameservers that took the last registration.
func (r *Registrar) Registered() int { return int(r.registered.Load()) }

// Await returns when a nameserver has accepted the broker for the first time,
// or when the context ends.
func (r *Registrar) Await(ctx context.Context) error {
	select {
	case <-r.first:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("register the broker: %w", ctx.Err())
	}
}

// accepted counts a nameserver that knows the broker.
func (r *Registrar) accepted() {
	r.registered.Add(1)
	r.once.Do(func() { close(r.first) })
}

// Stop unregisters the broker everywhere and returns when that is done, or
// when the context ends. A nameserver that is not reached forgets the broker
// by itself, as the connection is gone.
func (r *Registrar) Stop(ctx context.Context) {
	r.cancel()
	var leaving sync.WaitGroup
	r.running.Wait()
	for _, p := range r.reporters {
		leaving.Go(func() { p.leave(ctx) })
	}
	leaving.Wait()
}
