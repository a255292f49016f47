package commitlog

import (
	"errors"
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Open opens the log in opts.Disk, creating it where the folder is empty. It
// reads the last segment only; a torn tail is cut and kept aside. One process
// at a time can have a log open.
func Open(opts Options) (*Log, Recovery, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, Recovery{}, err
	}
	l := &Log{opts: opts, disk: opts.Disk, block: opts.Disk.BlockBytes()}
	l.waiting = sync.NewCond(&l.waitMu)
	l.meters.init()
	lock, err := l.disk.Lock(lockName)
	if errors.Is(err, disk.ErrLocked) {
		return nil, Recovery{}, fmt.Errorf("open log %s: another process has it open; stop that one first: %w", l.disk.Path(), err)
	}
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open log: %w", err)
	}
	l.lock = lock
	r, err := l.open()
	if err != nil {
		return nil, r, errors.Join(err, l.release())
	}
	return l, r, nil
}

func (l *Log) open() (Recovery, error) {
	if err := l.memory(); err != nil {
		return Recovery{}, err
	}
	meta, err := readMeta(l.disk)
	created := errors.Is(err, disk.ErrNotFound)
	if created {
		meta, err = l.create()
	}
	if err != nil {
		return Recovery{}, err
	}
	if err := l.belongsHere(meta); err != nil {
		return Recovery{}, err
	}
	l.meta, l.seed = meta, meta.Log.Seed()
	if err := l.finishReset(); err != nil {
		return Recovery{}, err
	}
	if err := l.openSegments(); err != nil {
		return Recovery{}, err
	}
	loss, err := readLoss(l.disk, l.seed)
	if err != nil {
		return Recovery{}, err
	}
	l.loss.Store(loss)
	r, w, err := l.recover(l.lastSegment())
	r.Created = created
	if err != nil {
		return r, err
	}
	return r, l.start(w)
}

// belongsHere refuses the folder of another node: two nodes with one identity
// would vote twice and each overwrite what the other has acknowledged.
func (l *Log) belongsHere(m Meta) error {
	if want := l.opts.Node; want != ([16]byte{}) && m.Node != want {
		return fmt.Errorf("open log %s: %w: it belongs to node %x, this is node %x; give each node its own folder", l.disk.Path(), ErrOtherNode, m.Node, want)
	}
	return nil
}

// memory maps the tail and the history cache.
func (l *Log) memory() error {
	arena, err := disk.NewArena(l.opts.TailBytes)
	if err != nil {
		return err
	}
	l.arena = arena
	l.tail = newTail(arena.Bytes(), l.block)
	l.history, err = newHistory(l.opts.HistoryBytes, l.block, l.stable)
	return err
}

// create makes a log whose first segment is empty; start adds the first frame.
// The meta file comes last: without it the folder counts as empty, and an
// attempt that was cut short is repeated.
func (l *Log) create() (Meta, error) {
	names, err := l.disk.List(".")
	if err != nil {
		return Meta{}, err
	}
	for _, name := range names {
		base, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		if base != l.opts.Create.Base.Position || l.opts.Create.Meta.Log == (event.LogID{}) || l.holdsFrames(name) {
			return Meta{}, fmt.Errorf("open log %s: %w: segment %s without a %s file; restore the folder", l.disk.Path(), ErrCorrupt, name, metaName)
		}
		if err := l.disk.Remove(name); err != nil {
			return Meta{}, err
		}
	}
	if l.opts.Create.Meta.Log == (event.LogID{}) {
		return Meta{}, fmt.Errorf("open log %s: %w: the folder is empty and nothing says how to create a log", l.disk.Path(), ErrNotFound)
	}
	l.meta, l.seed = l.opts.Create.Meta, l.opts.Create.Meta.Log.Seed()
	k := newKeeper(l)
	s := &segment{bytes: l.opts.SegmentBytes}
	if len(l.opts.Create.Configuration) == 0 {
		s.start = l.opts.Create.Base.chain()
	}
	if err := k.activate(s); err != nil {
		return Meta{}, err
	}
	if err := l.writeFirstFrame(s); err != nil {
		return Meta{}, errors.Join(err, s.file.Close())
	}
	if err := s.file.Close(); err != nil {
		return Meta{}, err
	}
	return l.meta, writeMeta(l.disk, l.meta)
}

