package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/projection/queue"
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

// DefaultIndexCacheBytes is the size of the cache of index blocks.
const DefaultIndexCacheBytes = 32 << 20

// Options of an engine.
type Options struct {
	// Log opens the log. Source and OnMarks are set by the engine, and Policy
	// unless CommitAt is CommitExternal. With Copies, a damaged frame that can't be
	// repaired yet makes the projections wait.
	Log commitlog.Options
	// Admit looks at the log when it is open and nothing of it is applied yet. It
	// may truncate it.
	// Its error ends Open. nil admits every log.
	Admit func(*commitlog.Log) error
	// CommitAt names the Committed mark.
	CommitAt CommitMark
	// RunBytes is how much log a run of the index covers; 0 means
	// queue.DefaultRunBytes. After a kill at most twice as much is replayed.
	RunBytes int64
	// IndexCacheBytes bounds the cache of index blocks; 0 means
	// DefaultIndexCacheBytes.
	IndexCacheBytes int
	// WaitingFS and WaitingDir are where the table of waiting messages is kept
	// (package pending). Without a file system it is in memory, and every Open
	// reads the whole log to build it.
	WaitingFS  vfs.FS
	WaitingDir string
	// WaitingYoung is how many waiting messages are kept in memory before they
	// go into that table's files; 0 means 262,144.
	WaitingYoung int
	// FlushInterval is the time between syncs where CommitAt doesn't need
	// them; 0 means 500 ms, RocketMQ's flushIntervalCommitLog.
	FlushInterval time.Duration
	// Source supplies batches when the log could write more; see commitlog.Options.
	Source func(atLeast int)
	// OnMarks is called by the flusher after a mark of the log has moved. It must
	// not block.
	OnMarks func(commitlog.Marks)
	// OnCommitted is called when Committed has moved, on the goroutine that
	// moved it: the flusher's, or that of Commit's caller. It must not block.
	OnCommitted func(Marks)
}

func (o Options) withDefaults() Options {
	if o.FlushInterval == 0 {
		o.FlushInterval = 500 * time.Millisecond
	}
	if o.RunBytes == 0 {
		o.RunBytes = queue.DefaultRunBytes
	}
	if o.IndexCacheBytes == 0 {
		o.IndexCacheBytes = DefaultIndexCacheBytes
	}
	if o.Log.Log == nil {
		o.Log.Log = slog.New(slog.DiscardHandler)
	}
	if o.Log.Fatal == nil {
		o.Log.Fatal = func(err error) { panic("FATAL: " + err.Error()) }
	}
	if o.Log.OnRepair == nil {
		o.Log.OnRepair = func(commitlog.Repair) {}
	}
	if o.OnMarks == nil {
		o.OnMarks = func(commitlog.Marks) {}
	}
	if o.OnCommitted == nil {
		o.OnCommitted = func(Marks) {}
	}
	if o.Admit == nil {
		o.Admit = func(*commitlog.Log) error { return nil }
	}
	return o
}

func (o Options) validate() error {
	if o.FlushInterval < time.Millisecond || o.FlushInterval > time.Minute {
		return fmt.Errorf("open engine: flush interval %v is not allowed; use 1ms to 1m", o.FlushInterval)
	}
	if o.RunBytes < 1 || o.IndexCacheBytes < 1 {
		return fmt.Errorf("open engine: runs of %d bytes and an index cache of %d are not allowed; use positive numbers", o.RunBytes, o.IndexCacheBytes)
	}
	if o.CommitAt > CommitExternal {
		return fmt.Errorf("open engine: commit mark %d is unknown", o.CommitAt)
	}
	return nil
}
