package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// Bounds of one proposal of the registry.
const (
	changesPerProposal      = 256
	changeBytesPerProposal  = 512 << 10
	topicIDsExhaustedRemark = "all topic numbers of this log are used up: no topic can be created any more"
)

// registry makes topics and groups exist, change and go. It is the only one
// that proposes their events and numbers new topics, on a goroutine of its own
// that decides, proposes, waits until the events are visible and only then
// decides the next: so each decision sees the outcome of those before it. All
// who want the same thing created wait for the same change.
type registry struct {
	config   *Config
	proposer Proposer
	topics   Topics
	groups   Groups
	progress Progress
	forget   func(match func(group string, topic event.TopicID) bool) // drops offsets on their way
	changed  chan struct{}                                            // one element
	version  atomic.Uint64                                            // of the topics, as last told
	wake     chan struct{}                                            // one element

	mu       sync.Mutex // guards the rest but lastID
	waiting  map[subject]*change
	order    []*change // those not taken yet
	requests int
	stopped  bool
	tellers  sync.WaitGroup

	lastID event.TopicID // of the registry's goroutine: the highest proposed
}

// subject is what a change is about. Two changes of one subject are never in
// the same proposal.
type subject struct {
	kind event.Kind // KindTopic or KindGroup
	name string
}

// change is something to be decided, and those who wait for it.
type change struct {
	subject subject
	// decide says which event is needed as things are, nil for none. It runs
	// on the registry's goroutine.
	decide func(ids *topicIDs) (*event.Draft, error)
	done   []func(error)
	err    error
}

// topicIDs numbers the new topics of one proposal.
type topicIDs struct{ next event.TopicID }

func (i *topicIDs) take() (event.TopicID, error) {
	if i.next == 0 {
		return 0, refuse(remoting.ResponseSystemError, topicIDsExhaustedRemark)
	}
	id := i.next
	i.next++
	return id, nil
}

func newRegistry(c *Config, d Dependencies, o *commits) *registry {
	r := &registry{
		config: c, proposer: d.Proposer, topics: d.Topics, groups: d.Groups, progress: d.Progress, forget: o.forget,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), waiting: make(map[subject]*change),
	}
	r.version.Store(d.Topics.Version())
	return r
}

// share makes the change, unless the same is waited for already, and calls
// done when it is visible, on a goroutine on which done may take its time.
func (r *registry) share(c *change, done func(error)) {
	if err := r.enqueue(c, true, done); err != nil {
		done(err)
	}
}

// make makes the change and calls done as share does.
func (r *registry) make(c *change, done func(error)) {
	if err := r.enqueue(c, false, done); err != nil {
		done(err)
	}
}

func (r *registry) enqueue(c *change, shared bool, done func(error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return errStopped
	case r.requests >= r.config.Limits.WaitingCreations:
		return refuse(remoting.ResponseSystemBusy,
			"[OVERLOAD]system busy, start flow control for a while: %d requests wait for topics and groups to be changed", r.requests)
	}
	r.requests++
	if same := r.waiting[c.subject]; shared && same != nil {
		same.done = append(same.done, done)
		return nil
	}
	if shared {
		r.waiting[c.subject] = c
	}
	r.order = append(r.order, c)
	c.done = append(c.done, done)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

func (r *registry) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			r.shutDown()
			return
		}
		for {
			next := r.takeOrdered()
			if len(next) == 0 {
				break
			}
			r.settle(ctx, next)
			r.noticeChanges()
			r.finish(next)
		}
	}
}

// takeOrdered takes the first changes, up to the second of one subject.
func (r *registry) takeOrdered() []*change {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := make(map[subject]struct{})
	n := 0
	for n < min(len(r.order), changesPerProposal) {
		if _, again := taken[r.order[n].subject]; again {
			break
		}
		taken[r.order[n].subject] = struct{}{}
		n++
	}
	next := slices.Clone(r.order[:n])
	r.order = slices.Delete(r.order, 0, n)
	return next
}

// settle decides the changes, proposes the events that they need and waits
// until those are visible.
func (r *registry) settle(ctx context.Context, changes []*change) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Limits.CreationPatience)
	defer cancel()
	ids := &topicIDs{next: max(r.topics.NextID(), r.lastID+1)}
	var drafts []event.Draft
	var needed []*change
	bytes := 0
	propose := func() {
		if len(drafts) == 0 {
			return
		}
		r.lastID = max(r.lastID, ids.next-1)
		err := proposeAndApply(ctx, r.proposer, r.progress, drafts)
		// A follower hears of groups from clients that tell the leader as well.
		if err != nil && !errors.Is(err, engine.ErrNotLeader) {
			r.config.Logger.Warn("topics or groups could not be changed", "first", needed[0].subject.name, "count", len(drafts), "cause", err)
		}
		for _, c := range needed {
			c.err = err
		}
		drafts, needed, bytes = nil, nil, 0
	}
	for _, c := range changes {
		draft, err := c.decide(ids)
		c.err = err
		if err != nil || draft == nil {
			continue
		}
		if bytes+draft.EncodedBytes() > changeBytesPerProposal {
			propose()
		}
		bytes += draft.EncodedBytes()
		drafts, needed = append(drafts, *draft), append(needed, c)
	}
	propose()
}

// finish tells those who wait. They go on by themselves, so that the next
// changes don't wait for them; their number is bounded.
func (r *registry) finish(changes []*change) {
	for _, c := range changes {
		r.mu.Lock()
		if r.waiting[c.subject] == c {
			delete(r.waiting, c.subject)
		}
		r.mu.Unlock()
		r.tellers.Go(func() {
			for _, done := range c.done {
				done(c.err)
				r.mu.Lock()
				r.requests--
				r.mu.Unlock()
			}
		})
	}
}

// waitingRequests is the number of requests that wait for changes.
func (r *registry) waitingRequests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// shutDown answers those who still wait.
func (r *registry) shutDown() {
	r.mu.Lock()
	r.stopped = true
	left := r.order
	r.order = nil
	r.mu.Unlock()
	for _, c := range left {
		c.err = errStopped
	}
	r.finish(left)
	r.tellers.Wait()
}

// noticeChanges passes on that the topics have changed since it last looked.
// It doesn't block.
func (r *registry) noticeChanges() {
	version := r.topics.Version()
	if r.version.Swap(version) != version {
		r.tellChanged()
	}
}

// tellChanged has the topics registered anew. It doesn't block.
func (r *registry) tellChanged() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// settled is a proposal that one goroutine waits for.
type settled struct {
	proposal engine.Proposal
	done     chan struct{}
}

func (s *settled) Complete(*engine.Proposal) { close(s.done) }

// proposeAndApply stores events and returns when they are visible. After an
// error of ctx, and after errUnknownOutcome, they may become visible later.
func proposeAndApply(ctx context.Context, p Proposer, progress Progress, drafts []event.Draft) error {
	s := &settled{done: make(chan struct{})}
	s.proposal = engine.Proposal{Drafts: drafts, Completion: s}
	if err := p.Propose(&s.proposal); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return errors.Join(errUnknownOutcome, ctx.Err())
	}
	if s.proposal.Outcome == engine.OutcomeUnknown {
		return errUnknownOutcome
	}
	return progress.WaitApplied(ctx, s.proposal.PositionOf(len(drafts)-1))
}
