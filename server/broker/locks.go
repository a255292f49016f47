package broker

import (
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/lock"
)

// lease is a client's right to a queue. What has the same pointer is the same
// grant.
type lease struct {
	client  string
	until   time.Time
	ending  bool   // an event that ends it is on its way
	instead *lease // what it takes the place of, until it is stored
}

// queueLocks are the locks of orderly consumers. Who owns a queue is in the log:
// a grant and its end are events. For how long is known here alone: clients
// renew their leases every 20 s, which is no event, and a broker that begins to
// lead gives each owner a fresh one (resume). RocketMQ's RebalanceLockManager
// has all of it in memory, so that after a restart two clients may have a queue.
type queueLocks struct {
	clock    func() time.Time
	lease    time.Duration
	limit    int
	proposer Proposer
	stored   Locks

	// deciding is held from a decision until its event is proposed, so that the
	// events stand in the log in the order in which they were decided.
	deciding sync.Mutex

	mu     sync.Mutex
	groups map[string]map[event.Queue]*lease
	count  int
}

func newQueueLocks(c *Config, d Dependencies) *queueLocks {
	return &queueLocks{
		clock: c.Clock, lease: c.Limits.LockLease, limit: c.Limits.QueueLocks, proposer: d.Proposer, stored: d.Locks,
		groups: make(map[string]map[event.Queue]*lease),
	}
}

// resume gives a fresh lease to each owner that the log knows.
func (l *queueLocks) resume() {
	l.deciding.Lock()
	defer l.deciding.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.clock().Add(l.lease)
	clear(l.groups)
	l.count = 0
	for _, held := range l.stored.All() {
		l.setLocked(held.Group, held.Queue, &lease{client: held.Client, until: until})
	}
}

// suspend forgets all leases, so that none is renewed without an event.
func (l *queueLocks) suspend() {
	l.deciding.Lock()
	defer l.deciding.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.groups)
	l.count = 0
}

// lockedQueue is a queue that a client asks for.
type lockedQueue struct {
	queue event.Queue
	told  messageQueue // as the client names it
}

// lock gives or renews leases and calls done with the queues that the client
// has when that is stored. done must not block.
func (l *queueLocks) lock(group, client string, queues []lockedQueue, done func([]messageQueue, error)) {
	if l.renew(group, client, queues) {
		done(toldOf(queues), nil)
		return
	}
	l.deciding.Lock()
	locked, granted := l.grant(group, client, queues)
	var err error
	if len(granted) > 0 {
		err = l.propose(event.KindLocked, group, client, granted, func(err error) {
			l.keep(group, granted)
			done(toldOf(locked), err)
		})
		if err != nil {
			l.withdraw(group, granted)
		}
	}
	l.deciding.Unlock()
	switch {
	case err != nil:
		done(nil, err)
	case len(granted) == 0:
		done(toldOf(locked), nil)
	}
}

func toldOf(queues []lockedQueue) []messageQueue {
	told := make([]messageQueue, len(queues))
	for i, q := range queues {
		told[i] = q.told
	}
	return told
}

// renew renews the leases of all queues, if the client has them all.
func (l *queueLocks) renew(group, client string, queues []lockedQueue) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range queues {
		if !l.ownsLocked(group, q.queue, client) {
			return false
		}
	}
	until := l.clock().Add(l.lease)
	for _, q := range queues {
		l.groups[group][q.queue].until = until
	}
	return true
}

// ownsLocked reports whether the log says that a client has a queue, and its
// lease can be renewed without another event.
func (l *queueLocks) ownsLocked(group string, q event.Queue, client string) bool {
	held := l.groups[group][q]
	return held != nil && held.client == client && !held.ending && l.stored.Owner(group, q) == client
}

// granted is a new lease of a queue.
type granted struct {
	queue event.Queue
	lease *lease
}

// grant decides which queues a client gets, and for which of them the log
// doesn't say so yet.
func (l *queueLocks) grant(group, client string, queues []lockedQueue) (locked []lockedQueue, fresh []granted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for _, q := range queues {
		held := l.groups[group][q.queue]
		switch {
		case held != nil && held.client != client && now.Before(held.until), held == nil && l.count >= l.limit:
			continue
		case l.ownsLocked(group, q.queue, client):
			held.until = now.Add(l.lease)
		default:
			g := granted{q.queue, &lease{client: client, until: now.Add(l.lease), instead: held}}
			l.setLocked(group, q.queue, g.lease)
			fresh = append(fresh, g)
		}
		locked = append(locked, q)
	}
	return locked, fresh
}

