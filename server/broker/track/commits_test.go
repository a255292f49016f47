package track

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// memoryLog is events in memory.
type memoryLog struct {
	events []engine.Message
	end    event.Position
	looks  int // calls of FindHash
	read   int // events visited
}

// append stores an event behind a gap of other events.
func (l *memoryLog) append(gap event.Position, millis int64, d event.Draft) event.Position {
	at := l.end + gap
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 1)
	l.events = append(l.events, engine.Message{Event: b, Position: at, Timestamp: millis, Offset: -1})
	l.end = at + event.Position(len(b))
	return at
}

func (l *memoryLog) ReadAt(position event.Position, visit func(engine.Message) error) error {
	for _, m := range l.events {
		if m.Position == position {
			return visit(m)
		}
	}
	return fmt.Errorf("position %d: %w", position, engine.ErrNotFound)
}

func (l *memoryLog) FindHash(hash uint64, from, to event.Position, visit func(engine.Message) (bool, error)) error {
	l.looks++
	for _, m := range slices.Backward(l.events) {
		for i := range m.Event.KeyCount() {
			if m.Event.Key(i) != hash || m.Position < from || m.Position >= to {
				continue
			}
			l.read++
			if more, err := visit(m); err != nil || !more {
				return err
			}
			break
		}
	}
	return nil
}

// commit stores an offset as a broker does that knows the one before, -1 for
// none.
func (l *memoryLog) commit(gap event.Position, millis int64, c event.OffsetCommit, before event.Offset) event.Position {
	keys := []uint64{event.CommitHash(c.Group, c.Queue)}
	switch {
	case before < 0:
		keys = append(keys, event.FirstCommitHash(c.Group, c.Queue))
	case c.Offset < before:
		keys = append(keys, event.SetBackHash(c.Group, c.Queue))
	}
	return l.append(gap, millis, event.Draft{Kind: event.KindOffsets, Keys: keys, Payload: event.Bytes(event.AppendOffsetCommits(nil, []event.OffsetCommit{c}))})
}

var testQueue = event.Queue{Topic: 7, ID: 3}

// TestTheCommitThatPassedAMessageIsFoundWhateverCameBeforeAndAfter compares the
// search with a walk over all commits: groups go on, are set back and forth, and
// begin anew after they were deleted.
func TestTheCommitThatPassedAMessageIsFoundWhateverCameBeforeAndAfter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type made struct {
			commit
			before event.Offset
		}
		log, current := &memoryLog{}, event.Offset(-1)
		var all []made
		for i := range rapid.IntRange(1, 60).Draw(t, "commits") {
			next := current + event.Offset(rapid.IntRange(1, 9).Draw(t, "by"))
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				next = event.Offset(rapid.Int64Range(0, max(int64(current), 0)).Draw(t, "back to"))
			case 1:
				current = -1 // the group was deleted
				next = event.Offset(rapid.IntRange(0, 60).Draw(t, "begins with"))
			}
			if next == current {
				continue
			}
			gap := event.Position(rapid.Uint64Range(0, 1<<20).Draw(t, "gap"))
			c := event.OffsetCommit{Group: "g", Queue: testQueue, Offset: next, Client: fmt.Sprint("c", i)}
			if rapid.Bool().Draw(t, "others") {
				log.commit(gap/2, int64(i), event.OffsetCommit{Group: "h", Queue: testQueue, Offset: 5}, 3)
			}
			at := log.commit(gap, int64(i), c, current)
			all = append(all, made{commit{at, int64(i), next, c.Client}, current})
			current = next
		}
		if current <= 0 {
			return
		}
		o := event.Offset(rapid.Int64Range(0, int64(current)-1).Draw(t, "offset"))
		stored := event.Position(rapid.Uint64Range(0, uint64(log.end)).Draw(t, "stored at"))
		want := len(all) - 1
		for want > 0 && all[want].before > o {
			want--
		}
		got, found, err := newCommitSearch(log, "g", testQueue).passing(o, stored, log.end)
		w := all[want]
		if err != nil || !found || got.Position != w.position || got.To != w.offset || got.Client != w.client || got.Time != w.time || got.From != w.before {
			t.Fatalf("offset %d stored at %d: got %+v, %v, %v; want %+v", o, stored, got, found, err, w)
		}
	})
}

func TestTheSearchReadsFewOfVeryManyCommits(t *testing.T) {
	t.Parallel()
	log := &memoryLog{}
	random := rand.New(rand.NewPCG(1, 2))
	const commits = 20_000
	var at [commits]event.Position
	for i := range at {
		at[i] = log.commit(event.Position(random.Uint64N(200_000)), int64(i),
			event.OffsetCommit{Group: "g", Queue: testQueue, Offset: event.Offset(10 * (i + 1))}, event.Offset(10*i))
	}
	for _, o := range []event.Offset{0, 9, 10, 77_777, 10*commits - 1} {
		log.looks, log.read = 0, 0
		got, found, err := newCommitSearch(log, "g", testQueue).passing(o, at[o/10]-1, log.end)
		if err != nil || !found || got.Position != at[o/10] {
			t.Errorf("offset %d: %+v, %v, %v", o, got, found, err)
		}
		if log.looks > 60 || log.read > 60 {
			t.Errorf("offset %d: %d looks and %d events read", o, log.looks, log.read)
		}
	}
}

func TestACommitThatNobodyCanFindIsNotMadeUp(t *testing.T) {
	t.Parallel()
	log := &memoryLog{}
	log.append(0, 1, event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, []event.OffsetCommit{{Group: "g", Queue: testQueue, Offset: 9}}))})
	if _, found, err := newCommitSearch(log, "g", testQueue).passing(3, 0, log.end); found || err != nil {
		t.Errorf("found a commit whose event doesn't have the hash; %v", err)
	}
	for range eventsPerSearch + 1 {
		log.append(0, 2, event.Draft{Kind: event.KindMessage, Keys: []uint64{event.CommitHash("g", testQueue)}})
	}
	if _, found, err := newCommitSearch(log, "g", testQueue).passing(3, 0, log.end); found || err != errTooMany {
		t.Errorf("%v, %v: messages with the same hash are passed over, but not for ever", found, err)
	}
}
