package retention_test

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/retention"
)

func trim(through event.Index, position event.Position) event.Event {
	payload := event.AppendTrim(nil, event.Trim{Through: through, Position: position, Cause: event.TrimBySize})
	d := event.Draft{Kind: event.KindTrim, Payload: event.Bytes(payload)}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func TestTheMarkMovesUpAndNeverBackNorPastItsOwnFrame(t *testing.T) {
	t.Parallel()
	table := retention.New()
	for i, step := range []struct {
		at       projection.Place
		through  event.Index
		position event.Position
		want     event.Index
	}{
		{projection.Place{Index: 10, Position: 1000}, 4, 400, 4},
		{projection.Place{Index: 11, Position: 1100}, 3, 300, 4}, // back
		{projection.Place{Index: 11, Position: 1100}, 4, 400, 4}, // the same
		{projection.Place{Index: 12, Position: 1200}, 12, 500, 4},
		{projection.Place{Index: 12, Position: 1200}, 5, 1201, 4},
		{projection.Place{Index: 13, Position: 1300, Timestamp: 77}, 12, 1200, 12},
	} {
		table.Apply(step.at, trim(step.through, step.position))
		if got := table.Mark().Through; got != step.want {
			t.Fatalf("step %d: the log begins behind frame %d, expected %d", i, got, step.want)
		}
	}
	want := retention.Mark{Trim: event.Trim{Through: 12, Position: 1200, Cause: event.TrimBySize}, Decided: 13, DecidedAt: 77}
	if got := table.Mark(); got != want {
		t.Fatalf("mark %+v, expected %+v", got, want)
	}
}

func TestBytesNoProposerLetsThroughPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: trim event at position 77: corrupt event") {
			t.Errorf("panic %q", got)
		}
	}()
	d := event.Draft{Kind: event.KindTrim}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	retention.New().Apply(projection.Place{Position: 77}, b)
}
