package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// keeper does the log's work off the hot path: it fills segments with zeros
// ahead of the log's end, keeps a spare segment ready and writes the mark file.
type keeper struct {
	log   *Log
	zeros []byte

	work chan struct{}
	stop chan struct{}
	done chan struct{}

	spareMu sync.Mutex
	spare   *spare
	ready   atomic.Bool // there is a spare
	noSpace atomic.Bool // the last attempt to make a spare found no space

	ticks  atomic.Int64
	lastAt event.Position // log end at the last tick
	ahead  int64          // how far the fill stays before the end
	marked event.Index    // Durable in the mark file
	warned bool           // of a fill that fails

	// marking is held while the mark file is written, and while Durable goes
	// back: a mark from before a truncation must not come back after it.
	marking sync.Mutex
}

// spare is a file that waits to become the next segment.
type spare struct {
	file     disk.File
	bytes    int64
	recycled bool
	fill     filler
}

func newKeeper(l *Log) *keeper {
	return &keeper{
		log: l, zeros: alignedBytes(fillWriteBytes, l.block), ahead: fillAheadBytes,
		work: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

func (k *keeper) tick() {
	k.ticks.Add(1)
	k.wake()
}

func (k *keeper) wake() {
	select {
	case k.work <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (k *keeper) run() {
	defer close(k.done)
	for {
		if k.ticks.Swap(0) > 0 {
			k.second()
		}
		if k.fillOnce() {
			select {
			case <-k.stop:
				return
			default:
				continue
			}
		}
		select {
		case <-k.stop:
			return
		case <-k.work:
		}
	}
}

// second runs about once a second.
func (k *keeper) second() {
	_, _, end := k.log.End()
	k.ahead = max(fillAheadBytes, int64(end-k.lastAt))
	k.lastAt = end
	k.marking.Lock()
	defer k.marking.Unlock()
	if d := k.log.Marks().Durable; d != k.marked {
		if err := writeMark(k.log.disk, k.log.seed, d); err != nil {
			k.log.opts.Log.Warn("mark file not written; recovery works without it", "error", err)
			return
		}
		k.marked = d
	}
}

// fillOnce does one step of zero-fill and reports whether there may be more.
func (k *keeper) fillOnce() bool {
	s := k.log.lastSegment()
	file, err := s.openFile()
	if err != nil { // the flusher is about to make it
		return false
	}
	k.log.tail.mu.Lock()
	target := int64(roundUp(int(k.log.endAt+k.ahead), fillWriteBytes)) // direct I/O wants whole blocks
	k.log.tail.mu.Unlock()
	did, err := k.step(file, &s.fill, min(target, s.bytes))
	switch {
	case err != nil || did:
	case target > s.bytes:
		did, err = k.fillSpare(target - s.bytes)
	case target+k.log.heldBack() > s.bytes:
		err = k.prepare() // whether there is space has to be known before that part is used
	}
	if err != nil {
		if !k.warned {
			k.log.opts.Log.Warn("no segment could be prepared; appends stop when the last one is full", "error", err)
		}
		k.warned = true
		return false
	}
	k.warned = k.warned && !did
	return did
}

// knows reports whether it is known that there is space for another segment, or
// that there is none.
func (k *keeper) knows() bool { return k.ready.Load() || k.noSpace.Load() }

// full reports whether the disk has no space for another segment.
func (k *keeper) full() bool { return k.noSpace.Load() }

// step fills towards target in whole steps, so that a slow trickle of writes
// doesn't cause a sync each.
func (k *keeper) step(file disk.File, f *filler, target int64) (bool, error) {
	to := f.progress()
	if target-to < fillStepBytes && to > int64(k.log.block) {
		if s := k.log.lastSegment(); target < s.bytes || to >= s.bytes {
			return false, nil
		}
	}
	return k.fillStep(file, f, target)
}

// prepare makes the next segment's file if it isn't there.
func (k *keeper) prepare() error {
	k.spareMu.Lock()
	defer k.spareMu.Unlock()
	return k.prepareLocked()
}

func (k *keeper) prepareLocked() error {
	if k.spare != nil {
		return nil
	}
	sp, err := k.create()
	if err != nil {
		return err
	}
	k.spare = sp
	k.ready.Store(true)
	return nil
}

// fillSpare makes the next segment's file and fills the first bytes of it.
func (k *keeper) fillSpare(bytes int64) (bool, error) {
	k.spareMu.Lock()
	defer k.spareMu.Unlock()
	if err := k.prepareLocked(); err != nil {
		return false, err
	}
	return k.fillStep(k.spare.file, &k.spare.fill, min(bytes, k.spare.bytes))
}

// create makes a file of segment size that isn't part of the log yet.
func (k *keeper) create() (*spare, error) {
	d := k.log.disk
	if err := d.Remove(spareName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return nil, err
	}
	file, err := d.Open(spareName, disk.DirectCreate)
	if err != nil {
		return nil, fmt.Errorf("create a segment: %w", err)
	}
	sp := &spare{file: file, bytes: k.log.opts.SegmentBytes}
	err = file.Allocate(sp.bytes)
	if full := errors.Is(err, disk.ErrNoSpace); k.noSpace.Swap(full) && !full {
		k.log.opts.Log.Info("the disk has space for another segment again")
		k.log.flusher.wake()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create a segment: %w", err), file.Close(), d.Remove(spareName))
	}
	sp.fill.startAt(int64(k.log.block))
	return sp, nil
}

// activate turns the spare into segment s: header, sync, name, directory sync,
// in this order, so that a file with a segment's name always has its header.
func (k *keeper) activate(s *segment) error {
	k.spareMu.Lock()
	defer k.spareMu.Unlock()
	sp := k.spare
	k.spare = nil
	k.ready.Store(false)
	if sp == nil || sp.bytes != s.bytes {
		var err error
		if sp, err = k.create(); err != nil {
			return err
		}
	}
	b := k.log.scratch(k.log.block)
	s.recycled = sp.recycled
	s.encodeHeader(b[:k.log.block], k.log.meta.Log)
	if _, err := sp.file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("write header of segment %s: %w", s.name(), err)
	}
	if err := sp.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %s: %w", s.name(), err)
	}
	if err := k.log.disk.Rename(spareName, s.name()); err != nil {
		return err
	}
	if err := k.log.disk.SyncDir("."); err != nil {
		return err
	}
	to := sp.fill.progress()
	s.fill.startAt(to)
	s.setFile(sp.file)
	k.wake()
	return nil
}

// keepSpare makes the file of a trimmed segment the spare, if one is wanted. A
// recycled file is written over to its end, which is what zero-fill is for.
func (k *keeper) keepSpare(s *segment, file disk.File) (taken bool, err error) {
	k.spareMu.Lock()
	defer k.spareMu.Unlock()
	if k.spare != nil || s.bytes != k.log.opts.SegmentBytes {
		return false, nil
	}
	if err := k.log.disk.Rename(s.name(), spareName); err != nil {
		return false, err
	}
	if err := k.log.disk.SyncDir("."); err != nil {
		return false, err
	}
	k.spare = &spare{file: file, bytes: s.bytes, recycled: true}
	k.ready.Store(true)
	k.spare.fill.startAt(s.bytes)
	k.log.meters.recycled.Add(1)
	if k.noSpace.Swap(false) {
		k.log.flusher.wake()
	}
	return true, nil
}

func (k *keeper) close() error {
	close(k.stop)
	<-k.done
	k.spareMu.Lock()
	defer k.spareMu.Unlock()
	if k.spare == nil {
		return nil
	}
	err := errors.Join(k.spare.file.Close(), k.log.disk.Remove(spareName))
	k.spare = nil
	k.ready.Store(false)
	return err
}

const markPayloadBytes = 8

// writeMark records a Durable mark: evidence for recovery that everything up
// to it was on the disk. It is overwritten in place; a torn one counts as none.
func writeMark(d disk.Disk, seed event.Seed, durable event.Index) error {
	var p [markPayloadBytes]byte
	binary.LittleEndian.PutUint64(p[:], uint64(durable))
	b := make([]byte, blockHeaderBytes+markPayloadBytes)
	putBlock(b, blockMark, seed, p[:])
	f, err := d.Open(markName, disk.ReadWrite)
	if errors.Is(err, disk.ErrNotFound) { // made whole: others may look at it
		return disk.WriteWhole(d, markName, b)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

// readMark returns the Durable mark on disk, 0 if there is none or it is torn.
func readMark(d disk.Disk, seed event.Seed) (event.Index, error) {
	b, err := disk.ReadWhole(d, markName, recordBytesMax)
	if err != nil {
		return 0, nil
	}
	p, err := openBlock(b, blockMark, seed, markPayloadBytes)
	switch {
	case errors.Is(err, ErrNewerFormat):
		return 0, fmt.Errorf("read %s/%s: %w", d.Path(), markName, err)
	case err != nil:
		return 0, nil
	}
	return event.Index(binary.LittleEndian.Uint64(p)), nil
}
