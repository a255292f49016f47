package duty

import (
	"log/slog"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

const (
	// unreadablePause is the time between two tries to read a message.
	unreadablePause = 10 * time.Second
	// unreadableMax bounds the messages that are remembered as unreadable.
	unreadableMax = 1 << 20
)

// trouble is what a delivery can't deliver. A damaged segment, or a topic that
// is deleted, may concern a million messages: they are reported together, and
// those that can't be read are left alone for a while, so that they hold up no
// others. One goroutine at a time uses it.
type trouble struct {
	until map[event.Position]time.Time // by handle, until when it is left alone

	unread   int // since the last report
	unreadAt event.Position
	cause    error
	gone     int // messages whose topic is gone
	goneAt   event.Position
}

func newTrouble() trouble { return trouble{until: make(map[event.Position]time.Time)} }

func (t *trouble) leavesAlone(handle event.Position, now time.Time) bool {
	until, known := t.until[handle]
	return known && now.Before(until)
}

// unreadable notes a message that can't be read. What was known before is not
// reported again.
func (t *trouble) unreadable(e pending.Entry, now time.Time, cause error) {
	_, known := t.until[e.Handle]
	if len(t.until) >= unreadableMax {
		clear(t.until)
	}
	t.until[e.Handle] = now.Add(unreadablePause)
	if known {
		return
	}
	if t.unread == 0 {
		t.unreadAt, t.cause = e.Location, cause
	}
	t.unread++
}

// topicless notes a message that is dropped.
func (t *trouble) topicless(e pending.Entry) {
	if t.gone == 0 {
		t.goneAt = e.Location
	}
	t.gone++
}

// report says what was noted since the last report.
func (t *trouble) report(log *slog.Logger) {
	if t.unread > 0 {
		log.Error("delayed messages can't be read; they stay in the log and are tried again", "messages", t.unread, "first", t.unreadAt, "cause", t.cause)
	}
	if t.gone > 0 {
		log.Warn("the topics of delayed messages are gone; the messages are dropped", "messages", t.gone, "first", t.goneAt)
	}
	t.unread, t.gone, t.cause = 0, 0, nil
}
