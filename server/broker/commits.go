package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// commitsPerProposal bounds the offsets that are proposed at once.
	commitsPerProposal = 4096
	// commitsPerEvent bounds those of one event: each needs up to two hashes.
	commitsPerEvent = event.KeysMax / 2
)

// commitKey names an offset.
type commitKey struct {
	group string
	queue event.Queue
}

// gathered is an offset that is not applied yet.
type gathered struct {
	offset  event.Offset
	client  string
	waiters []remoting.ReplyTo // who wants an answer when it is applied
	settled []func(error)      // called when it is applied, or can't be
}

// commits gathers consumer offsets: the latest per group and queue, proposed
// together once per interval, nothing while nothing changes. A crash sends a
// consumer back by what was committed within the last interval.
type commits struct {
	proposer Proposer
	offsets  Offsets
	progress Progress
	config   *Config
	live     *live
	metrics  *brokerMetrics
	dirty    chan struct{} // one element: pending is no longer empty
	finish   chan struct{} // closed to end run
	ended    chan struct{} // closed when run has ended

	mu      sync.Mutex
	pending map[commitKey]gathered     // not proposed
	sent    map[commitKey]gathered     // proposed and not applied
	resets  map[commitKey]event.Offset // not picked up by a consumer
	waiters int
	stopped bool
	lost    error // what could not be stored when closing

	resetCount atomic.Int64 // of resets
}

func newCommits(c *Config, d Dependencies, l *live, m *brokerMetrics) *commits {
	return &commits{
		proposer: d.Proposer, offsets: d.Offsets, progress: d.Progress, config: c, live: l, metrics: m,
		dirty: make(chan struct{}, 1), finish: make(chan struct{}), ended: make(chan struct{}),
		pending: make(map[commitKey]gathered), sent: make(map[commitKey]gathered), resets: make(map[commitKey]event.Offset),
	}
}

// get is the offset as committed, gathered ones included.
func (c *commits) get(k commitKey) (event.Offset, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.getLocked(k)
}

func (c *commits) getLocked(k commitKey) (event.Offset, bool) {
	if g, found := c.pending[k]; found {
		return g.offset, true
	}
	if g, found := c.sent[k]; found {
		return g.offset, true
	}
	applied, found := c.offsets.Get(k.group, k.queue)
	return applied.Offset, found
}

// gather takes an offset that nobody waits for.
func (c *commits) gather(k commitKey, offset event.Offset, client string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.gatherLocked(k, offset, client)
	return err
}

// gatherAndAnswer takes an offset and answers rt when it is applied.
func (c *commits) gatherAndAnswer(k commitKey, offset event.Offset, client string, rt remoting.ReplyTo) error {
	waits, err := c.gatherFor(k, offset, client, rt)
	if err == nil && !waits {
		answer(rt)
	}
	return err
}

func (c *commits) gatherFor(k commitKey, offset event.Offset, client string, rt remoting.ReplyTo) (waits bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiters >= c.config.Limits.GatheredOffsets {
		return false, c.full()
	}
	table, err := c.gatherLocked(k, offset, client)
	if err != nil || table == nil {
		return false, err
	}
	g := table[k]
	g.waiters = append(g.waiters, rt)
	table[k] = g
	c.waiters++
	return true, nil
}

// gatherLocked takes an offset and returns the table in which it waits, nil
// when it is applied already.
func (c *commits) gatherLocked(k commitKey, offset event.Offset, client string) (map[commitKey]gathered, error) {
	if c.stopped {
		return nil, errStopped
	}
	if _, waits := c.resets[k]; waits {
		return nil, nil
	}
	g, waits := c.pending[k]
	if !waits {
		if s, found := c.sent[k]; found && s.offset == offset {
			return c.sent, nil
		} else if !found {
			if applied, found := c.offsets.Get(k.group, k.queue); found && applied.Offset == offset {
				return nil, nil
			}
		}
		if len(c.pending)+len(c.sent) >= c.config.Limits.GatheredOffsets {
			return nil, c.full()
		}
	}
	g.offset, g.client = offset, client
	c.pending[k] = g
	c.wakeLocked()
	return c.pending, nil
}

// gathered is the number of offsets that are not applied yet.
func (c *commits) gathered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) + len(c.sent)
}

func (c *commits) wakeLocked() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

func (c *commits) full() error {
	return refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d consumer offsets wait to be stored", c.config.Limits.GatheredOffsets)
}

// run proposes what has been gathered, one interval after the first change.
func (c *commits) run(ctx context.Context) {
	defer close(c.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.dirty:
		case <-c.finish:
			c.flushLast(ctx)
			return
		}
		timer.Reset(c.live.get().offsetCommitInterval)
		select {
		case <-timer.C:
		case <-c.finish:
			c.flushLast(ctx)
			return
		}
		c.flush(ctx)
	}
}

