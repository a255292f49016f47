package broker

import (
	"context"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// Bounds of requests about an event that is not applied yet.
const (
	earlyMax      = 1024
	earlyPatience = 5 * time.Second
)

// whenApplied serves a request about the event at a position: in the read pool,
// or, before the event is applied, on a goroutine that waits for it. Its send
// was answered when it was committed, and it becomes visible a moment later. A
// position that nothing gets to in time is answered with missing.
func (b *Broker) whenApplied(rt remoting.ReplyTo, position event.Position, missing error, serve func()) {
	if position < b.progress.Marks().AppliedPosition {
		b.read(rt, serve)
		return
	}
	select {
	case b.early <- struct{}{}:
	default:
		b.answerError(rt, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: %d requests wait for the messages that they name", earlyMax))
		return
	}
	b.work.Go(func() {
		defer func() { <-b.early }()
		ctx, cancel := context.WithTimeout(b.running, earlyPatience)
		defer cancel()
		if err := b.progress.WaitApplied(ctx, position); err != nil {
			b.answerError(rt, missing)
			return
		}
		serve()
	})
}
