package replication

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// heapBytesMin is the least memory for a batch that isn't in the log's tail.
const heapBytesMin = 64 << 10

// batchBytesMax closes a batch that is still waiting; the next one is begun.
const batchBytesMax = 2 << 20

// ProposerOptions are the limits of a Proposer.
type ProposerOptions struct {
	// WaitingBytes bounds the encoded events that wait to be committed.
	WaitingBytes int
	// WaitTime is how long Propose holds its caller when the bound is reached
	// (RocketMQ's waitTimeMillsInSendQueue).
	WaitTime time.Duration
	// FlushTimeout completes a proposal as late (RocketMQ's syncFlushTimeout).
	FlushTimeout time.Duration
	// ReplicaTimeout does so where this node has stored it and waits for others
	// (RocketMQ's slaveTimeout); 0 means FlushTimeout.
	ReplicaTimeout time.Duration
	// Now is the clock, Unix milliseconds.
	Now func() int64
}

// Proposer gathers proposals into batches and completes them in log order.
type Proposer struct {
	opts   ProposerOptions
	engine *engine.Engine
	log    *commitlog.Log
	tail   *commitlog.Log // whose tail batches are put together in; nil where Raft appends them
	wake   func()         // whoever appends looks for a batch
	seed   event.Seed
	term   event.Term

	mu       sync.Mutex
	refusal  error    // why nothing is accepted at present
	open     *batch   // gathers proposals
	urgent   []*batch // give back space; they enter no queue, so they may go first
	closed   []*batch // full, oldest first, waiting for the log
	inflight []*batch // in the log, not committed, oldest first
	spare    []*batch
	next     map[event.Queue]event.Offset // Applied plus what is on its way
	early    int                          // proposals in flight that wait for Written only
	waiting  int                          // bytes
	stopped  bool
	room     chan struct{} // closed when bytes were released while somebody waits

	metrics *proposerMetrics

	replicated atomic.Uint64 // frames up to here are on as many replicas as are asked for

	completing sync.Mutex // completions run one at a time
	ready      []*batch   // of the completion under way
}

// batch is the data of one frame and the proposals in it.
type batch struct {
	data   []byte
	lease  commitlog.Lease // that data is in; none for data on the heap
	sum    commitlog.Sum
	heap   []byte // kept for another time
	events int
	parts  []part
	early  int // parts that wait for Written only and are not complete
	done   int // parts that are complete

	appended bool // to the log, as ticket says
	handed   bool // to Raft, which may hold on to data
	stored   bool // on this node's disk, or StoreLogs has failed
	ticket   commitlog.Ticket
}

type part struct {
	proposal *engine.Proposal // nil once it is complete
	at       int              // of its first event in data
	since    int64            // when it was proposed, Unix milliseconds
}

func newProposer(o ProposerOptions) *Proposer {
	if o.ReplicaTimeout == 0 {
		o.ReplicaTimeout = o.FlushTimeout
	}
	p := &Proposer{opts: o, open: &batch{}, next: make(map[event.Queue]event.Offset), metrics: newProposerMetrics()}
	p.replicated.Store(math.MaxUint64)
	return p
}

// attach connects the proposer to an engine that is open.
func (p *Proposer) attach(e *engine.Engine, term event.Term) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.engine, p.log, p.term = e, e.Log(), term
	p.seed = p.log.Seed()
	p.tail, p.wake = p.log, p.log.Wake
}

// Propose places the proposal in the order. An error means that nothing was
// stored and Complete will not be called: engine.ErrBusy when too many bytes
// wait for longer than WaitTime, engine.ErrTooLarge, engine.ErrClosed.
func (p *Proposer) Propose(proposal *engine.Proposal) error {
	for i := range proposal.Drafts {
		if err := proposal.Drafts[i].Validate(); err != nil {
			return err
		}
	}
	n := proposal.EncodedBytes()
	if most := p.log.DataBytesMax(); n > most {
		return fmt.Errorf("propose %d bytes: %w; at most %d are allowed", n, engine.ErrTooLarge, most)
	}
	now := p.opts.Now()
	p.mu.Lock()
	if err := p.admitLocked(proposal, n); err != nil {
		p.mu.Unlock()
		return err
	}
	idle := p.gatherLocked(proposal, n, now)
	p.mu.Unlock()
	if idle {
		p.wake()
	}
	return nil
}