// flush proposes all pending offsets and returns when they are applied. The
// error is the last one's.
func (c *commits) flush(ctx context.Context) error {
	var failure error
	for {
		c.mu.Lock()
		list := c.takePendingLocked()
		c.mu.Unlock()
		if len(list) == 0 {
			return failure
		}
		err := proposeAndApply(ctx, c.proposer, c.progress, c.drafts(list))
		if err != nil && keeps(err) {
			c.settle(err)
			return err // the kept ones wait for the next interval
		}
		c.metrics.committed(len(list), err)
		c.settle(err)
		failure = cmp.Or(err, failure)
	}
}

// drafts are the events for commits whose predecessors are applied. Each event
// can be found by the commits in it.
func (c *commits) drafts(list []event.OffsetCommit) []event.Draft {
	// Commits of a group and a client share their names.
	slices.SortFunc(list, func(a, b event.OffsetCommit) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Client, b.Client))
	})
	var drafts []event.Draft
	for part := range slices.Chunk(list, commitsPerEvent) {
		d := event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, part))}
		for _, o := range part {
			d.Keys = append(d.Keys, event.CommitHash(o.Group, o.Queue))
			switch applied, found := c.offsets.Get(o.Group, o.Queue); {
			case !found:
				d.Keys = append(d.Keys, event.FirstCommitHash(o.Group, o.Queue))
			case o.Offset < applied.Offset:
				d.Keys = append(d.Keys, event.SetBackHash(o.Group, o.Queue))
			}
		}
		drafts = append(drafts, d)
	}
	return drafts
}

// takePendingLocked moves offsets from pending to sent, as many as one proposal
// takes.
func (c *commits) takePendingLocked() []event.OffsetCommit {
	list := make([]event.OffsetCommit, 0, min(len(c.pending), commitsPerProposal))
	for k, g := range c.pending {
		if len(list) == commitsPerProposal {
			break
		}
		list = append(list, event.OffsetCommit{Group: k.group, Queue: k.queue, Offset: g.offset, Client: g.client})
		c.sent[k] = g
		delete(c.pending, k)
	}
	return list
}

// keeps reports whether offsets that could not be proposed are tried again.
// Others are given up: after a change of leaders they would set back what the
// consumers have committed at the new one.
func keeps(err error) bool {
	return errors.Is(err, engine.ErrBusy) || errors.Is(err, engine.ErrDiskFull)
}

// settle ends the proposal of the sent offsets and answers those who wait.
func (c *commits) settle(err error) {
	var waiters []remoting.ReplyTo
	var settled []func(error)
	c.mu.Lock()
	for k, g := range c.sent {
		if err != nil && keeps(err) {
			if newer, found := c.pending[k]; found {
				newer.waiters = append(newer.waiters, g.waiters...)
				newer.settled = append(newer.settled, g.settled...)
				c.pending[k] = newer
			} else {
				c.pending[k] = g
			}
			continue
		}
		waiters = append(waiters, g.waiters...)
		settled = append(settled, g.settled...)
		if err != nil && len(g.settled) > 0 {
			delete(c.resets, k) // it was not made
		}
	}
	c.resetCount.Store(int64(len(c.resets)))
	clear(c.sent)
	c.waiters -= len(waiters)
	if len(c.pending) > 0 {
		c.wakeLocked()
	}
	c.mu.Unlock()
	for _, done := range settled {
		done(err)
	}
	var reply remoting.Reply
	if err != nil {
		respond(&reply, err)
		c.config.Logger.Warn("consumer offsets could not be stored", "cause", err)
	}
	var b remoting.Batch
	for _, rt := range waiters {
		b.Send(rt, &reply)
	}
	b.Flush()
}

// forget drops the offsets that are not proposed yet, and the resets, of a
// topic or a group that is about to be deleted with them.
func (c *commits) forget(match func(group string, topic event.TopicID) bool) {
	var waiters []remoting.ReplyTo
	var settled []func(error)
	c.mu.Lock()
	for k, g := range c.pending {
		if match(k.group, k.queue.Topic) {
			waiters, settled = append(waiters, g.waiters...), append(settled, g.settled...)
			delete(c.pending, k)
		}
	}
	for k := range c.resets {
		if match(k.group, k.queue.Topic) {
			delete(c.resets, k)
		}
	}
	c.resetCount.Store(int64(len(c.resets)))
	c.waiters -= len(waiters)
	c.mu.Unlock()
	for _, done := range settled {
		done(nil)
	}
	for _, rt := range waiters {
		answer(rt)
	}
}

// flushLast stores what is left when the broker closes.
func (c *commits) flushLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Limits.ShutdownPatience)
	defer cancel()
	err := c.flush(ctx)
	for errors.Is(err, engine.ErrBusy) && ctx.Err() == nil {
		err = c.flush(ctx) // the proposer has held us up for a while each time
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !errors.Is(err, engine.ErrNotLeader) { // then another node has the group's offsets
		c.lost = fmt.Errorf("store the last consumer offsets: %w: consumers will see some messages again", err)
	}
}

// close takes no more offsets and stores what is left.
func (c *commits) close() error {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	close(c.finish)
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}
