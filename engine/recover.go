package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

// recover brings the projections as close to the end of the log as files
// allow. What it leaves in indexDir belongs to this log up to r.End: names
// that say more are gone for good before anything is appended, so that they
// can't come back when other frames have those numbers.
func (e *Engine) recover(r commitlog.Recovery) error {
	start, err := e.restoreBase()
	if err != nil {
		return err
	}
	e.baseAt = start.index
	e.floorsAt.Store(uint64(start.index))
	x := e.indexer
	x.base = counters(e.queues)
	if err := x.adopt(start.index+1, r.End); err != nil {
		return fmt.Errorf("open the index in %s/%s: %w", x.disk.Path(), indexDir, err)
	}
	e.last, e.queuesAt, e.stateAt = start, start.index, start.index
	if n := len(x.files); n > 0 {
		f := x.files[n-1]
		e.queuesAt = f.Last
		e.last = place{index: f.Last, position: f.End, timestamp: f.LastTime, chain: f.Chain}
	}
	return e.restoreState(start, r.End)
}

// restoreBase restores the state with which a trimmed log begins, and ends a
// trim that was cut short.
func (e *Engine) restoreBase() (place, error) {
	d := e.opts.Log.Disk
	first, position := e.log.First()
	at, err := readCheckpoint(d, baseName, e.log.Meta().Log, e.Projections())
	switch {
	case errors.Is(err, disk.ErrNotFound) && first == 1:
		return place{}, nil
	case errors.Is(err, checkpoint.ErrVersion):
		return place{}, fmt.Errorf("open the base checkpoint %s/%s: %w: %w", d.Path(), baseName, commitlog.ErrNewerFormat, err)
	case err != nil:
		return place{}, fmt.Errorf("open the base checkpoint %s/%s: %w; it is part of the log: restore it from a replica or a backup", d.Path(), baseName, err)
	}
	if at.index >= first {
		if err := e.fit(at); err != nil {
			return place{}, err
		}
		first, position = e.log.First()
	}
	if at.index+1 != first || at.position != position || at.chain != e.log.Base().Chain {
		return place{}, fmt.Errorf("open the base checkpoint %s/%s: %w: it ends with frame %d at position %d, the log begins with frame %d at %d",
			d.Path(), baseName, ErrCorrupt, at.index, at.position, first, position)
	}
	return at, nil
}

// fit lets the log begin behind the base checkpoint, which ends later than the
// log begins: a trim or an installation was cut short.
func (e *Engine) fit(at place) error {
	same, err := e.holds(at)
	if err != nil {
		return fmt.Errorf("open the base checkpoint: %w", err)
	}
	if same {
		if err := e.log.Trim(at.index); err != nil {
			return err
		}
	}
	if first, _ := e.log.First(); first != at.index+1 && e.opts.CommitAt == CommitExternal {
		return e.finishInstall(at)
	}
	return nil
}

// restoreState restores the newest good state checkpoint. start is the state
// that the projections have.
func (e *Engine) restoreState(start place, end event.Index) error {
	x := e.indexer
	all, err := listStates(x.disk)
	if err != nil {
		return err
	}
	found := start
	for i := len(all) - 1; i >= 0 && found.index == start.index; i-- {
		if all[i] <= start.index || all[i] > end {
			continue
		}
		scratch := newState()
		at, err := readCheckpoint(x.disk, stateName(all[i]), x.id, scratch.projections())
		if err == nil && (at.index != all[i] || !x.belongs(at.index, at.chain)) {
			err = fmt.Errorf("%w: it is the state after another frame", ErrCorrupt)
		}
		if err != nil {
			x.text.Warn("state checkpoint is not good; an older one is used", "file", stateName(all[i]), "cause", err)
			if err := x.removeForGood(stateName(all[i])); err != nil {
				return err
			}
			continue
		}
		e.state, found = scratch, at
	}
	e.stateAt, x.twinAt = found.index, found.index
	if found.index < e.last.index {
		e.last = found
	}
	return e.state.copyInto(x.twin)
}

// belongs reports whether the frame at index has that header checksum. Frames
// of sealed segments never change, so only the last segment is looked into.
func (x *indexer) belongs(index event.Index, chain uint32) bool {
	if ends := x.log.SegmentEnds(); len(ends) > 0 && index <= ends[len(ends)-1] {
		return true
	}
	same := false
	err := x.log.CursorFrom(index).Visit(index, func(f commitlog.Frame) error {
		same = f.CRC == chain
		return nil
	})
	return err == nil && same
}