// keep makes new leases good.
func (l *queueLocks) keep(group string, leases []granted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range leases {
		g.lease.instead = nil
	}
}

// withdraw undoes a grant that could not be proposed.
func (l *queueLocks) withdraw(group string, leases []granted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range leases {
		if before := g.lease.instead; before != nil {
			l.setLocked(group, g.queue, before)
		} else {
			l.removeLocked(group, g.queue)
		}
	}
}

// unlock gives back leases of a client and calls done when that is stored. done
// must not block.
func (l *queueLocks) unlock(group, client string, queues []lockedQueue, done func(error)) {
	l.deciding.Lock()
	defer l.deciding.Unlock()
	l.mu.Lock()
	now := l.clock()
	var given []granted
	for _, q := range queues {
		if held := l.groups[group][q.queue]; held != nil && held.client == client && !held.ending {
			held.until, held.ending = now, true
			given = append(given, granted{q.queue, held})
		}
	}
	l.mu.Unlock()
	l.end(group, client, given, done)
}

// end states that leases have ended. When that can't be stored, sweep tries
// again.
func (l *queueLocks) end(group, client string, leases []granted, done func(error)) {
	if len(leases) == 0 {
		done(nil)
		return
	}
	settle := func(err error) {
		l.mu.Lock()
		for _, g := range leases {
			g.lease.ending = false
			if err == nil && l.groups[group][g.queue] == g.lease {
				l.removeLocked(group, g.queue)
			}
		}
		l.mu.Unlock()
		done(err)
	}
	if err := l.propose(event.KindUnlocked, group, client, leases, settle); err != nil {
		settle(err)
	}
}

// sweep ends the leases that have run out.
func (l *queueLocks) sweep() {
	l.deciding.Lock()
	defer l.deciding.Unlock()
	type owner struct{ group, client string }
	expired := make(map[owner][]granted)
	l.mu.Lock()
	now := l.clock()
	for group, queues := range l.groups {
		for q, held := range queues {
			if !now.Before(held.until) && !held.ending {
				held.ending = true
				expired[owner{group, held.client}] = append(expired[owner{group, held.client}], granted{q, held})
			}
		}
	}
	l.mu.Unlock()
	for o, leases := range expired {
		l.end(o.group, o.client, leases, func(error) {})
	}
}

// held reports whether some queue of the group is locked.
func (l *queueLocks) held(group string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for _, held := range l.groups[group] {
		if now.Before(held.until) {
			return true
		}
	}
	return false
}

// counted is the number of leases.
func (l *queueLocks) counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *queueLocks) setLocked(group string, q event.Queue, held *lease) {
	if l.groups[group] == nil {
		l.groups[group] = make(map[event.Queue]*lease)
	}
	if l.groups[group][q] == nil {
		l.count++
	}
	l.groups[group][q] = held
}

func (l *queueLocks) removeLocked(group string, q event.Queue) {
	delete(l.groups[group], q)
	l.count--
	if len(l.groups[group]) == 0 {
		delete(l.groups, group)
	}
}

// lockChange is a lock event on its way.
type lockChange struct {
	proposal engine.Proposal
	done     func(error)
}

// Complete runs on the log's completion goroutine.
func (c *lockChange) Complete(p *engine.Proposal) {
	if p.Outcome == engine.OutcomeUnknown {
		c.done(errUnknownOutcome)
		return
	}
	c.done(nil)
}

// propose stores a lock event and calls done with its outcome. After an error
// nothing is stored and done is not called.
func (l *queueLocks) propose(kind event.Kind, group, client string, leases []granted, done func(error)) error {
	stated := event.Lock{Group: group, Client: client, Queues: make([]event.Queue, len(leases))}
	for i, g := range leases {
		stated.Queues[i] = g.queue
	}
	if err := stated.Validate(); err != nil {
		return err
	}
	c := &lockChange{done: done}
	c.proposal = engine.Proposal{
		Drafts:     []event.Draft{{Kind: kind, Payload: event.Bytes(event.AppendLock(nil, stated))}},
		Completion: c,
	}
	return l.proposer.Propose(&c.proposal)
}

// Locks are the locks of queues as applied.
type Locks interface {
	Owner(group string, q event.Queue) string
	All() []lock.Lock
}
