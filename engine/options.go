package engine

import (
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
)

// CommitMark names the mark of the log that is Committed. Nothing is applied,
// and no proposal completes, before its frame is committed.
type CommitMark uint8

const (
	// CommitDurable: synced here. The single node with SYNC_FLUSH.
	CommitDurable CommitMark = iota
	// CommitWritten: the write completed here. The single node with ASYNC_FLUSH.
	CommitWritten
	// CommitExternal: whoever replicates the log says so by calling Commit.
	CommitExternal
)

// Options of an engine.
type Options struct {
	// Log opens the log. Source, OnMarks and Policy are set by the engine.
	Log commitlog.Options
	// CommitAt names the Committed mark.
	CommitAt CommitMark
	// FlushInterval is the time between syncs where CommitAt doesn't need
	// them; 0 means 500 ms, RocketMQ's flushIntervalCommitLog.
	FlushInterval time.Duration
	// Source supplies batches when the log could write more; see commitlog.Options.
	Source func(atLeast int)
	// OnCommitted is called on the apply goroutine when Committed has moved,
	// before the frames are applied.
	OnCommitted func(Marks)
}

func (o Options) withDefaults() Options {
	if o.FlushInterval == 0 {
		o.FlushInterval = 500 * time.Millisecond
	}
	if o.Log.Fatal == nil {
		o.Log.Fatal = func(err error) { panic("FATAL: " + err.Error()) }
	}
	if o.OnCommitted == nil {
		o.OnCommitted = func(Marks) {}
	}
	return o
}

func (o Options) validate() error {
	if o.FlushInterval < time.Millisecond || o.FlushInterval > time.Minute {
		return fmt.Errorf("open engine: flush interval %v is not allowed; use 1ms to 1m", o.FlushInterval)
	}
	if o.CommitAt > CommitExternal {
		return fmt.Errorf("open engine: commit mark %d is unknown", o.CommitAt)
	}
	return nil
}
