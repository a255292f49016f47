package queue

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const (
	checkpointFormat = 1
	packedBytes      = 16
)

// Checkpoint writes all queues with their counters and entries.
func (x *Index) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	queues := x.Queues()
	e.Uint32(checkpointFormat)
	e.Uint32(uint32(len(queues)))
	for _, q := range queues {
		l := x.line(q)
		runs := l.runs()
		_, next := l.bounds()
		e.Uint32(uint32(q.Topic))
		e.Uint32(q.ID)
		e.Uint64(uint64(next))
		e.Uint32(uint32(len(runs)))
		for _, run := range runs {
			encodeRun(e, run)
		}
	}
	return e.Flush()
}

func encodeRun(e *projection.Encoder, run []*chunk) {
	e.Uint64(uint64(run[0].segment))
	e.Uint32(uint32(run[len(run)-1].end() - run[0].first))
	var buffer [packedBytes]byte
	for _, c := range run {
		for i, p := range c.entries[:c.count.Load()] {
			if i%blockEntries == 0 {
				e.Uint64(uint64(c.times[i/blockEntries]))
			}
			binary.LittleEndian.PutUint32(buffer[0:], p.frameOffset)
			binary.LittleEndian.PutUint32(buffer[4:], p.bytes)
			binary.LittleEndian.PutUint32(buffer[8:], uint32(p.tag))
			binary.LittleEndian.PutUint32(buffer[12:], p.position)
			e.Bytes(buffer[:])
		}
	}
}

// Restore replaces all queues. Readers see the old ones until it is done.
func (x *Index) Restore(r io.Reader) error {
	d := projection.NewDecoder(x.Name(), r)
	s := newState()
	d.Format(checkpointFormat)
	var before event.Queue
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		q := event.Queue{Topic: event.TopicID(d.Uint32()), ID: d.Uint32()}
		if i > 0 && compareQueues(before, q) >= 0 {
			d.Fail("queue %d/%d comes after %d/%d", q.Topic, q.ID, before.Topic, before.ID)
		}
		if l := decodeLine(d, q); d.Err() == nil {
			s.add(l)
		}
		before = q
	}
	if err := d.Close(); err != nil {
		return err
	}
	x.state.Store(s)
	return nil
}

// decodeLine reads one queue. The runs come before anybody knows the offset
// of the first entry, so the line is counted from 0 and moved at the end.
func decodeLine(d *projection.Decoder, q event.Queue) *line {
	next := d.Uint64()
	if next > math.MaxInt64 {
		d.Fail("next offset %d is too large", next)
	}
	l := newLine(q)
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		segment := event.Position(d.Uint64())
		if i > 0 && segment <= l.segment() {
			d.Fail("segment %d comes after %d", segment, l.segment())
		}
		decodeRun(d, l, segment)
	}
	_, entries := l.bounds()
	if uint64(entries) > next {
		d.Fail("%d entries, but the next offset is %d", entries, next)
	}
	l.shift(event.Offset(next) - entries)
	return l
}

func decodeRun(d *projection.Decoder, l *line, segment event.Position) {
	entries := d.Uint32()
	if entries == 0 {
		d.Fail("a run without entries")
	}
	var time int64
	var buffer [packedBytes]byte
	for i := uint32(0); i < entries && d.Err() == nil; i++ {
		if i%blockEntries == 0 {
			time = int64(d.Uint64())
		}
		d.Bytes(buffer[:])
		if d.Err() != nil {
			return
		}
		l.put(segment, packed{
			frameOffset: binary.LittleEndian.Uint32(buffer[0:]),
			bytes:       binary.LittleEndian.Uint32(buffer[4:]),
			tag:         int32(binary.LittleEndian.Uint32(buffer[8:])),
			position:    binary.LittleEndian.Uint32(buffer[12:]),
		}, time)
	}
}
