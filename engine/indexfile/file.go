package indexfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
)

// File is an open index file. Its methods are safe for concurrent use.
type File struct {
	Span
	shelf  *Shelf
	name   string
	counts counts
	at     layout

	rowFences []uint64 // first queue of each block of the table
	keyFences []uint64 // first hash of each block of keys

	opened  bool // damage is news from here on
	damaged atomic.Bool
	retired atomic.Bool
}

// Open opens a file by name. It reads and verifies the foot and the fences;
// everything else is verified when it is read.
func (h *Shelf) Open(name string) (*File, error) {
	named, ok := ParseName(name)
	if !ok {
		return nil, fmt.Errorf("open index file %q: no name of an index file", name)
	}
	f := &File{Span: named, shelf: h, name: name}
	if err := f.open(named); err != nil {
		return nil, errors.Join(fmt.Errorf("open index file %s: %w", name, err), h.Retire(f))
	}
	f.opened = true
	return f, nil
}

func (f *File) open(named Span) error {
	size, err := f.size()
	if err != nil {
		return err
	}
	blocks := size / blockBytes
	if size%blockBytes != 0 || blocks == 0 || blocks > 1<<32 {
		return fmt.Errorf("%w: %d bytes", ErrDamaged, size)
	}
	b := make([]byte, blockBytes)
	if err := f.readBlocks(b, uint32(blocks-1)); err != nil {
		return err
	}
	if f.Span, f.counts, err = decodeFoot(b, named); err != nil {
		return err
	}
	if f.at = f.counts.layout(); int64(f.at.foot)+1 != blocks {
		return fmt.Errorf("%w: %d blocks, expected %d", ErrDamaged, blocks, f.at.foot+1)
	}
	return f.readFences()
}

func (f *File) size() (int64, error) {
	open, err := f.shelf.acquire(f)
	if err != nil {
		return 0, err
	}
	defer f.shelf.release(f, open)
	return open.file.Size()
}

// readFences keeps in memory where a search in a section begins.
func (f *File) readFences() error {
	rows, keys := f.counts.fences()
	all := make([]uint64, 0, rows+keys)
	b := make([]byte, blockBytes)
	for n := f.at.fences; n < f.at.foot; n++ {
		if err := f.readBlocks(b, n); err != nil {
			return err
		}
		for at := 0; at < payloadBytes && len(all) < cap(all); at += fenceBytes {
			all = append(all, binary.LittleEndian.Uint64(b[at:]))
		}
	}
	f.rowFences, f.keyFences = all[:rows:rows], all[rows:]
	return nil
}

// Name of the file on its shelf.
func (f *File) Name() string { return f.name }

// Rows is the number of queues in the table.
func (f *File) Rows() int { return int(f.counts.rows) }

// Keys is the number of keys.
func (f *File) Keys() int { return int(f.counts.keys) }

// readBlocks fills b with whole blocks from the disk and verifies them.
func (f *File) readBlocks(b []byte, number uint32) error {
	open, err := f.shelf.acquire(f)
	if err != nil {
		return f.noteDamage(err)
	}
	defer f.shelf.release(f, open)
	if n, err := open.file.ReadAt(b, int64(number)*blockBytes); err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return f.noteDamage(fmt.Errorf("%w: block %d: %w", ErrDamaged, number+uint32(n/blockBytes), err))
	}
	for i := 0; i < len(b); i += blockBytes {
		if _, err := openBlock(b[i:i+blockBytes], f.shelf.seed, &f.Span, number+uint32(i/blockBytes)); err != nil {
			return f.noteDamage(err)
		}
	}
	return nil
}

// noteDamage tells the owner of the shelf of the first error of a file that is
// its content's fault.
func (f *File) noteDamage(err error) error {
	if errors.Is(err, ErrRetired) {
		return err
	}
	if errors.Is(err, ErrDamaged) && f.opened && !f.retired.Load() && f.damaged.CompareAndSwap(false, true) {
		f.shelf.onDamage(f)
	}
	return fmt.Errorf("read index file %s: %w", f.name, err)
}

// item returns the bytes of item i of the section that begins at block from.
func (f *File) item(from uint32, i uint32, itemBytes int) ([]byte, error) {
	perBlock := uint32(payloadBytes / itemBytes)
	b, err := f.shelf.payload(f, from+i/perBlock)
	if err != nil {
		return nil, err
	}
	at := int(i%perBlock) * itemBytes
	return b[at : at+itemBytes], nil
}

// search returns the first of items [from, to) for which after is true.
func search(from, to uint32, after func(i uint32) (bool, error)) (uint32, error) {
	for from < to {
		middle := from + (to-from)/2
		ok, err := after(middle)
		switch {
		case err != nil:
			return 0, err
		case ok:
			to = middle
		default:
			from = middle + 1
		}
	}
	return from, nil
}

// rowAt returns the number of the first row whose queue is not below.
func (f *File) rowAt(want uint64) (uint32, error) {
	block := sort.Search(len(f.rowFences), func(i int) bool { return f.rowFences[i] > want })
	const perBlock = payloadBytes / rowBytes
	first := uint32(max(block-1, 0)) * perBlock
	return search(first, min(first+perBlock, f.counts.rows), func(i uint32) (bool, error) {
		b, err := f.item(f.at.table, i, rowBytes)
		return err == nil && decodeRow(b).Queue.Number() >= want, err
	})
}

