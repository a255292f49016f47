package duty

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

// fakeHalves is half messages, the log that they are in and their producers.
type fakeHalves struct {
	waiting   []pending.Entry
	born      time.Time
	refuse    error
	outcome   engine.Outcome
	frames    []int // drafts per proposal
	asked     []event.Position
	abandoned []event.Position
	unwilling error // to abandon
}

func (f *fakeHalves) Due(kind event.Kind, through int64, visit func(pending.Entry) bool) (int64, error) {
	for _, w := range slices.Clone(f.waiting) {
		if w.Kind == kind && w.Due <= through && !visit(w) {
			break
		}
	}
	return 0, nil
}

func (f *fakeHalves) Propose(p *engine.Proposal) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.frames = append(f.frames, len(p.Drafts))
	p.Outcome = f.outcome
	for _, d := range p.Drafts {
		if d.Kind != event.KindAsked {
			panic(fmt.Sprint("proposed ", d.Kind))
		}
		for i := range f.waiting {
			if f.waiting[i].Handle == d.Cause && f.outcome != engine.OutcomeUnknown {
				f.waiting[i].Due = d.Due
				f.waiting[i].Asked++
			}
		}
	}
	go p.Completion.Complete(p)
	return nil
}

func (f *fakeHalves) HalfMessageBorn(pending.Entry) (int64, error) { return f.born.UnixMilli(), nil }

func (f *fakeHalves) AskProducers(waiting []pending.Entry) {
	for _, w := range waiting {
		f.asked = append(f.asked, w.Handle)
	}
}

func (f *fakeHalves) AbandonHalfMessage(_ context.Context, w pending.Entry) error {
	if f.unwilling != nil {
		return f.unwilling
	}
	f.abandoned = append(f.abandoned, w.Handle)
	f.waiting = slices.DeleteFunc(f.waiting, func(o pending.Entry) bool { return o.Handle == w.Handle })
	return nil
}

// duty is one over f, with RocketMQ's defaults.
func (f *fakeHalves) duty() *Transactions {
	f.born = time.Now()
	return NewTransactions(TransactionsConfig{
		Interval: 30 * time.Second, ChecksMax: 15, Keep: 72 * time.Hour, Proposer: f, Waiting: f, Producers: f,
		WaitApplied: func(context.Context, event.Position) error { return nil }, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
}

// wait makes a half message that is due after a time.
func (f *fakeHalves) wait(handle event.Position, after time.Duration) {
	f.waiting = append(f.waiting, pending.Entry{Handle: handle, Kind: event.KindHalf, Due: time.Now().Add(after).UnixMilli()})
}

// runFor runs the duty for a time.
func runFor(t *testing.T, d *Transactions, long time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	d.Run(ctx)
	synctest.Wait()
}

func TestAHalfMessageIsAskedForWhenItIsDueAndThenAtIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHalves{}
		d := f.duty()
		f.wait(7, 6*time.Second)
		runFor(t, d, 5500*time.Millisecond)
		if len(f.asked) != 0 {
			t.Fatal("asked before it was due")
		}
		runFor(t, d, 2*time.Second)
		if !slices.Equal(f.asked, []event.Position{7}) {
			t.Fatalf("asked %v", f.asked)
		}
		runFor(t, d, 28*time.Second)
		if len(f.asked) != 1 {
			t.Fatalf("asked %d times within an interval", len(f.asked))
		}
		runFor(t, d, 4*time.Second)
		if len(f.asked) != 2 {
			t.Fatalf("asked %d times after an interval", len(f.asked))
		}
	})
}

func TestAfterTheLastCheckAHalfMessageIsAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHalves{}
		d := f.duty()
		f.wait(7, 0)
		runFor(t, d, 20*time.Minute)
		if len(f.asked) != 15 || !slices.Equal(f.abandoned, []event.Position{7}) {
			t.Fatalf("asked %d times, abandoned %v", len(f.asked), f.abandoned)
		}
	})
}

func TestAHalfMessageThatIsTooOldIsAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHalves{}
		d := f.duty()
		f.wait(7, 0)
		f.born = time.Now().Add(-73 * time.Hour)
		f.unwilling = errors.New("no topic")
		d.Look(t.Context())
		if len(f.asked) != 1 {
			t.Fatal("what can't be abandoned is not asked for")
		}
		f.unwilling = nil
		runFor(t, d, time.Minute)
		if len(f.asked) != 1 || len(f.abandoned) != 1 {
			t.Fatalf("asked %d times, abandoned %v", len(f.asked), f.abandoned)
		}
	})
}

func TestOneLookAsksForABoundedNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHalves{}
		d := f.duty()
		for i := range checksPerLook + 10 {
			f.wait(event.Position(i+1), 0)
		}
		d.Look(t.Context())
		if len(f.asked) != checksPerLook || slices.Max(f.frames) > checksPerProposal {
			t.Fatalf("asked for %d in frames of %v", len(f.asked), f.frames)
		}
		d.Look(t.Context())
		if len(f.asked) != checksPerLook+10 {
			t.Fatalf("asked for %d", len(f.asked))
		}
	})
}

func TestNobodyIsAskedUnlessThatIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHalves{refuse: engine.ErrNotLeader}
		d := f.duty()
		f.wait(7, 0)
		d.Look(t.Context())
		f.refuse, f.outcome = nil, engine.OutcomeUnknown
		d.Look(t.Context())
		if len(f.asked) != 0 {
			t.Fatal("asked")
		}
		f.outcome = engine.OutcomeCommitted
		d.Look(t.Context())
		if len(f.asked) != 1 {
			t.Fatal("not asked")
		}
	})
}
