package engine

import (
	"fmt"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

// Waiting is the table of messages that wait: for their time, or for the
// outcome of their transaction.
func (e *Engine) Waiting() *pending.Table { return e.waits }

func (p place) waiting() pending.Place {
	return pending.Place{Index: p.index, Chain: p.chain, Position: p.position}
}

func (e *Engine) openWaiting() (pending.Place, error) {
	t, at, err := pending.Open(pending.Options{
		FS: e.opts.WaitingFS, Dir: e.opts.WaitingDir, Log: e.log.Meta().Log, YoungEntries: e.opts.WaitingYoung, Text: e.opts.Log.Log,
	})
	e.waits = t
	return at, err
}

// recoverWaiting finds where the table goes on. A table that has come to a
// place that this log doesn't have, or where the log has been trimmed, begins
// anew: what waits before that place is moved before a trim, so nothing is
// missing.
func (e *Engine) recoverWaiting(at pending.Place, end event.Index) error {
	if at.Index > end || at.Index < e.baseAt || at.Index > 0 && !e.indexer.belongs(at.Index, at.Chain) {
		e.opts.Log.Log.Warn("the table of waiting messages is not of this log; it is rebuilt from the log", "frame", at.Index)
		_, position := e.log.First()
		at = pending.Place{Index: e.baseAt, Chain: e.log.Base().Chain, Position: position}
		if err := e.waits.Clear(at); err != nil {
			return err
		}
	}
	e.waitsAt = at.Index
	if at.Index < e.last.index {
		e.last = place{index: at.Index, position: at.Position, chain: at.Chain}
	}
	return nil
}

// checkMoved refuses to drop the log before position while something there
// waits: its message would be gone.
func (e *Engine) checkMoved(position event.Position) error {
	var left *pending.Entry
	err := e.waits.Before(position, func(w pending.Entry) bool {
		left = &w
		return false
	})
	if err == nil && left != nil {
		err = fmt.Errorf("the message at position %d still waits; it has to be moved first", left.Location)
	}
	return err
}