// admitLocked waits for room. The lock is released while it waits.
func (p *Proposer) admitLocked(proposal *engine.Proposal, n int) error {
	var timeout <-chan time.Time
	for {
		switch {
		case p.stopped:
			return fmt.Errorf("propose: %w", engine.ErrClosed)
		case p.refusal != nil:
			return fmt.Errorf("propose: %w", p.refusal)
		case decides(proposal):
			return nil
		case p.isUrgent(proposal):
			if p.log.RoomToFree() < int64(p.waiting+n) {
				return fmt.Errorf("propose: %w; not even what is held back for that has room to move what waits; free space", engine.ErrDiskFull)
			}
			return nil
		case p.log.Room() < int64(p.waiting+n):
			return fmt.Errorf("propose: %w; free space or shorten the retention", engine.ErrDiskFull)
		case p.waiting == 0 || p.waiting+n <= p.opts.WaitingBytes:
			return nil
		}
		if timeout == nil {
			timer := time.NewTimer(p.opts.WaitTime)
			defer timer.Stop()
			timeout = timer.C
		}
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		var late bool
		select {
		case <-room:
		case <-timeout:
			late = true
		}
		p.mu.Lock()
		if late {
			return fmt.Errorf("propose: %w: %d bytes for longer than %v", engine.ErrBusy, p.waiting, p.opts.WaitTime)
		}
	}
}

// decides reports whether a proposal gives back space by itself. It is taken on
// a full disk, too: what the log holds back has room for it.
func decides(proposal *engine.Proposal) bool {
	return len(proposal.Drafts) == 1 && proposal.Drafts[0].Kind == event.KindTrim
}

// isUrgent reports whether a proposal goes before batches that wait for space:
// a decision to trim and, on a full disk, the moves that have to come before
// one.
func (p *Proposer) isUrgent(proposal *engine.Proposal) bool {
	return decides(proposal) || p.log.Room() < math.MaxInt64 &&
		!slices.ContainsFunc(proposal.Drafts, func(d event.Draft) bool { return d.Kind != event.KindMoved })
}

// gatherLocked encodes the proposal, made at now, into the open batch and
// reports whether the flusher is to look for it.
func (p *Proposer) gatherLocked(proposal *engine.Proposal, n int, now int64) (idle bool) {
	b := p.open
	if p.isUrgent(proposal) {
		p.leaveTailLocked()
		b = p.takeSpareLocked()
		p.urgent = append(p.urgent, b)
	} else if len(b.data) > 0 && (len(b.data)+n > min(batchBytesMax, p.log.DataBytesMax()) || !p.growLocked(b, n)) {
		p.closed = append(p.closed, b)
		b = p.takeSpareLocked()
		p.open = b
	}
	at := len(b.data)
	if idle = at == 0; idle {
		p.beginLocked(b, n)
	}
	b.data = b.data[:at+n]
	p.count(proposal)
	to := at
	for i := range proposal.Drafts {
		d := &proposal.Drafts[i]
		size := d.EncodedBytes()
		d.Encode(b.data[to:to+size], p.seed)
		b.sum.Add(p.seed, event.Event(b.data[to:to+size]))
		to += size
	}
	b.events += len(proposal.Drafts)
	b.parts = append(b.parts, part{proposal: proposal, at: at, since: now})
	if proposal.Wait == engine.WaitWritten {
		idle = idle || b.early == 0
		b.early++
	}
	p.waiting += n
	return idle
}

// beginLocked gives an empty batch memory for n bytes: in the log's tail, where
// it will be written from, unless another batch waits that isn't there.
func (p *Proposer) beginLocked(b *batch, n int) {
	last := len(p.closed) - 1
	if p.tail != nil && len(p.urgent) == 0 && (last < 0 || !p.closed[last].lease.None()) {
		b.lease, b.data = p.tail.Lease(n)
	}
	if b.lease.None() {
		b.data = slices.Grow(b.heap[:0], max(n, heapBytesMin))
	}
	b.data = b.data[:0]
}

// growLocked makes room for n bytes more and reports whether there is.
func (p *Proposer) growLocked(b *batch, n int) bool {
	length := len(b.data)
	if length+n <= cap(b.data) {
		return true
	}
	if b.lease.None() {
		b.data = slices.Grow(b.data, max(n, length)) // twice as much each time
		return true
	}
	grown := p.log.Extend(b.lease, length+n)
	if grown == nil {
		return false
	}
	b.data = grown[:length]
	return true
}

// leaveTailLocked moves what waits out of the log's tail, newest first, so that
// another batch can go before it.
func (p *Proposer) leaveTailLocked() {
	for i := len(p.closed); i >= 0; i-- {
		b := p.open
		if i < len(p.closed) {
			b = p.closed[i]
		}
		if !b.lease.None() {
			b.data = append(b.heap[:0], b.data...)
			p.log.Release(b.lease)
			b.lease = commitlog.Lease{}
		}
	}
}