// writeFirstFrame writes the frame at index 1, term 1: the log's id and the
// Raft configuration that names this node as the only voter.
func (l *Log) writeFirstFrame(s *segment) error {
	c := l.opts.Create
	if len(c.Configuration) == 0 {
		return nil
	}
	data := append(append([]byte(nil), c.Meta.Log[:]...), c.Configuration...)
	h := Header{
		Kind: FrameConfiguration, DataBytes: uint32(len(data)), Index: 1, Term: 1,
		Timestamp: c.Timestamp, DataCRC: sumOf(FrameConfiguration, data, l.seed),
	}
	b := l.scratch(frameBytes(len(data)))
	h.put(b, l.seed)
	copy(b[headerBytes:], data)
	if _, err := s.file.WriteAt(b, int64(l.block)); err != nil {
		return fmt.Errorf("write the first frame: %w", err)
	}
	return s.file.Sync()
}

// openSegments opens all segments and checks that each continues the one before.
func (l *Log) openSegments() error {
	names, err := l.disk.List(".")
	if err != nil {
		return err
	}
	if l.cutAfter, err = readCut(l.disk, l.seed); err != nil {
		return err
	}
	var all []*segment
	l.segments.Store(&all)
	for _, name := range names {
		base, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		s, err := l.loadSegment(base)
		if err != nil {
			return err
		}
		if l.cutAfter > 0 && s.first() > l.cutAfter {
			if err := errors.Join(s.file.Close(), l.disk.Remove(name)); err != nil {
				return err
			}
			continue
		}
		all = append(all, s)
		l.segments.Store(&all)
		if n := len(all); n > 1 && (s.base() <= all[n-2].base() || s.first() <= all[n-2].first()) {
			return fmt.Errorf("open log %s: %w: segment %s begins with frame %d, the one before with %d",
				l.disk.Path(), ErrCorrupt, name, s.first(), all[n-2].first())
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("open log %s: %w: no segment; restore the folder", l.disk.Path(), ErrCorrupt)
	}
	if err := l.disk.Remove(spareName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	return nil
}

// start sets the marks to the recovered end and starts the goroutines. What
// recovery accepted is synced first: it may have been written, not durable.
func (l *Log) start(w *scan) error {
	s := w.segment
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync segment %s: %w", s.name(), err)
	}
	if err := l.begin(); err != nil {
		return err
	}
	l.setEnd(w.end, w.at)
	if err := l.seedTail(s, w.at); err != nil {
		return err
	}
	s.fill.startAt((w.at + int64(l.block) - 1) / int64(l.block) * int64(l.block))
	l.keeper = newKeeper(l)
	var err error
	if l.flusher, err = startFlusher(l, s); err != nil {
		return fmt.Errorf("open log %s: %w", l.disk.Path(), err)
	}
	go l.keeper.run()
	l.keeper.wake()
	return nil
}

// seedTail puts the last, partly filled block into the tail.
func (l *Log) seedTail(s *segment, at int64) error {
	block := int64(l.block)
	from := at / block * block
	if from == at {
		return nil
	}
	b := l.scratch(l.block)
	if _, err := s.file.ReadAt(b, from); err != nil {
		return fmt.Errorf("read the last block of segment %s: %w", s.name(), err)
	}
	l.tail.seed(s, from, b[:at-from])
	return nil
}

// Close makes everything appended durable and releases the log.
func (l *Log) Close() error {
	l.tail.mu.Lock()
	closed := l.closed
	l.closed = true
	l.tail.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := l.flusher.close()
	err = errors.Join(err, l.keeper.close())
	l.waitMu.Lock()
	l.waiting.Broadcast()
	l.waitMu.Unlock()
	if err == nil {
		err = errors.Join(writeMark(l.disk, l.seed, l.Marks().Durable), l.removeDurably(runningName))
	}
	return errors.Join(err, l.release())
}

// release closes files and frees memory after the goroutines have ended.
func (l *Log) release() error {
	var errs []error
	if l.history != nil {
		l.history.stopAhead()
	}
	if all := l.segments.Load(); all != nil {
		for _, s := range *all {
			if s.file != nil {
				errs = append(errs, s.file.Close())
			}
		}
	}
	if l.arena != nil {
		errs = append(errs, l.arena.Free())
	}
	if l.history != nil {
		errs = append(errs, l.history.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}