// Row returns the row of a queue, false where the queue was not alive at the
// end of the span.
func (f *File) Row(q event.Queue) (Row, bool, error) {
	for r, err := range f.rowsFrom(q) {
		return r, err == nil && r.Queue == q, err
	}
	return Row{}, false, nil
}

// RowsOf goes through the rows of a topic, by queue id. It ends with the first
// error.
func (f *File) RowsOf(topic event.TopicID) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for r, err := range f.rowsFrom(event.Queue{Topic: topic}) {
			if err == nil && r.Queue.Topic != topic || !yield(r, err) {
				return
			}
		}
	}
}

func (f *File) rowsFrom(q event.Queue) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		i, err := f.rowAt(q.Number())
		for ; err == nil && i < f.counts.rows; i++ {
			var b []byte
			if b, err = f.item(f.at.table, i, rowBytes); err == nil && !yield(decodeRow(b), nil) {
				return
			}
		}
		if err != nil {
			yield(Row{}, err)
		}
	}
}

// Slots copies entries of a row of this file, from its i-th on, to dst and
// returns how many: as many as stand in one block.
func (f *File) Slots(r Row, i uint32, dst []Slot) (int, error) {
	if i >= r.Count || len(dst) == 0 {
		return 0, nil
	}
	const perBlock = payloadBytes / entryBytes
	at := r.Start + i
	b, err := f.shelf.payload(f, at/perBlock)
	if err != nil {
		return 0, err
	}
	n := min(len(dst), int(r.Count-i), int(perBlock-at%perBlock))
	for k := range n {
		dst[k] = decodeSlot(b[(int(at%perBlock)+k)*entryBytes:])
	}
	return n, nil
}

// SlotAt returns which of a row's entries is the first at or after a position,
// the row's Count where none is.
func (f *File) SlotAt(r Row, position event.Position) (uint32, error) {
	i, err := search(r.Start, r.Start+r.Count, func(i uint32) (bool, error) {
		b, err := f.item(0, i, entryBytes)
		return err == nil && f.Segment+event.Position(decodeSlot(b).Position) >= position, err
	})
	return i - min(i, r.Start), err
}

// Around returns two positions between which time passes ms: every event of
// the span before from is older than ms (Unix milliseconds), no event at to or
// after is. To is the span's end where no sample says better.
func (f *File) Around(ms int64) (from, to event.Position, err error) {
	i, err := search(0, f.counts.samples, func(i uint32) (bool, error) {
		b, err := f.item(f.at.samples, i, sampleBytes)
		return err == nil && decodeSample(b).Timestamp >= ms, err
	})
	if err != nil {
		return 0, 0, err
	}
	from, to = f.Base, f.End
	if i > 0 {
		b, err := f.item(f.at.samples, i-1, sampleBytes)
		if err != nil {
			return 0, 0, err
		}
		from = f.Segment + event.Position(decodeSample(b).Position)
	}
	if i < f.counts.samples {
		b, err := f.item(f.at.samples, i, sampleBytes)
		if err != nil {
			return 0, 0, err
		}
		to = f.Segment + event.Position(decodeSample(b).Position)
	}
	return from, to, nil
}

// MayHold reports whether the file may hold a key with that hash.
func (f *File) MayHold(hash uint64) (bool, error) {
	if f.counts.lines == 0 {
		return false, nil
	}
	line, numbers := place(hash, f.counts.lines)
	b, err := f.item(f.at.filter, line, lineBytes)
	return err == nil && lineHas(b, numbers), err
}

// KeysBefore returns a walk over the positions of the events with a key hash
// that stand before a position, newest first.
func (f *File) KeysBefore(hash uint64, before event.Position) (*KeyWalk, error) {
	w := &KeyWalk{file: f, hash: hash}
	if before <= f.Segment {
		return w, nil
	}
	limit := Key{Hash: hash, Position: uint32(min(uint64(before-f.Segment), 1<<32-1))}
	// Blocks before the first whose first hash is not below: the last of them
	// may still hold the hash. Blocks whose first hash is above do not.
	first := sort.Search(len(f.keyFences), func(i int) bool { return f.keyFences[i] >= hash })
	end := sort.Search(len(f.keyFences), func(i int) bool { return f.keyFences[i] > hash })
	const perBlock = payloadBytes / keyBytes
	from, to := uint32(max(first-1, 0))*perBlock, min(uint32(end)*perBlock, f.counts.keys)
	i, err := search(from, max(from, to), func(i uint32) (bool, error) {
		b, err := f.item(f.at.keys, i, keyBytes)
		return err == nil && !decodeKey(b).before(limit), err
	})
	w.next = i
	return w, err
}

// KeyWalk goes through the events of one key hash in one file, newest first.
type KeyWalk struct {
	file *File
	hash uint64
	next uint32 // one after the number of the next key
}

// Next returns the next position, false at the end.
func (w *KeyWalk) Next() (event.Position, bool, error) {
	if w.next == 0 {
		return 0, false, nil
	}
	b, err := w.file.item(w.file.at.keys, w.next-1, keyBytes)
	if err != nil {
		return 0, false, err
	}
	k := decodeKey(b)
	if k.Hash != w.hash {
		w.next = 0
		return 0, false, nil
	}
	w.next--
	return w.file.Segment + event.Position(k.Position), true, nil
}