// count gives the proposal its queue offsets.
func (p *Proposer) count(proposal *engine.Proposal) {
	proposal.Offset = -1
	for i := range proposal.Drafts {
		d := &proposal.Drafts[i]
		if d.Kind == event.KindTopicDeleted {
			p.forget(d.Topic)
		}
		if d.Stream != event.StreamQueue {
			continue
		}
		q := event.Queue{Topic: d.Topic, ID: d.Queue}
		next, known := p.next[q]
		if !known {
			_, next = p.engine.Bounds(q)
		}
		if proposal.Offset < 0 {
			proposal.Offset = next
		}
		p.next[q] = next + 1
	}
}

// forget drops the counters of a topic incarnation that is being deleted.
func (p *Proposer) forget(topic event.TopicID) {
	for q := range p.next {
		if q.Topic == topic {
			delete(p.next, q)
		}
	}
}

func (p *Proposer) takeSpareLocked() *batch {
	if n := len(p.spare); n > 0 {
		b := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return b
	}
	return &batch{}
}

// source gives the log the next batch, if it has atLeast bytes. It runs on the
// flusher's goroutine: a batch closes when the disk is ready for it.
func (p *Proposer) source(atLeast int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b *batch
	from := &p.closed
	if len(p.urgent) > 0 {
		from = &p.urgent
	}
	switch {
	case len(*from) > 0:
		b = (*from)[0]
		*from = append((*from)[:0], (*from)[1:]...)
	case len(p.open.data) >= atLeast || p.open.early > 0 && p.writesNothing():
		b = p.open
		p.open = p.takeSpareLocked()
	default:
		return
	}
	ticket, err := p.log.Append(commitlog.Batch{
		Kind: commitlog.FrameEvents, Term: p.term, Events: b.events, Timestamp: p.opts.Now(), Data: b.data, Sum: b.sum, Lease: b.lease,
	})
	if err != nil {
		// A full disk: the batch waits for space, and admitLocked refuses others.
		// Anything else: the log has failed or was closed, the process is ending.
		p.stopped = p.stopped || !errors.Is(err, engine.ErrDiskFull)
		*from = append([]*batch{b}, *from...)
		return
	}
	b.ticket, b.appended = ticket, true
	p.inflight = append(p.inflight, b)
	p.early += b.early
}

// writesNothing reports whether all that was appended is written: then a small
// batch need not wait for the sync that runs, if somebody waits for its write
// only.
func (p *Proposer) writesNothing() bool {
	m := p.log.Marks()
	return m.Written == m.Appended
}

// written completes the proposals that wait for no more. It runs on the
// flusher's goroutine.
func (p *Proposer) written(through event.Index) {
	p.mu.Lock()
	none := p.early == 0
	p.mu.Unlock()
	if none {
		return
	}
	p.completing.Lock()
	defer p.completing.Unlock()
	p.mu.Lock()
	p.ready = p.ready[:0]
	for _, b := range p.inflight {
		if b.appended && b.ticket.Index <= through && b.early > 0 {
			p.ready = append(p.ready, b)
		}
	}
	p.mu.Unlock()
	for _, b := range p.ready {
		p.forgetEarly(b)
		b.complete(b.parts, engine.OutcomeCommitted, waitsForWritten)
	}
}

// forgetEarly forgets that parts of a batch wait for Written only.
func (p *Proposer) forgetEarly(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.early -= b.early
	b.early = 0
}

// committed completes the proposals of all frames that are committed. It runs
// on the goroutine that moved the mark: the flusher's.
func (p *Proposer) committed(m engine.Marks) {
	p.completing.Lock()
	defer p.completing.Unlock()
	for {
		b := p.nextCommitted(m.Committed)
		if b == nil {
			return
		}
		outcome := engine.OutcomeCommitted
		if uint64(b.ticket.Index) > p.replicated.Load() {
			outcome = engine.OutcomeNoReplica
		}
		b.complete(b.parts, outcome, everyProposal)
		p.recycle(b)
	}
}

func (p *Proposer) nextCommitted(through event.Index) *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inflight) == 0 || !p.inflight[0].appended || p.inflight[0].ticket.Index > through {
		return nil
	}
	b := p.inflight[0]
	p.inflight = append(p.inflight[:0], p.inflight[1:]...)
	p.early -= b.early
	if b.handed && !b.stored {
		p.wake() // it is stored, and whoever says so finds it gone
	}
	return b
}

