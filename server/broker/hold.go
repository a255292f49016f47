package broker

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// The lists that a held pull is on.
const (
	byQueue = iota
	byConn
	linkKinds
)

const notInHeap = -1

// link is a place in a list.
type link struct{ previous, next *pullRequest }

// holds keeps the pulls that wait for messages. A request is on three lists:
// of its queue, of its connection, and by deadline; it leaves all of them at
// once, and whoever took it answers it.
type holds struct {
	clock  func() time.Time
	limit  int
	expire func(*pullRequest, *remoting.Batch)
	sooner chan struct{} // one element: the first deadline has changed

	mu     sync.Mutex
	queues map[event.Queue]*pullRequest // first of its list
	conns  map[*remoting.Conn]*pullRequest
	due    deadlines
	ended  bool
}

// parked says what became of a request that was to be held.
type parked uint8

const (
	parkHeld  parked = iota // it may be gone by now
	parkFull                // not held: too many are
	parkEnded               // not held: no more are
)

func newHolds(c *Config, expire func(*pullRequest, *remoting.Batch)) *holds {
	return &holds{
		clock: c.Clock, limit: c.Limits.HeldPulls, expire: expire, sooner: make(chan struct{}, 1),
		queues: make(map[event.Queue]*pullRequest), conns: make(map[*remoting.Conn]*pullRequest),
	}
}

// park holds a request until its deadline. The caller must look at the queue
// afterwards: an arrival just before is its to find.
func (h *holds) park(r *pullRequest) parked {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return parkEnded
	}
	if len(h.due) >= h.limit {
		return parkFull
	}
	h.queues[r.queue] = pushFront(byQueue, h.queues[r.queue], r)
	h.conns[r.replyTo.Conn] = pushFront(byConn, h.conns[r.replyTo.Conn], r)
	heap.Push(&h.due, r)
	if r.heap == 0 {
		select {
		case h.sooner <- struct{}{}:
		default:
		}
	}
	return parkHeld
}

// take removes all requests for a queue and returns them as a list linked by
// byQueue.
func (h *holds) take(q event.Queue) *pullRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.queues[q]
	delete(h.queues, q)
	for r := list; r != nil; r = r.links[byQueue].next {
		h.unlinkConn(r)
		heap.Remove(&h.due, r.heap)
	}
	return list
}

// drop forgets the requests of a connection that is gone.
func (h *holds) drop(c *remoting.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.conns[c]
	delete(h.conns, c)
	for r := list; r != nil; {
		next := r.links[byConn].next
		h.unlinkQueue(r)
		heap.Remove(&h.due, r.heap)
		r.puller.finish(r)
		r = next
	}
}

// release answers all requests and holds no more.
func (h *holds) release() {
	h.mu.Lock()
	h.ended = true
	left := h.due
	h.due = nil
	clear(h.queues)
	clear(h.conns)
	h.mu.Unlock()
	h.expireAll(left)
}

func (h *holds) held() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.due)
}

// run answers the requests whose time is up, with one timer for all.
func (h *holds) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		expired, wait := h.takeExpired()
		h.expireAll(expired)
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-h.sooner:
		case <-ctx.Done():
			return
		}
	}
}

func (h *holds) expireAll(requests []*pullRequest) {
	var b remoting.Batch
	for _, r := range requests {
		r.heap, r.links = notInHeap, [linkKinds]link{}
		h.expire(r, &b)
	}
	b.Flush()
}

// takeExpired removes the requests whose time is up. wait is the time until
// the next one's.
func (h *holds) takeExpired() (expired []*pullRequest, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	for len(h.due) > 0 && !h.due[0].deadline.After(now) {
		r := heap.Pop(&h.due).(*pullRequest)
		h.unlinkQueue(r)
		h.unlinkConn(r)
		expired = append(expired, r)
	}
	if len(h.due) == 0 {
		return expired, time.Hour
	}
	return expired, h.due[0].deadline.Sub(now)
}

func (h *holds) unlinkQueue(r *pullRequest) {
	if first := remove(byQueue, h.queues[r.queue], r); first != nil {
		h.queues[r.queue] = first
	} else {
		delete(h.queues, r.queue)
	}
}

func (h *holds) unlinkConn(r *pullRequest) {
	if first := remove(byConn, h.conns[r.replyTo.Conn], r); first != nil {
		h.conns[r.replyTo.Conn] = first
	} else {
		delete(h.conns, r.replyTo.Conn)
	}
}

// pushFront puts r before first and returns the new first.
func pushFront(kind int, first, r *pullRequest) *pullRequest {
	r.links[kind] = link{next: first}
	if first != nil {
		first.links[kind].previous = r
	}
	return r
}

// remove takes r off its list and returns the new first.
func remove(kind int, first, r *pullRequest) *pullRequest {
	at := r.links[kind]
	r.links[kind] = link{}
	if at.next != nil {
		at.next.links[kind].previous = at.previous
	}
	if at.previous == nil {
		return at.next
	}
	at.previous.links[kind].next = at.next
	return first
}

// deadlines is a heap of requests, the earliest deadline first.
type deadlines []*pullRequest

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].heap, d[j].heap = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	r := x.(*pullRequest)
	r.heap = len(*d)
	*d = append(*d, r)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	r := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	r.heap = notInHeap
	return r
}
