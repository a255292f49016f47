package duty

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// fakeLog keeps proposals until they are completed by hand.
type fakeLog struct {
	sealed    []commitlog.Sealed
	marks     engine.Marks
	refuse    error
	keep      error
	clear     event.Position
	proposals []*engine.Proposal
}

func (l *fakeLog) Sealed() []commitlog.Sealed { return l.sealed }
func (l *fakeLog) FileBytes() int64           { return gib * int64(len(l.sealed)+1) }

func (l *fakeLog) Propose(p *engine.Proposal) error {
	if l.refuse == nil {
		l.proposals = append(l.proposals, p)
	}
	return l.refuse
}

// MoveBefore does what keep says.
func (l *fakeLog) MoveBefore(context.Context, event.Position) error { return l.keep }

func (l *fakeLog) Clear(position event.Position) (event.Position, error) {
	return min(position, l.clear), nil
}

func newFake() (*fakeLog, *Retention, *bytes.Buffer) {
	l, text := &fakeLog{sealed: segments(90, 80, 10), marks: engine.Marks{Applied: 1000}}, &bytes.Buffer{}
	return l, NewRetention(RetentionConfig{
		Rules:    Rules{Keep: 72 * time.Hour, Hours: []int{4}, ExpirePercent: 75, ForciblePercent: 85},
		Proposer: l, Segments: l, Keeper: l, Progress: func() engine.Marks { return l.marks },
		Space: func() (uint64, uint64, error) { return 100 * gib, 50 * gib, nil },
		Clock: func() time.Time { return four }, Log: slog.New(slog.NewTextHandler(text, nil)),
	}), text
}

func TestADecisionIsOneEventAndIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	l, r, _ := newFake()
	r.Look(t.Context())
	r.Look(t.Context()) // the first is on its way
	if len(l.proposals) != 1 {
		t.Fatalf("%d proposals, expected 1", len(l.proposals))
	}
	p := l.proposals[0]
	trim, err := event.DecodeTrim(p.Drafts[0].Payload.(event.Bytes))
	if want := (event.Trim{Through: 200, Position: 2000, Cause: event.TrimByAge}); err != nil || trim != want || p.Drafts[0].Kind != event.KindTrim {
		t.Fatalf("%v %+v, expected %+v; %v", p.Drafts[0].Kind, trim, want, err)
	}
	p.Completion.Complete(p)
	l.marks.Trimmed = 200
	r.Look(t.Context())
	if len(l.proposals) != 1 {
		t.Fatal("what is dropped was dropped again")
	}
	var b bytes.Buffer
	r.WriteMetrics(&b)
	if !strings.Contains(b.String(), `apogee_duty_trims_total{cause="age"} 1`) {
		t.Fatalf("metrics:\n%s", b.String())
	}
}

func TestWhatIsNotAppliedIsNotDropped(t *testing.T) {
	t.Parallel()
	l, r, _ := newFake()
	l.marks.Applied = 150
	r.Look(t.Context())
	trim, err := event.DecodeTrim(l.proposals[0].Drafts[0].Payload.(event.Bytes))
	if err != nil || trim.Through != 100 {
		t.Fatalf("%+v, expected frame 100; %v", trim, err)
	}
}

func TestARefusedDecisionIsMadeAgain(t *testing.T) {
	t.Parallel()
	l, r, text := newFake()
	l.refuse = engine.ErrBusy
	r.Look(t.Context())
	l.refuse = nil
	r.Look(t.Context())
	if len(l.proposals) != 1 || strings.Count(text.String(), "next try") != 1 {
		t.Fatalf("%d proposals; %s", len(l.proposals), text)
	}
}

func TestWithoutAnAnswerOfTheDiskSpacePlaysNoPart(t *testing.T) {
	t.Parallel()
	l, r, text := newFake()
	r.config.Clock = func() time.Time { return four.Add(time.Hour) }
	r.config.Space = func() (uint64, uint64, error) { return 100, 0, errors.New("no answer") }
	r.Look(t.Context())
	r.Look(t.Context())
	if len(l.proposals) != 0 || strings.Count(text.String(), "free space is unknown") != 1 {
		t.Fatalf("%d proposals; %s", len(l.proposals), text)
	}
}

func TestRunLooksAtOnceAndEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, r, _ := newFake()
		looks := 0
		r.config.Clock = func() time.Time { looks++; return four.Add(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		r.Run(ctx)
		if looks != 3 {
			t.Fatalf("%d looks in 25 seconds, expected 3", looks)
		}
	})
}

func TestWhatWaitsAndCannotBeMovedIsNotDropped(t *testing.T) {
	t.Parallel()
	l, r, text := newFake()
	l.keep, l.clear = engine.ErrDiskFull, 1500
	r.Look(t.Context())
	if len(l.proposals) != 1 {
		t.Fatalf("%d proposals; %s", len(l.proposals), text)
	}
	trim, err := event.DecodeTrim(l.proposals[0].Drafts[0].Payload.(event.Bytes))
	if err != nil || trim.Through != 100 || !strings.Contains(text.String(), "full") {
		t.Fatalf("%+v, expected frame 100; %v; %s", trim, err, text)
	}
	l, r, text = newFake()
	l.keep, l.clear = engine.ErrDiskFull, 500
	r.Look(t.Context())
	if len(l.proposals) != 0 || !strings.Contains(text.String(), "full") {
		t.Fatalf("%d proposals; %s", len(l.proposals), text)
	}
}
