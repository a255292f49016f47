package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/lock"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/queue"
	"github.com/apogeemq/apogee/engine/projection/retention"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

// Engine is an open log with its projections.
type Engine struct {
	opts Options
	log  *commitlog.Log

	queues  *queue.Index
	state   *state
	waits   *pending.Table
	indexer *indexer

	// The applier's: what of the log the projections contain.
	queuesAt event.Index // later frames are new to the queues
	stateAt  event.Index // later frames are new to the state
	waitsAt  event.Index // later frames are new to the waiting messages
	pending  []stateEvent
	pendingN int         // bytes of them
	last     place       // after the last applied frame
	wanted   *sumRequest // nil where nobody waits for a sum

	writtenMu sync.Mutex
	written   []*queue.Run // published as files, to be dropped from memory

	committed atomic.Uint64
	applied   atomic.Uint64
	position  atomic.Uint64 // after the last applied frame

	listeners atomic.Pointer[[]func([]event.Queue)]
	touched   []event.Queue // owned by the apply goroutine
	cursor    *commitlog.Cursor
	damaged   bool // the next frame is, and can't be repaired yet; owned by the apply goroutine

	work    chan struct{} // Committed may have moved
	tasks   chan func()   // to be run on the apply goroutine
	summing chan struct{} // holds who waits for a sum
	sumTook atomic.Int64  // of the latest sum, nanoseconds
	stop    chan struct{}
	stopped sync.WaitGroup

	waitMu  sync.Mutex
	waiting *sync.Cond
	failure error
	readers sync.Pool
	reads   sync.RWMutex // held for reading while a reader uses the log
	closed  bool

	trims    chan struct{} // retention may have decided
	trimming sync.Mutex
	baseAt   event.Index   // the base checkpoint covers up to this frame; guarded by trimming
	floorsAt atomic.Uint64 // the queues begin behind this frame at least
}

// Marks of an engine, as indexes of frames:
// Trimmed ≤ Applied ≤ Committed ≤ Appended and Durable ≤ Written ≤ Appended.
type Marks struct {
	commitlog.Marks
	Trimmed         event.Index    // dropped by a decision of retention
	Applied         event.Index    // visible in the projections
	Committed       event.Index    // the mark that Options.CommitAt names has passed
	TrimmedPosition event.Position // where the log begins
	AppliedPosition event.Position // after the last applied frame
}

// Open opens the log, reads the index and the state from their files as far as
// they are good, and rebuilds the rest from the log. It returns when everything
// in the log is applied; with CommitExternal, when everything is that was
// applied before and had reached a file.
func Open(opts Options) (*Engine, commitlog.Recovery, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, commitlog.Recovery{}, err
	}
	e := &Engine{
		opts: opts, queues: queue.New(opts.RunBytes), state: newState(),
		work: make(chan struct{}, 1), tasks: make(chan func()), summing: make(chan struct{}, 1), trims: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	e.waiting = sync.NewCond(&e.waitMu)
	e.listeners.Store(&[]func([]event.Queue){})
	r, err := e.openLog()
	if err != nil {
		return nil, r, err
	}
	e.readers.New = func() any { return e.log.NewReader() }
	waitsAt, err := e.openWaiting()
	if err != nil {
		return nil, r, errors.Join(err, e.log.Close())
	}
	e.indexer = newIndexer(e)
	err = e.recover(r)
	if err == nil {
		err = e.recoverWaiting(waitsAt, r.End)
	}
	if err != nil {
		return nil, r, errors.Join(err, e.indexer.shelf.Close(), e.waits.Close(), e.log.Close())
	}
	e.applied.Store(uint64(e.last.index))
	e.position.Store(uint64(e.last.position))
	go e.indexer.run()
	if err := e.replay(r); err != nil {
		return nil, r, errors.Join(err, e.indexer.close(), e.waits.Close(), e.log.Close())
	}
	e.stopped.Add(3)
	go e.applyLoop()
	go e.trimLoop()
	go e.tickLoop()
	e.wakeTrim()
	return e, r, nil
}

func (e *Engine) openLog() (commitlog.Recovery, error) {
	o := e.opts.Log
	o.Source = e.opts.Source
	o.OnMarks = e.marksMoved
	o.OnRepair = e.repaired
	switch e.opts.CommitAt {
	case CommitDurable:
		o.Policy = commitlog.FlushAtOnce
	case CommitWritten:
		o.Policy = commitlog.FlushOnRequest
	}
	l, r, err := commitlog.Open(o)
	if err != nil {
		return r, err
	}
	if err := e.opts.Admit(l); err != nil {
		return r, errors.Join(err, l.Close())
	}
	r.End, _, r.Position = l.End() // Admit may have truncated it
	e.log = l
	return r, nil
}