// complete tells the outcome to the proposals among parts that are not
// complete and that chosen holds for. Of those that follow it counts the
// gathered ones alone: another's completion doesn't do their work.
func (b *batch) complete(parts []part, outcome engine.Outcome, chosen func(*engine.Proposal) bool) {
	gathered := 0
	for i := range parts {
		if pr := parts[i].proposal; pr != nil && pr.Gathered && chosen(pr) {
			gathered++
		}
	}
	for i := range parts {
		pr := parts[i].proposal
		if pr == nil || !chosen(pr) {
			continue
		}
		if pr.Gathered {
			gathered--
			pr.Following = gathered
		}
		pr.Outcome = outcome
		if outcome != engine.OutcomeUnknown {
			pr.Position = b.ticket.Position + event.Position(parts[i].at)
			pr.Timestamp = b.ticket.Timestamp
		}
		parts[i].proposal = nil
		b.done++
		pr.Completion.Complete(pr)
	}
}

func everyProposal(*engine.Proposal) bool { return true }

func waitsForWritten(p *engine.Proposal) bool { return p.Wait == engine.WaitWritten }

// What is kept for the next batches: so many, so many of them with memory of
// their own, and so much of it each.
const (
	spareBatches  = 16
	spareHeaps    = 8
	spareBytesMax = 2 * batchBytesMax
)

// recycle releases the bytes of a batch and keeps its memory for another.
func (p *Proposer) recycle(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting -= len(b.data)
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
	if b.lease.None() {
		b.heap = b.data[:0]
	}
	if len(p.spare) >= spareHeaps || cap(b.heap) > spareBytesMax {
		b.heap = nil
	}
	if len(p.spare) < spareBatches {
		*b = batch{heap: b.heap, parts: b.parts[:0]}
		p.spare = append(p.spare, b)
	}
}

// expire completes what was proposed longer ago than FlushTimeout, or than
// ReplicaTimeout where this node has stored it: as late where it is in the log,
// else, where the disk has not even let it be appended, as unknown. The batches
// stay: their bytes count until the disk has answered.
func (p *Proposer) expire() {
	p.completing.Lock()
	defer p.completing.Unlock()
	now := p.opts.Now()
	p.mu.Lock()
	if p.open.lateParts(p.lateBeforeLocked(p.open, now)) > 0 {
		p.closed = append(p.closed, p.open) // so that nothing is added to it
		p.open = p.takeSpareLocked()
	}
	p.ready = append(append(p.ready[:0], p.inflight...), p.closed...)
	p.mu.Unlock()
	for _, b := range p.ready {
		p.mu.Lock()
		limit := p.lateBeforeLocked(b, now)
		p.mu.Unlock()
		p.expireParts(b, b.lateParts(limit))
	}
}

// lateBeforeLocked is when a proposal of a batch must have been made to be late.
func (p *Proposer) lateBeforeLocked(b *batch, now int64) int64 {
	if b.stored {
		return now - p.opts.ReplicaTimeout.Milliseconds()
	}
	return now - p.opts.FlushTimeout.Milliseconds()
}

// lateParts is how many parts were proposed before limit, of which the clock's
// step is part: the first ones.
func (b *batch) lateParts(limit int64) int {
	return sort.Search(len(b.parts), func(i int) bool { return b.parts[i].since >= limit })
}

func (p *Proposer) expireParts(b *batch, count int) {
	waiting, early := 0, 0
	for _, part := range b.parts[:count] {
		if part.proposal != nil {
			waiting++
			if waitsForWritten(part.proposal) {
				early++
			}
		}
	}
	if waiting == 0 {
		return
	}
	p.mu.Lock()
	outcome, counter := engine.OutcomeUnknown, p.metrics.doubt
	b.early -= early
	if b.appended {
		outcome, counter = b.lateOutcome(), p.metrics.late
	}
	if b.appended || b.handed {
		p.early -= early
	}
	p.mu.Unlock()
	counter.Add(waiting)
	b.complete(b.parts[:count], outcome, everyProposal)
}

// lateOutcome says what a batch waits for that is in the log.
func (b *batch) lateOutcome() engine.Outcome {
	if b.stored {
		return engine.OutcomeReplicaTimeout
	}
	return engine.OutcomeFlushTimeout
}

// drain refuses further proposals and waits until all that were accepted are
// complete, or until stop.
func (p *Proposer) drain(stop <-chan time.Time) error {
	for {
		p.mu.Lock()
		p.stopped = true
		if p.waiting == 0 {
			p.mu.Unlock()
			return nil
		}
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
		case <-stop:
			return errors.New("stop: proposals are still waiting for the disk; they stay in the log as far as they were written")
		}
	}
}
