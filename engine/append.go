package engine

import (
	"context"
	"errors"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// Append stores the drafts side by side in one frame, all or nothing, and
// returns the position of the first without waiting for the disk: WaitApplied
// waits for the promise of Options.CommitAt. It is for programs that embed an
// engine and are its only appender, one goroutine at a time. timestamp is Unix
// milliseconds. What depends on state (which topic ids there are, whether a
// queue exists) is decided before.
func (e *Engine) Append(timestamp int64, drafts ...event.Draft) (event.Position, error) {
	if e.opts.CommitAt == CommitExternal || e.opts.Source != nil {
		return 0, errors.New("append: somebody else appends to this log: propose to them")
	}
	n := 0
	for i := range drafts {
		if err := drafts[i].Validate(); err != nil {
			return 0, err
		}
		n += drafts[i].EncodedBytes()
	}
	data := make([]byte, n)
	rest := data
	for i := range drafts {
		size := drafts[i].EncodedBytes()
		drafts[i].Encode(rest[:size], e.log.Seed())
		rest = rest[size:]
	}
	_, term, _ := e.log.End()
	t, err := e.log.Append(commitlog.Batch{Kind: commitlog.FrameEvents, Term: term, Events: len(drafts), Timestamp: timestamp, Data: data})
	if err != nil {
		return 0, err
	}
	e.log.Wake()
	return t.Position, nil
}

// AppendWait is Append and waits until the events are applied, so that reads
// find them.
func (e *Engine) AppendWait(ctx context.Context, timestamp int64, drafts ...event.Draft) (event.Position, error) {
	position, err := e.Append(timestamp, drafts...)
	if err != nil {
		return 0, err
	}
	return position, e.WaitApplied(ctx, position)
}
