package duty

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// retentionPeriod is the time between two looks: RocketMQ's
// cleanResourceInterval.
const retentionPeriod = 10 * time.Second

// Proposer stores the decision.
type Proposer interface {
	// Propose places the proposal in the log; an error means nothing was stored.
	Propose(p *engine.Proposal) error
}

// Segments is the log that retention looks at.
type Segments interface {
	// Sealed lists the segments that take no more frames, oldest first.
	Sealed() []commitlog.Sealed
	// FileBytes is the length of all segments.
	FileBytes() int64
}

// Keeper keeps what waits from being dropped.
type Keeper interface {
	// MoveBefore returns when nothing waits before a position any more.
	MoveBefore(ctx context.Context, position event.Position) error
	// Clear is the position before which nothing waits, position at most.
	Clear(position event.Position) (event.Position, error)
}

// RetentionConfig is what a Retention works with.
type RetentionConfig struct {
	Rules    Rules
	Proposer Proposer
	Segments Segments
	Keeper   Keeper
	// Progress tells what is applied and what was dropped.
	Progress func() engine.Marks
	// Space is the size of the disk and what is free, in bytes.
	Space func() (total, free uint64, err error)
	Clock func() time.Time
	Log   *slog.Logger
}

// Retention is the duty that drops the old part of the log.
type Retention struct {
	config  RetentionConfig
	metrics *retentionMetrics
	blind   bool // the last look at the disk's space failed
	asked   atomic.Bool
}

// NewRetention returns the duty; Run does it.
func NewRetention(c RetentionConfig) *Retention {
	return &Retention{config: c, metrics: newRetentionMetrics(c.Segments)}
}

// Run looks again and again until the context ends.
func (r *Retention) Run(ctx context.Context) {
	ticker := time.NewTicker(retentionPeriod)
	defer ticker.Stop()
	for {
		r.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Look decides once and proposes the decision, if there is one. A decision that
// is on its way is waited for: the next look sees what it did. One goroutine
// at a time calls it.
func (r *Retention) Look(ctx context.Context) {
	if r.asked.Load() {
		return
	}
	marks := r.config.Progress()
	s := situation{now: r.config.Clock(), trimmed: marks.Trimmed, fileBytes: r.config.Segments.FileBytes()}
	for _, segment := range r.config.Segments.Sealed() {
		if segment.Last <= marks.Applied {
			s.sealed = append(s.sealed, segment)
		}
	}
	s.total, s.free = r.space()
	trim, any := r.config.Rules.decide(s)
	if !any {
		return
	}
	trim, any, err := r.makeWay(ctx, trim, s.sealed)
	if any {
		err = errors.Join(err, r.propose(trim, s.now))
	}
	if err != nil && ctx.Err() == nil {
		r.config.Log.Warn("the oldest part of the log is not dropped; the next try is in ten seconds", "cause", err)
	}
}

// makeWay has everything that waits in the part that is to go stored again.
// Where that fails, as the disk has no room for all of it, it goes segment by
// segment as far as there is room, and the trim is shortened to the part in
// which nothing waits then; false: there is none.
func (r *Retention) makeWay(ctx context.Context, trim event.Trim, sealed []commitlog.Sealed) (event.Trim, bool, error) {
	failed := r.config.Keeper.MoveBefore(ctx, trim.Position)
	if failed == nil {
		return trim, true, nil
	}
	trimmed := r.config.Progress().Trimmed
	candidates := slices.DeleteFunc(slices.Clone(sealed), func(s commitlog.Sealed) bool { return s.Last <= trimmed || s.End > trim.Position })
	for _, segment := range candidates {
		if r.config.Keeper.MoveBefore(ctx, segment.End) != nil {
			break
		}
	}
	clear, err := r.config.Keeper.Clear(trim.Position)
	if err != nil {
		return trim, false, errors.Join(failed, err)
	}
	shorter, any := trim, false
	for _, segment := range candidates {
		if segment.End <= clear {
			shorter.Through, shorter.Position, any = segment.Last, segment.End, true
		}
	}
	if !any {
		return trim, false, failed
	}
	r.config.Log.Warn("a part of what is to be dropped stays, as messages wait there; the next look goes on with the space that this one gives",
		"through", shorter.Through, "of", trim.Through, "cause", failed)
	return shorter, true, nil
}

// space measures the disk. Without an answer the rules see an empty disk, so
// that nothing goes by mistake.
func (r *Retention) space() (total, free uint64) {
	total, free, err := r.config.Space()
	if err != nil && !r.blind {
		r.config.Log.Warn("free space is unknown; old messages are dropped by age and size alone", "cause", err)
	}
	r.blind = err != nil
	if err != nil {
		return 0, 0
	}
	return total, free
}

func (r *Retention) propose(trim event.Trim, now time.Time) error {
	if err := trim.Validate(); err != nil {
		panic(fmt.Sprintf("BUG: retention decides what is not valid: %v", err))
	}
	r.asked.Store(true)
	p := &engine.Proposal{
		Drafts:     []event.Draft{{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, trim))}},
		Completion: decision{r, trim},
	}
	if err := r.config.Proposer.Propose(p); err != nil {
		r.asked.Store(false)
		return err
	}
	r.config.Log.Info("dropping the oldest part of the log", "cause", trim.Cause, "through", trim.Through, "position", trim.Position)
	return nil
}

// decision is told when a trim is in the log.
type decision struct {
	retention *Retention
	trim      event.Trim
}

// Complete counts the decision.
func (d decision) Complete(p *engine.Proposal) {
	if p.Outcome != engine.OutcomeUnknown {
		d.retention.metrics.decided(d.trim.Cause)
	}
	d.retention.asked.Store(false)
}
