package engine

import (
	"context"
	"fmt"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Follow visits all applied events of the log in order, from the first of
// frame from on, and waits for more at the end. It returns the error of visit,
// or why it can't go on: ctx is done, the engine is closed, or the frame was
// trimmed (ErrNotFound). Offsets of messages are -1. Close waits for visit.
func (e *Engine) Follow(ctx context.Context, from event.Index, visit func(event.Index, Message) error) error {
	if first, _ := e.log.First(); from < first {
		return fmt.Errorf("follow from frame %d: %w; the log begins with %d", from, ErrNotFound, first)
	}
	unhook := context.AfterFunc(ctx, e.broadcast)
	defer unhook()
	cursor := e.log.CursorFrom(from)
	for {
		through, err := e.waitFrame(ctx, cursor.Next())
		if err == nil {
			err = e.visitThrough(ctx, cursor, through, visit)
		}
		if err != nil {
			return fmt.Errorf("follow at frame %d: %w", cursor.Next(), err)
		}
	}
}

// waitFrame waits until a frame is applied and returns the last that is.
func (e *Engine) waitFrame(ctx context.Context, index event.Index) (event.Index, error) {
	e.waitMu.Lock()
	defer e.waitMu.Unlock()
	for {
		applied := event.Index(e.applied.Load())
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case e.failure != nil:
			return 0, e.failure
		case applied >= index:
			return applied, nil
		}
		e.waiting.Wait()
	}
}

// followFrames is how many frames are visited before Close gets a turn.
const followFrames = 64

func (e *Engine) visitThrough(ctx context.Context, cursor *commitlog.Cursor, through event.Index, visit func(event.Index, Message) error) error {
	e.reads.RLock()
	defer e.reads.RUnlock()
	if e.closed {
		return ErrClosed
	}
	through = min(through, cursor.Next()+followFrames-1)
	return cursor.Visit(through, func(f commitlog.Frame) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed error
		err := eachEvent(&f, func(at projection.Place, ev event.Event) {
			if failed == nil {
				failed = visit(f.Index, Message{Event: ev, Position: at.Position, Offset: -1, Timestamp: at.Timestamp})
			}
		})
		if failed != nil {
			return failed
		}
		return err
	})
}
