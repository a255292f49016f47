package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/settlement"
	"github.com/apogeemq/apogee/server/remoting"
)

// Proposer stores events. It encodes the drafts before Propose returns, so
// that payloads may borrow a connection's buffer. After an error nothing is
// stored and Complete is not called. It may hold the caller up for a while
// when too many bytes wait.
type Proposer interface {
	Propose(p *engine.Proposal) error
}

// Queues reads the messages of queues. It shows applied events only.
type Queues interface {
	Bounds(q event.Queue) (first, next event.Offset)
	ReadQueue(q event.Queue, from event.Offset, limits engine.ReadLimits, match func(tag int32) bool,
		visit func(engine.Message) error) (next event.Offset, err error)
	OffsetAt(q event.Queue, millis int64, boundary engine.Boundary) (event.Offset, error)
	ReadAt(position event.Position, visit func(engine.Message) error) error
	FindKey(topic event.TopicID, key []byte, from, to int64, limit int, match func(engine.Message) bool) error
	FindHash(hash uint64, from, to event.Position, visit func(engine.Message) (more bool, err error)) error
}

// Topics are the topics as applied.
type Topics interface {
	Get(name string) (topic.Topic, bool)
	GetBytes(name []byte) (topic.Topic, bool) // does not keep name
	ByID(id event.TopicID) (topic.Topic, bool)
	All() []topic.Topic
	NextID() event.TopicID
	Version() uint64
}

// Offsets are the consumer offsets as applied.
type Offsets interface {
	Get(group string, q event.Queue) (offset.Commit, bool)
	Group(group string) []offset.QueueCommit
	Groups() []string
	Version() uint64
}

// Groups are the consumer groups as applied.
type Groups interface {
	Get(name string) (group.Group, bool)
	GetBytes(name []byte) (group.Group, bool) // does not keep name
	All() []group.Group
	Version() uint64
}

// Progress tells how far the log has come.
type Progress interface {
	// OnApplied registers f, which is called after events have become visible,
	// with the queues that got some. f must not block or keep the slice.
	OnApplied(f func(queues []event.Queue))
	// WaitApplied returns when the event at position is visible.
	WaitApplied(ctx context.Context, position event.Position) error
	Marks() engine.Marks
}

// Authorizer decides whether a request may be served. The text of its error
// goes to the sender; it keeps nothing of the command.
type Authorizer interface {
	Authorize(c *remoting.Conn, cmd *remoting.Command) error
}

// Waiting is the messages that wait for their time or for the outcome of their
// transaction, as applied.
type Waiting interface {
	Get(handle event.Position) (pending.Entry, bool, error)
	Before(position event.Position, visit func(pending.Entry) bool) error
	Counts() pending.Counts
}

// Dependencies are what a broker works with.
type Dependencies struct {
	Authorizer Authorizer // nil: everything is served

	Proposer Proposer
	Queues   Queues
	Topics   Topics
	Offsets  Offsets
	Groups   Groups
	Waiting  Waiting
	Locks    Locks
	Progress Progress
}

// Broker is a remoting.Handler.
type Broker struct {
	config  Config
	topics  Topics
	groups  Groups
	metrics *brokerMetrics
	live    *live
	pulled  *pullOffsets

	authorizer Authorizer // nil for none
	handlers   map[int32]handler

	sender   *sender
	puller   *puller
	reads    *readPool
	holds    *holds
	commits  *commits
	sentOut  *deliveries
	registry *registry
	clients  *clients
	locks    *queueLocks
	queues   Queues
	offsets  Offsets
	progress Progress
	proposer Proposer
	waiting  Waiting

	settlement   *settlement.Settlement
	transactions *transactions

	startedMillis int64

	relays chan struct{} // one element per request to a client that waits
	early  chan struct{} // one element per request that waits for the message it names
	tracks chan struct{} // one element per search for what became of a message

	running context.Context // until Close
	stop    context.CancelFunc
	work    sync.WaitGroup
	closing sync.Once
	closed  error
}

var _ remoting.Handler = (*Broker)(nil)