func (x *indexer) removeForGood(names ...string) error {
	for _, name := range names {
		if err := removeIfThere(x.disk, name); err != nil {
			return err
		}
	}
	return x.disk.SyncDir(indexDir)
}

// adopt opens the files that cover the log from frame first on without a gap,
// rebuilds what is missing between them and removes all others. Then it loads
// the counters at their end.
func (x *indexer) adopt(first, end event.Index) error {
	names, leftovers, err := x.shelf.Names()
	if err != nil {
		return err
	}
	var spans []indexfile.Span
	for _, name := range names {
		span, _ := indexfile.ParseName(name)
		if span.First >= first && span.Last <= end {
			spans = append(spans, span)
		} else {
			leftovers = append(leftovers, name)
		}
	}
	if err := x.clear(leftovers, end); err != nil {
		return err
	}
	if err := x.chainUp(spans, first, end); err != nil {
		return err
	}
	for {
		if err = x.queues.Load(x.rowsBefore(len(x.files))); err == nil {
			break
		}
		if len(x.files) == 0 || !errors.Is(err, indexfile.ErrDamaged) {
			return err
		}
		bad := x.files[len(x.files)-1]
		x.files = x.files[:len(x.files)-1]
		x.text.Warn("index file is damaged; its part of the log is read again", "file", bad.Name(), "cause", err)
		if err := x.discard([]*indexfile.File{bad}); err != nil {
			return err
		}
	}
	x.publish(x.files)
	x.damaged, x.news = nil, false
	return x.removeUnused(spans)
}

// clear removes index files that don't belong to the log, temporary files and
// states past the end.
func (x *indexer) clear(leftovers []string, end event.Index) error {
	states, err := listStates(x.disk)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range leftovers {
		names = append(names, indexDir+"/"+name)
	}
	for _, index := range states {
		if index > end {
			names = append(names, stateName(index))
		}
		names = append(names, stateName(index)+tmpEnd)
	}
	if len(names) == 0 {
		return nil
	}
	return x.removeForGood(names...)
}

// removeUnused removes the files that were not adopted.
func (x *indexer) removeUnused(spans []indexfile.Span) error {
	used := make(map[string]bool, len(x.files))
	for _, f := range x.files {
		used[f.Name()] = true
	}
	for i := range spans {
		if name := spans[i].Name(); !used[name] {
			if err := x.shelf.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// chainUp opens the best files, from frame next on.
func (x *indexer) chainUp(spans []indexfile.Span, next, end event.Index) error {
	// Of the files that begin with a frame the longest comes first: a merged
	// file before the runs it was made of.
	slices.SortFunc(spans, func(a, b indexfile.Span) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last))
	})
	var err error
	for len(spans) > 0 {
		span := spans[0]
		if span.First < next {
			spans = spans[1:]
			continue
		}
		if span.First > next {
			last := min(span.First-1, x.segmentEnd(next, end))
			if next, err = x.fillGap(next, last); err != nil {
				x.text.Warn("index file not written; the log is read again from its first frame on", "first", next, "cause", err)
				return nil
			}
			continue
		}
		f, err := x.shelf.Open(span.Name())
		if err == nil && !x.belongs(f.Last, f.Chain) {
			err = errors.Join(fmt.Errorf("%w: the frames are others now", indexfile.ErrDamaged), x.shelf.Retire(f))
		}
		if err == nil {
			x.files = append(x.files, f)
			next = f.Last + 1
		} else {
			x.text.Warn("index file is not good; its part of the log is read again", "file", span.Name(), "cause", err)
			if err := x.removeForGood(indexDir + "/" + span.Name()); err != nil {
				return err
			}
		}
		spans = spans[1:]
	}
	return nil
}

// segmentEnd is the last frame of the segment that holds a frame.
func (x *indexer) segmentEnd(index, end event.Index) event.Index {
	for _, e := range x.log.SegmentEnds() {
		if e >= index {
			return e
		}
	}
	return end
}

// fillGap rebuilds the file of frames first to last and returns where to go on:
// before them, when the file before turns out to be damaged.
func (x *indexer) fillGap(first, last event.Index) (event.Index, error) {
	x.text.Warn("index file is missing; it is rebuilt from its segment", "first", first, "last", last)
	n := len(x.files)
	f, err := x.rebuild(first, last, x.rowsBefore(n))
	if errors.Is(err, indexfile.ErrDamaged) && n > 0 {
		bad := x.files[n-1]
		x.files = x.files[:n-1]
		return bad.First, x.discard([]*indexfile.File{bad})
	}
	if err != nil {
		return first, err
	}
	x.files = append(x.files, f)
	return last + 1, nil
}