// replay applies what of the log the projections don't contain yet.
func (e *Engine) replay(r commitlog.Recovery) error {
	e.cursor = e.log.CursorFrom(event.Index(e.applied.Load()) + 1)
	if e.opts.CommitAt == CommitExternal {
		e.committed.Store(e.applied.Load()) // or it would not have been applied
		return nil
	}
	e.committed.Store(uint64(r.End))
	if err := e.applyThrough(r.End); err != nil {
		return fmt.Errorf("rebuild from the log: %w", err)
	}
	return nil
}

// wake tells the apply goroutine to look at the marks.
func (e *Engine) wake() {
	select {
	case e.work <- struct{}{}:
	default:
	}
}

// Commit moves Committed to index; only with CommitExternal.
func (e *Engine) Commit(index event.Index) {
	if e.opts.CommitAt != CommitExternal {
		panic("BUG: engine: Commit is for an engine that others commit")
	}
	e.commit(index)
}

// tickLoop drives what happens by time: syncs in ASYNC mode, once-a-second work.
func (e *Engine) tickLoop() {
	defer e.stopped.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	flush := time.NewTicker(e.opts.FlushInterval)
	defer flush.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-second.C:
			e.log.Tick()
			e.indexer.tick()
			e.wakeTrim()
		case <-flush.C:
			e.log.Flush()
		}
	}
}

// Log is the engine's log: for whoever appends to it, and for tools.
func (e *Engine) Log() *commitlog.Log { return e.log }

// Topics is the projection of topics.
func (e *Engine) Topics() *topic.Table { return e.state.topics }

// Offsets is the projection of consumer offsets.
func (e *Engine) Offsets() *offset.Table { return e.state.offsets }

// Groups is the projection of consumer groups.
func (e *Engine) Groups() *group.Table { return e.state.groups }

// Locks is the projection of the queues that belong to one client of a group.
func (e *Engine) Locks() *lock.Table { return e.state.locks }

// Retention is the projection of what retention has decided.
func (e *Engine) Retention() *retention.Table { return e.state.retention }

// Projections lists all of them, for dumps and checkpoints.
func (e *Engine) Projections() []projection.Projection {
	return append([]projection.Projection{e.queues}, e.state.projections()...)
}

// Marks returns the current marks.
func (e *Engine) Marks() Marks {
	m := Marks{Applied: event.Index(e.applied.Load()), AppliedPosition: event.Position(e.position.Load())}
	m.Committed = event.Index(e.committed.Load())
	m.Marks = e.log.Marks()
	first, base := e.log.First()
	mark := e.state.retention.Mark()
	m.Trimmed, m.TrimmedPosition = max(first-1, mark.Through), max(base, mark.Position)
	return m
}

// IndexStats are counters of the index.
type IndexStats struct {
	Rebuilds uint64 // files that were made again from the log since the start
	LagBytes uint64 // of the log that are applied and in no index file yet
}

// IndexStats returns the counters as they are now.
func (e *Engine) IndexStats() IndexStats {
	_, base := e.log.First()
	written, applied := max(e.indexer.writtenTo.Load(), uint64(base)), e.position.Load()
	return IndexStats{Rebuilds: e.indexer.rebuilds.Load(), LagBytes: max(applied, written) - written}
}

// OnApplied registers f to be called on the apply goroutine after Applied has
// moved, with the queues that got events. f must not block; the slice is valid
// during the call and may name a queue more than once.
func (e *Engine) OnApplied(f func([]event.Queue)) {
	e.waitMu.Lock()
	defer e.waitMu.Unlock()
	old := *e.listeners.Load()
	all := append(old[:len(old):len(old)], f)
	e.listeners.Store(&all)
}

// WaitApplied blocks until the event at position is applied.
func (e *Engine) WaitApplied(ctx context.Context, position event.Position) error {
	unhook := context.AfterFunc(ctx, e.broadcast)
	defer unhook()
	e.waitMu.Lock()
	defer e.waitMu.Unlock()
	for event.Position(e.position.Load()) <= position {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait until position %d is applied: %w", position, ctx.Err())
		case e.failure != nil:
			return e.failure
		}
		e.waiting.Wait()
	}
	return nil
}

func (e *Engine) broadcast() {
	e.waitMu.Lock()
	e.waiting.Broadcast()
	e.waitMu.Unlock()
}

// Close makes everything appended durable, applies what is committed and
// releases the log. Nobody may read or propose any more.
func (e *Engine) Close() error {
	close(e.stop)
	e.indexer.release()
	e.stopped.Wait()
	e.waitMu.Lock()
	if e.failure == nil {
		e.failure = ErrClosed
	}
	e.waiting.Broadcast()
	e.waitMu.Unlock()
	e.reads.Lock()
	e.closed = true
	e.reads.Unlock()
	return errors.Join(e.waits.Mark(e.last.waiting()), e.waits.Flush(), e.indexer.close(), e.waits.Close(), e.log.Close())
}