// New starts a broker. Close it when it is no longer needed. Its system topics
// and groups exist after CreateSystemTopics.
func New(c Config, d Dependencies) (*Broker, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if d.Proposer == nil || d.Queues == nil || d.Topics == nil || d.Offsets == nil || d.Groups == nil || d.Waiting == nil || d.Locks == nil || d.Progress == nil {
		return nil, errors.New("configure broker: all dependencies must be set")
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Broker{config: c, authorizer: d.Authorizer, topics: d.Topics, groups: d.Groups, queues: d.Queues, offsets: d.Offsets, progress: d.Progress, proposer: d.Proposer, waiting: d.Waiting, running: ctx, stop: stop}
	b.relays, b.early, b.tracks = make(chan struct{}, c.Limits.Relays), make(chan struct{}, earlyMax), make(chan struct{}, tracksMax)
	b.startedMillis = c.Clock().UnixMilli()
	b.metrics = newBrokerMetrics(&b.config)
	b.live = newLive(&b.config)
	b.pulled = newPullOffsets(c.Limits.GatheredOffsets)
	b.locks = newQueueLocks(&b.config, d)
	b.clients = newClients(&b.config, d.Groups, notifyGroupChange)
	b.commits = newCommits(&b.config, d, b.live, b.metrics)
	b.sentOut = newDeliveries(&b.config, d, b.metrics)
	b.registry = newRegistry(&b.config, d, b.commits)
	b.reads = newReadPool(&b.config, b.metrics)
	b.puller = &puller{broker: b}
	b.holds = newHolds(&b.config, b.puller.expire)
	b.settlement = settlement.New(d.Waiting, func() event.Position { return d.Progress.Marks().AppliedPosition })
	b.transactions = newTransactions(b)
	b.sender = newSender(b, d.Proposer, record.NewUniqueKeys(c.Address.Addr(), c.ProcessID, rand.Uint32(), c.Zone))
	b.handlers = b.dispatchTable()
	b.metrics.observe(b)

	for _, run := range []func(context.Context){
		b.sender.replier.run, b.holds.run, b.commits.run, b.sentOut.run, b.registry.run, b.clients.runNotices, b.metrics.runRates, b.sweep,
	} {
		b.work.Go(func() { run(ctx) })
	}
	for range c.Limits.Readers {
		b.work.Go(b.reads.run)
	}
	d.Progress.OnApplied(b.onApplied)
	return b, nil
}

// Lead begins to decide: each client that owns a queue gets a fresh lease of
// it, and what an earlier leadership had decided is forgotten. A node calls it
// after a start without replicas, and when it has become the leader.
func (b *Broker) Lead() {
	b.settlement.Reset()
	b.locks.resume()
	b.puller.suggested.Store(remoting.MasterID)
}

// Follow ends what Lead began: leases are another's to renew. Consumers that
// pull here are told to go on with the broker of this id: the node's own, as
// long as the leader is out of reach, and when it isn't they don't pull here.
func (b *Broker) Follow(id int64) {
	b.locks.suspend()
	b.puller.suggested.Store(id)
}

// Settlement is what the broker and the duties that decide about waiting
// messages share.
func (b *Broker) Settlement() *settlement.Settlement { return b.settlement }

// Closed forgets what belongs to a connection that is gone.
func (b *Broker) Closed(c *remoting.Conn) {
	b.holds.drop(c)
	b.clients.remove(c)
}

// onApplied runs on the apply goroutine.
func (b *Broker) onApplied(queues []event.Queue) {
	b.registry.noticeChanges()
	for _, q := range queues {
		b.wake(q)
	}
}

// wake moves the pulls held for a queue to the read pool.
func (b *Broker) wake(q event.Queue) {
	for r := b.holds.take(q); r != nil; {
		next := r.links[byQueue].next
		r.links[byQueue] = link{}
		b.reads.resume(r)
		r = next
	}
}

// ReleasePulls answers all held pulls and holds no more. It is called before
// the connections are drained, as a drained connection waits for its answers.
func (b *Broker) ReleasePulls() { b.holds.release() }

// Close stores the gathered offsets and stops all goroutines. The connections
// must have been shut down before, the proposer must still work. The error
// says which offsets could not be stored.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.holds.release()
		b.closed = b.commits.close()
		b.recordLast()
		b.stop()
		b.reads.close()
		for range tracksMax { // those that run end, and no more begin
			b.tracks <- struct{}{}
		}
		b.work.Wait()
	})
	return b.closed
}
