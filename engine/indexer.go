package engine

import (
	"cmp"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// handedMax is how many runs may wait to be written before the applier waits
// too. It does not wait for a disk that refuses.
const handedMax = 3

// handover is what the applier gives to the indexer: a sealed run, and what
// has happened to the state since the handover before.
type handover struct {
	run    *queue.Run // nil where there is none, or it is written
	events []stateEvent
	at     place // after the last frame of both
}

// indexer writes the index and the state checkpoints. It owns the files in
// indexDir, in a goroutine of its own.
type indexer struct {
	disk   disk.Disk
	log    *commitlog.Log
	id     event.LogID
	text   *slog.Logger
	shelf  *indexfile.Shelf
	queues *queue.Index
	waits  *pending.Table
	runLen int64
	wrote  func(*queue.Run) // the run is published as a file

	// Owned by the goroutine, and by Open before it starts.
	files  []*indexfile.File
	base   []indexfile.Row // counters where the log begins
	twin   *state          // follows the applier's state, some runs behind
	twinAt event.Index
	warned bool

	mu        sync.Mutex
	changed   *sync.Cond
	handed    []*handover
	writtenTo atomic.Uint64 // position up to which index files are there
	rebuilds  atomic.Uint64
	damaged   []*indexfile.File
	requests  []func()
	failing   bool // the disk refused; tried again at the next tick
	news      bool // damage, a request or a tick came
	dropping  bool // the indexer waits for the applier
	stopping  bool
	done      chan struct{}
}

func newIndexer(e *Engine) *indexer {
	x := &indexer{
		disk: e.opts.Log.Disk, log: e.log, id: e.log.Meta().Log, text: e.opts.Log.Log,
		queues: e.queues, waits: e.waits, runLen: e.opts.RunBytes, wrote: e.forgetLater, twin: newState(), done: make(chan struct{}),
	}
	x.changed = sync.NewCond(&x.mu)
	x.shelf = indexfile.NewShelf(x.disk, indexDir, e.log.Seed(), e.opts.IndexCacheBytes, x.noteDamage)
	return x
}

// hand gives a handover to the indexer. The applier waits here while the
// indexer is behind by more than memory should hold.
func (x *indexer) hand(h *handover) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.handed) >= handedMax && !x.failing && !x.dropping && !x.stopping {
		x.changed.Wait()
	}
	x.handed = append(x.handed, h)
	x.changed.Broadcast()
}

// noteDamage is called by whoever reads a damaged file.
func (x *indexer) noteDamage(f *indexfile.File) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.damaged = append(x.damaged, f)
	x.news = true
	x.changed.Broadcast()
}

// do runs f on the indexer's goroutine and waits for it. false: it is stopping.
func (x *indexer) do(f func()) bool {
	ran := make(chan struct{})
	x.mu.Lock()
	if x.stopping {
		x.mu.Unlock()
		return false
	}
	x.requests = append(x.requests, func() { defer close(ran); f() })
	x.news = true
	x.changed.Broadcast()
	x.mu.Unlock()
	select {
	case <-ran:
		return true
	case <-x.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}

// tick lets the indexer try again what the disk refused.
func (x *indexer) tick() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failing || len(x.damaged) > 0 {
		x.failing, x.news = false, true
		x.changed.Broadcast()
	}
}

// release begins the end: nobody waits for the indexer from now on.
func (x *indexer) release() {
	x.mu.Lock()
	x.stopping = true
	x.changed.Broadcast()
	x.mu.Unlock()
}

// close ends the goroutine after the step it is at.
func (x *indexer) close() error {
	x.release()
	<-x.done
	return x.shelf.Close()
}

func (x *indexer) run() {
	defer close(x.done)
	x.try(x.mergeSealed)
	for x.wait() {
		x.serve()
		x.try(x.rebuildDamaged)
		if h := x.firstHanded(); h != nil && x.try(func() error { return x.take(h) }) {
			x.mu.Lock()
			x.handed = slices.Delete(x.handed, 0, 1)
			x.changed.Broadcast()
			x.mu.Unlock()
			x.try(x.mergeSealed)
		}
	}
}

// wait blocks until there is something to do. false: the end.
func (x *indexer) wait() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.stopping && !x.news && (len(x.handed) == 0 || x.failing) {
		x.changed.Wait()
	}
	x.news = false
	return !x.stopping
}

