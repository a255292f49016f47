package indexfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// writeBlocks is how many blocks one write to the disk carries.
const writeBlocks = 64

// Builder writes one file, from front to back: queues in order, each followed
// by its entries; then samples; then keys in order. The first error sticks;
// Finish returns it.
type Builder struct {
	shelf *Shelf
	file  disk.File
	span  Span
	err   error

	out   []byte // whole blocks, the last one open
	used  int    // bytes in the payload of the open block
	block uint32 // number of the open block

	counts  counts
	row     Row
	rows    []byte
	samples []byte
	filter  []byte
	fences  []byte
	last    Key
	section section
}

// section is what the builder is writing.
type section uint8

const (
	inEntries section = iota
	inKeys
)

// Create begins the file of a span. keys is how many keys it will have.
func (h *Shelf) Create(span Span, keys int) (*Builder, error) {
	if keys > math.MaxUint32 {
		return nil, fmt.Errorf("BUG: index file of %d keys", keys)
	}
	tmp := h.path(span.Name() + tmpEnd)
	if err := h.disk.Remove(tmp); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return nil, err
	}
	if err := h.disk.MakeDir(h.dir); err != nil {
		return nil, err
	}
	f, err := h.disk.Open(tmp, disk.Create)
	if err != nil {
		return nil, err
	}
	b := &Builder{shelf: h, file: f, span: span, out: make([]byte, blockBytes, writeBlocks*blockBytes)}
	b.counts.lines = filterLines(keys)
	b.filter = make([]byte, int(b.counts.lines)*lineBytes)
	b.rows = make([]byte, 0, h.rowsBytes.Load())
	return b, nil
}

// Queue begins a queue, which comes after the one before by topic and id.
func (b *Builder) Queue(q event.Queue, next event.Offset, born event.Position) {
	b.endQueue()
	if b.counts.rows > 0 && b.row.Queue.Number() >= q.Number() {
		panic(fmt.Sprintf("BUG: index file: queue %v after %v", q, b.row.Queue))
	}
	b.row = Row{Queue: q, Next: next, Born: born, Start: b.counts.entries}
	b.counts.rows++
}

func (b *Builder) endQueue() {
	if b.counts.rows > 0 {
		b.row.Count = b.counts.entries - b.row.Start
		b.rows = appendRow(b.rows, b.row)
	}
}

// Slots adds entries of the queue, in log order.
func (b *Builder) Slots(slots ...Slot) {
	var item [entryBytes]byte
	for _, s := range slots {
		b.put(appendSlot(item[:0], s))
	}
	b.counts.entries += uint32(len(slots))
}

// Sample adds a sample, in log order.
func (b *Builder) Sample(s Sample) {
	b.samples = appendSample(b.samples, s)
	b.counts.samples++
}

// Key adds a key. It comes after the one before by hash and position.
func (b *Builder) Key(k Key) {
	if b.section == inEntries {
		b.endEntries()
	}
	if b.counts.keys > 0 && k.before(b.last) {
		panic(fmt.Sprintf("BUG: index file: key %v after %v", k, b.last))
	}
	if b.used == 0 {
		b.fences = binary.LittleEndian.AppendUint64(b.fences, k.Hash)
	}
	var item [keyBytes]byte
	b.put(appendKey(item[:0], k))
	setHash(b.filter, k.Hash)
	b.counts.keys++
	b.last = k
}

// endEntries writes what stands between entries and keys.
func (b *Builder) endEntries() {
	b.endQueue()
	b.shelf.rowsBytes.Store(int64(len(b.rows)))
	b.endSection()
	for at := 0; at < len(b.rows); at += rowBytes {
		row := b.rows[at : at+rowBytes]
		if b.used == 0 {
			b.fences = binary.LittleEndian.AppendUint64(b.fences, decodeRow(row).Queue.Number())
		}
		b.put(row)
	}
	b.putAll(b.samples, sampleBytes)
	b.section = inKeys
}

// putAll writes a whole section from memory; the section before ends.
func (b *Builder) putAll(items []byte, itemBytes int) {
	b.endSection()
	for at := 0; at < len(items); at += itemBytes {
		b.put(items[at : at+itemBytes])
	}
	b.endSection()
}

// put adds an item to the section.
func (b *Builder) put(item []byte) {
	copy(b.open()[b.used:], item)
	b.used += len(item)
	if b.used == payloadBytes {
		b.endBlock()
	}
}

// open is the block that is being filled.
func (b *Builder) open() []byte { return b.out[len(b.out)-blockBytes:] }

func (b *Builder) endSection() {
	if b.used > 0 {
		b.endBlock()
	}
}

// endBlock seals the open block and begins the next.
func (b *Builder) endBlock() {
	sealBlock(b.open(), b.shelf.seed, &b.span, b.block)
	b.used = 0
	b.block++
	if len(b.out) == cap(b.out) {
		b.write(b.out)
		b.out = b.out[:0]
	}
	b.out = b.out[:len(b.out)+blockBytes]
	clear(b.open())
}

// write writes whole blocks, the last of which is the one before b.block.
func (b *Builder) write(blocks []byte) {
	if b.err != nil || len(blocks) == 0 {
		return
	}
	at := int64(b.block)*blockBytes - int64(len(blocks))
	_, b.err = b.file.WriteAt(blocks, at)
}

// Finish completes the file and opens it. After an error nothing is left.
func (b *Builder) Finish() (*File, error) {
	if b.section == inEntries {
		b.endEntries()
	}
	b.putAll(b.filter, lineBytes)
	b.putAll(b.fences, fenceBytes)
	b.put(encodeFoot(&b.span, &b.counts))
	b.endSection()
	b.write(b.out[:len(b.out)-blockBytes])
	name := b.span.Name()
	b.err = errors.Join(b.err, b.file.Close())
	if b.err == nil {
		b.err = b.shelf.disk.Rename(b.shelf.path(name+tmpEnd), b.shelf.path(name))
	}
	if b.err != nil {
		return nil, fmt.Errorf("write index file %s: %w", name, errors.Join(b.err, b.shelf.removeTemporary(name)))
	}
	return b.shelf.Open(name)
}

// Abort gives up and leaves nothing.
func (b *Builder) Abort() error {
	return errors.Join(b.file.Close(), b.shelf.removeTemporary(b.span.Name()))
}

func (h *Shelf) removeTemporary(name string) error {
	err := h.disk.Remove(h.path(name + tmpEnd))
	if errors.Is(err, disk.ErrNotFound) {
		return nil
	}
	return err
}
