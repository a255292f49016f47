package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// repaired is told of damaged frames that were replaced. Where they may stand
// elsewhere now, the index files that point at them are rebuilt.
func (e *Engine) repaired(r commitlog.Repair) {
	if e.indexer != nil && r.Moved {
		e.indexer.distrust(r.First, r.Last)
	}
	e.opts.Log.OnRepair(r)
}

// CopyFrame appends a frame of the log to dst for another replica; see
// commitlog.Log.CopyFrame.
func (e *Engine) CopyFrame(index event.Index, dst []byte) ([]byte, error) {
	e.reads.RLock()
	defer e.reads.RUnlock()
	if e.closed {
		return dst, fmt.Errorf("copy frame %d: %w", index, ErrClosed)
	}
	return e.log.CopyFrame(index, dst)
}

// distrust has the index files of frames first to last rebuilt.
func (x *indexer) distrust(first, last event.Index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopping {
		return
	}
	x.requests = append(x.requests, func() {
		of := slices.DeleteFunc(slices.Clone(x.files), func(f *indexfile.File) bool { return f.Last < first || f.First > last })
		x.mu.Lock()
		x.damaged = append(x.damaged, of...)
		x.mu.Unlock()
	})
	x.news = true
	x.changed.Broadcast()
}

// repairPause is the time between two attempts to apply a frame that is damaged
// here and that no other replica could give.
const repairPause = time.Second

// waitForRepair has the apply goroutine look again in a while.
func (e *Engine) waitForRepair(err error) {
	if !e.damaged {
		e.damaged = true
		e.opts.Log.Log.Error("a damaged frame keeps the projections from going on; it is asked for again every second", "frame", e.cursor.Next(), "cause", err)
	}
	time.AfterFunc(repairPause, e.wake)
}
