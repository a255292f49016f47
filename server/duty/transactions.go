package duty

import (
	"context"
	"log/slog"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

const (
	// transactionsPeriod is the time between two looks at the half messages.
	transactionsPeriod = time.Second
	// checksPerLook bounds what one look does; the rest is due at the next.
	checksPerLook = 1024
	// checksPerProposal bounds what stands in one frame.
	checksPerProposal = 256
)

// DueHalfMessages lists half messages whose producers have to be asked.
type DueHalfMessages interface {
	// Due visits what waits for a time up to through, the earliest first.
	Due(kind event.Kind, through int64, visit func(pending.Entry) bool) (next int64, err error)
}

// Producers are asked for outcomes.
type Producers interface {
	// HalfMessageBorn is when a half message was made, in Unix milliseconds.
	HalfMessageBorn(w pending.Entry) (int64, error)
	// AskProducers asks those who are online. It doesn't wait for answers.
	AskProducers(waiting []pending.Entry)
	// AbandonHalfMessage puts a half message where operators find it.
	AbandonHalfMessage(ctx context.Context, w pending.Entry) error
}

// TransactionsConfig is what a Transactions works with.
type TransactionsConfig struct {
	// Interval is the time between two checks of one half message
	// (transactionCheckInterval).
	Interval time.Duration
	// ChecksMax is how often its producers are asked (transactionCheckMax).
	ChecksMax int
	// Keep is how old a half message may get (fileReservedTime).
	Keep time.Duration

	Proposer  Proposer
	Waiting   DueHalfMessages
	Producers Producers
	// WaitApplied returns when the event at a position is visible.
	WaitApplied func(ctx context.Context, position event.Position) error
	Clock       func() time.Time
	Log         *slog.Logger
}

// Transactions is the duty that asks for the outcomes of transactions.
type Transactions struct{ config TransactionsConfig }

// NewTransactions returns the duty; Run does it.
func NewTransactions(c TransactionsConfig) *Transactions { return &Transactions{config: c} }

// Run looks again and again until the context ends.
func (t *Transactions) Run(ctx context.Context) {
	ticker := time.NewTicker(transactionsPeriod)
	defer ticker.Stop()
	for {
		t.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Look does what is due once. One goroutine at a time calls it.
func (t *Transactions) Look(ctx context.Context) {
	now := t.config.Clock()
	var due []pending.Entry
	_, err := t.config.Waiting.Due(event.KindHalf, now.UnixMilli(), func(w pending.Entry) bool {
		due = append(due, w)
		return len(due) < checksPerLook
	})
	if err != nil {
		t.config.Log.Error("transactions that are due can't be read; the next try is in a second", "cause", err)
		return
	}
	var ask []pending.Entry
	for _, w := range due {
		if !t.hopeless(w, now) {
			ask = append(ask, w)
		} else if err := t.config.Producers.AbandonHalfMessage(ctx, w); err != nil {
			t.config.Log.Warn("a half message can't be given up; its producers are asked once more", "position", w.Handle, "cause", err)
			ask = append(ask, w)
		}
	}
	for len(ask) > 0 && ctx.Err() == nil {
		n := min(len(ask), checksPerProposal)
		if err := t.ask(ctx, ask[:n], now); err != nil {
			t.config.Log.Warn("producers are not asked for the outcomes of their transactions; the next try is in a second", "cause", err)
			return
		}
		ask = ask[n:]
	}
}

// hopeless reports whether asking again makes no sense.
func (t *Transactions) hopeless(w pending.Entry, now time.Time) bool {
	if int64(w.Asked) >= int64(t.config.ChecksMax) {
		return true
	}
	born, err := t.config.Producers.HalfMessageBorn(w)
	if err != nil {
		t.config.Log.Error("the age of a half message is unknown", "position", w.Handle, "cause", err)
		return false
	}
	return now.Sub(time.UnixMilli(born)) > t.config.Keep
}

// ask stores that the producers were asked, and when they are asked again, and
// then asks: a crash between the two costs one check and no answer twice. A
// half message that ends meanwhile is passed over by the table.
func (t *Transactions) ask(ctx context.Context, waiting []pending.Entry, now time.Time) error {
	drafts := make([]event.Draft, len(waiting))
	for i, w := range waiting {
		drafts[i] = event.Draft{Kind: event.KindAsked, Cause: w.Handle, Due: now.Add(t.config.Interval).UnixMilli()}
	}
	done := make(asked)
	p := &engine.Proposal{Drafts: drafts, Completion: done}
	if err := t.config.Proposer.Propose(p); err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.Outcome == engine.OutcomeUnknown {
		return nil // the next look sees whether it is in the log
	}
	t.config.Producers.AskProducers(waiting)
	return t.config.WaitApplied(ctx, p.PositionOf(len(drafts)-1))
}

// asked is closed when the proposal is stored.
type asked chan struct{}

// Complete ends the wait.
func (a asked) Complete(*engine.Proposal) { close(a) }
