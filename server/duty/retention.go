package duty

import (
	"context"
	"fmt"
	"log/slog"
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

// RetentionConfig is what a Retention works with.
type RetentionConfig struct {
	Rules    Rules
	Proposer Proposer
	Segments Segments
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
		r.Look()
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
func (r *Retention) Look() {
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
	if err := r.propose(trim, s.now); err != nil {
		r.config.Log.Warn("the oldest part of the log is not dropped; the next try is in ten seconds", "cause", err)
	}
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