func (x *indexer) firstHanded() *handover {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.handed) == 0 || x.failing {
		return nil
	}
	return x.handed[0]
}

// serve runs the requests.
func (x *indexer) serve() {
	x.mu.Lock()
	requests := x.requests
	x.requests = nil
	x.mu.Unlock()
	for _, f := range requests {
		f()
	}
}

// try does something that the disk may refuse. It warns once per spell of
// refusals; the index is served from memory meanwhile.
func (x *indexer) try(f func() error) bool {
	err := f()
	if err == nil {
		return true
	}
	if !x.warned {
		x.text.Warn("index file not written; the index stays in memory, the next try is in a second", "cause", err)
	}
	x.warned = true
	x.mu.Lock()
	x.failing = true
	x.changed.Broadcast() // the applier doesn't wait for a disk that refuses
	x.mu.Unlock()
	return false
}

// take writes what was handed over. It can be repeated after an error.
func (x *indexer) take(h *handover) error {
	if h.run != nil {
		f, err := h.run.Write(x.shelf, x.rowsBefore(len(x.files)))
		if err != nil {
			return err
		}
		x.publish(append(slices.Clone(x.files), f))
		x.wrote(h.run)
		h.run = nil
	}
	if err := x.waits.Keep(); err != nil {
		return err
	}
	if h.at.index >= x.twinAt {
		for _, s := range h.events {
			if s.at.Index > x.twinAt {
				x.twin.apply(s.at, s.event)
			}
		}
		h.events, x.twinAt = nil, h.at.index
		if err := writeState(x.disk, x.id, h.at, x.twin); err != nil {
			return err
		}
	}
	if x.warned {
		x.text.Info("index files are written again")
	}
	x.warned = false
	return nil
}

func (x *indexer) publish(files []*indexfile.File) {
	x.files = files
	x.queues.Publish(files)
	if n := len(files); n > 0 {
		x.writtenTo.Store(uint64(files[n-1].End))
	}
}

// rowsBefore goes through the counters where file i begins.
func (x *indexer) rowsBefore(i int) iter.Seq2[indexfile.Row, error] {
	if i > 0 {
		return x.files[i-1].Table()
	}
	return rows(x.base)
}

func rows(all []indexfile.Row) iter.Seq2[indexfile.Row, error] {
	return func(yield func(indexfile.Row, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// mergeSealed merges the runs of every segment that is complete into one file.
func (x *indexer) mergeSealed() error {
	ends := x.log.SegmentEnds()
	for from := 0; from < len(x.files); from++ {
		to := from + 1
		for to < len(x.files) && x.files[to].Segment == x.files[from].Segment {
			to++
		}
		if _, sealed := slices.BinarySearch(ends, x.files[to-1].Last); !sealed || to-from < 2 {
			from = to - 1
			continue
		}
		parts := slices.Clone(x.files[from:to])
		merged, err := x.shelf.Merge(parts)
		if err != nil {
			return err
		}
		x.publish(slices.Replace(slices.Clone(x.files), from, to, merged))
		if err := x.discard(parts); err != nil {
			return err
		}
	}
	return nil
}

// discard removes files that are no longer published.
func (x *indexer) discard(files []*indexfile.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, x.shelf.Retire(f), x.shelf.Remove(f.Name()))
	}
	return errors.Join(errs...)
}

// rebuildDamaged rebuilds what readers complained of, oldest first: a file is
// rebuilt from the table of the one before.
func (x *indexer) rebuildDamaged() error {
	x.mu.Lock()
	damaged := x.damaged
	x.damaged = nil
	x.mu.Unlock()
	slices.SortFunc(damaged, func(a, b *indexfile.File) int { return cmp.Compare(a.First, b.First) })
	for n, f := range damaged {
		i := slices.Index(x.files, f)
		if i < 0 {
			continue
		}
		x.text.Warn("index file is damaged; it is rebuilt from its segment", "file", f.Name())
		whole, err := x.rebuild(f.First, f.Last, x.rowsBefore(i))
		if err != nil {
			x.mu.Lock()
			x.damaged = append(x.damaged, damaged[n:]...)
			x.mu.Unlock()
			return err
		}
		x.publish(slices.Replace(slices.Clone(x.files), i, i+1, whole))
		if err := x.shelf.Retire(f); err != nil {
			return err
		}
		x.text.Info("index file is rebuilt", "file", whole.Name())
	}
	return nil
}
