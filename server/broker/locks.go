package broker

import (
	"sync"
	"time"
)

// lockKey names a queue that a consumer of a group may lock.
type lockKey struct {
	topic   string
	queueID int32
}

// lease is a client's right to a queue.
type lease struct {
	client string
	until  time.Time
}

// queueLocks are the locks of orderly consumers: leases in memory, as in
// RocketMQ's RebalanceLockManager. Clients renew theirs every 20 s.
type queueLocks struct {
	clock func() time.Time
	lease time.Duration
	limit int

	mu     sync.Mutex
	groups map[string]map[lockKey]lease
	count  int
}

func newQueueLocks(c *Config) *queueLocks {
	return &queueLocks{clock: c.Clock, lease: c.Limits.LockLease, limit: c.Limits.QueueLocks, groups: make(map[string]map[lockKey]lease)}
}

// lock gives or renews leases and returns the queues that the client has.
func (l *queueLocks) lock(group, client string, queues []messageQueue) []messageQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	locked := make([]messageQueue, 0, len(queues))
	for _, q := range queues {
		k := lockKey{q.Topic, q.QueueID}
		held, found := l.groups[group][k]
		if found && held.client != client && now.Before(held.until) {
			continue
		}
		if !found {
			if l.count >= l.limit {
				continue
			}
			l.count++
		}
		if l.groups[group] == nil {
			l.groups[group] = make(map[lockKey]lease)
		}
		l.groups[group][k] = lease{client: client, until: now.Add(l.lease)}
		locked = append(locked, q)
	}
	return locked
}

// unlock gives back leases of the client.
func (l *queueLocks) unlock(group, client string, queues []messageQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range queues {
		k := lockKey{q.Topic, q.QueueID}
		if held, found := l.groups[group][k]; found && held.client == client {
			l.removeLocked(group, k)
		}
	}
}

func (l *queueLocks) removeLocked(group string, k lockKey) {
	delete(l.groups[group], k)
	l.count--
	if len(l.groups[group]) == 0 {
		delete(l.groups, group)
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

// sweep forgets the leases that have run out.
func (l *queueLocks) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for group, queues := range l.groups {
		for k, held := range queues {
			if !now.Before(held.until) {
				l.removeLocked(group, k)
			}
		}
	}
}
