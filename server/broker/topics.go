package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// creationsPerProposal bounds the topics of one proposal.
const creationsPerProposal = 256

// topicCreator makes topics exist. It is the only one that numbers new topics,
// on a goroutine of its own that proposes, waits until the topics are visible
// and then takes the next ones. All who want the same topic wait for the same
// creation.
type topicCreator struct {
	config   *Config
	proposer Proposer
	topics   Topics
	progress Progress
	changed  chan struct{} // one element
	version  atomic.Uint64 // of the topics, as last told
	wake     chan struct{} // one element

	mu       sync.Mutex // guards the rest but lastID
	waiting  map[string]*creation
	order    []*creation // those not taken yet
	requests int
	stopped  bool
	tellers  sync.WaitGroup

	lastID event.TopicID // of the creator's goroutine: the highest proposed
}

// creation is one topic to be created and those who wait for it.
type creation struct {
	settings TopicSettings
	done     []func(error)
}

func newTopicCreator(c *Config, d Dependencies) *topicCreator {
	t := &topicCreator{
		config: c, proposer: d.Proposer, topics: d.Topics, progress: d.Progress,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), waiting: make(map[string]*creation),
	}
	t.version.Store(d.Topics.Version())
	return t
}

// TopicsChanged gets an element after topics have changed, so that they are
// registered at the nameservers anew. Several changes may share one.
func (b *Broker) TopicsChanged() <-chan struct{} { return b.creator.changed }

// CreateSystemTopics creates those system topics that are not in the log yet
// and returns when they are visible. Only a node that may propose calls it.
func (b *Broker) CreateSystemTopics(ctx context.Context) error {
	topics := b.config.systemTopics()
	results := make(chan error, len(topics))
	for _, settings := range topics {
		b.creator.create(settings, func(err error) { results <- err })
	}
	for range topics {
		select {
		case err := <-results:
			if err != nil {
				return fmt.Errorf("create system topics: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("create system topics: %w", ctx.Err())
		}
	}
	return nil
}

// create makes a topic exist and then calls done, on a goroutine on which it
// may take its time. A topic that is there already stays as it is.
func (t *topicCreator) create(settings TopicSettings, done func(error)) {
	if err := t.enqueue(settings, done); err != nil {
		done(err)
	}
}

func (t *topicCreator) enqueue(settings TopicSettings, done func(error)) error {
	if err := settings.Config().Validate(); err != nil {
		return refuse(remoting.ResponseInvalidParameter, "%v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopped:
		return errStopped
	case t.requests >= t.config.Limits.WaitingCreations:
		return refuse(remoting.ResponseSystemBusy,
			"[OVERLOAD]system busy, start flow control for a while: %d requests wait for topics to be created", t.requests)
	}
	t.requests++
	c := t.waiting[settings.Name]
	if c == nil {
		c = &creation{settings: settings}
		t.waiting[settings.Name] = c
		t.order = append(t.order, c)
	}
	c.done = append(c.done, done)
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return nil
}

func (t *topicCreator) run(ctx context.Context) {
	for {
		select {
		case <-t.wake:
		case <-ctx.Done():
			t.shutDown()
			return
		}
		for {
			next := t.takeOrdered()
			if len(next) == 0 {
				break
			}
			err := t.createAll(ctx, next)
			t.noticeChanges()
			t.finish(next, err)
		}
	}
}

func (t *topicCreator) takeOrdered() []*creation {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.order), creationsPerProposal)
	next := slices.Clone(t.order[:n])
	t.order = slices.Delete(t.order, 0, n)
	return next
}

// createAll proposes the topics that aren't there yet, and waits until they
// are visible.
func (t *topicCreator) createAll(ctx context.Context, creations []*creation) error {
	ctx, cancel := context.WithTimeout(ctx, t.config.Limits.CreationPatience)
	defer cancel()
	var drafts []event.Draft
	id := max(t.topics.NextID(), t.lastID+1)
	for _, c := range creations {
		if _, found := t.topics.Get(c.settings.Name); found {
			continue
		}
		payload := event.AppendTopicConfig(nil, c.settings.Config())
		drafts = append(drafts, event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(payload)})
		id++
	}
	if len(drafts) == 0 {
		return nil
	}
	t.lastID = id - 1
	err := proposeAndApply(ctx, t.proposer, t.progress, drafts)
	if err != nil {
		t.config.Logger.Warn("topics could not be created", "first", creations[0].settings.Name, "count", len(drafts), "cause", err)
	}
	return err
}

// finish tells those who wait. They go on by themselves, so that the next
// creations don't wait for them; their number is bounded.
func (t *topicCreator) finish(creations []*creation, err error) {
	for _, c := range creations {
		t.mu.Lock()
		delete(t.waiting, c.settings.Name)
		t.mu.Unlock()
		t.tellers.Go(func() {
			for _, done := range c.done {
				done(err)
				t.mu.Lock()
				t.requests--
				t.mu.Unlock()
			}
		})
	}
}

// shutDown answers those who still wait.
func (t *topicCreator) shutDown() {
	t.mu.Lock()
	t.stopped = true
	left := t.order
	t.order = nil
	t.mu.Unlock()
	t.finish(left, errStopped)
	t.tellers.Wait()
}

// noticeChanges passes on that the topics have changed since it last looked.
// It doesn't block.
func (t *topicCreator) noticeChanges() {
	version := t.topics.Version()
	if t.version.Swap(version) == version {
		return
	}
	select {
	case t.changed <- struct{}{}:
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
