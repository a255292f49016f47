package disktest

import (
	"bytes"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
)

// owner drives a queue and checks that every tag comes back exactly once.
type owner struct {
	t        *testing.T
	queue    disk.Queue
	done     []disk.Completion
	inFlight map[uint64]bool
	failed   map[uint64]error
}

func newOwner(t *testing.T, d disk.Disk, depth int, memory []byte) *owner {
	t.Helper()
	q, err := d.OpenQueue(depth, memory)
	must(t, err)
	o := &owner{t: t, queue: q, done: make([]disk.Completion, depth), inFlight: map[uint64]bool{}, failed: map[uint64]error{}}
	t.Cleanup(func() { q.Close() })
	return o
}

func (o *owner) write(f disk.File, buf []byte, at int64, tag uint64) {
	o.inFlight[tag] = true
	o.queue.Write(f, buf, at, tag)
}

// collect waits once. Failures are the caller's to expect.
func (o *owner) collect() int {
	o.t.Helper()
	n, err := o.queue.Wait(o.done)
	must(o.t, err)
	for _, c := range o.done[:n] {
		if !o.inFlight[c.Tag] {
			o.t.Fatalf("completion of tag %d, which isn't in flight", c.Tag)
		}
		delete(o.inFlight, c.Tag)
		if c.Err != nil {
			o.failed[c.Tag] = c.Err
		}
	}
	return n
}

// settle waits until nothing is in flight. Nothing may fail.
func (o *owner) settle() {
	o.t.Helper()
	for len(o.inFlight) > 0 {
		if o.collect() == 0 {
			o.t.Fatal("wait returned nothing, though nobody called Wake")
		}
	}
	for tag, err := range o.failed {
		o.t.Fatalf("operation %d: %v", tag, err)
	}
}

// testQueueEmptyWrites: what an operation does is said by its name, not by its buffer.
func testQueueEmptyWrites(t *testing.T, d disk.Disk) {
	o := newOwner(t, d, 4, arena(t, 4*d.BlockBytes()))
	f := mustOpen(t, d, "file", disk.Create)
	o.write(f, nil, 0, 1)
	o.inFlight[2], o.inFlight[3] = true, true
	o.queue.WriteDurable(f, nil, 0, 2)
	o.queue.SyncData(f, 3)
	o.settle()
	if size, err := f.Size(); err != nil || size != 0 {
		t.Errorf("the file has %d bytes, %v", size, err)
	}
}

func testQueueWrites(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const count = 16
	memory := arena(t, count*4*block)
	o := newOwner(t, d, count, memory)
	f := mustOpen(t, d, "file", disk.Create)
	fill(memory, 3)
	// Buffers of one to four blocks, put down from the end to the start.
	var want []byte
	for i := range count {
		want = append(want, memory[i*4*block:][:(1+i%4)*block]...)
	}
	at := int64(len(want))
	for i := count - 1; i >= 0; i-- {
		buf := memory[i*4*block:][:(1+i%4)*block]
		at -= int64(len(buf))
		o.write(f, buf, at, uint64(i)<<40)
	}
	o.settle()
	mustHold(t, d, "file", want)
}

func testQueueWriteDurable(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	memory := arena(t, 2*block)
	fill(memory, 5)
	o := newOwner(t, d, 2, memory)
	f := mustOpen(t, d, "file", disk.Create)
	o.inFlight[7] = true
	o.queue.WriteDurable(f, memory, 0, 7)
	o.settle()
	mustHold(t, d, "file", memory)
}

func testQueueSync(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	memory := arena(t, 2*block)
	fill(memory, 5)
	o := newOwner(t, d, 3, memory)
	f := mustOpen(t, d, "file", disk.Create)
	o.write(f, memory[:block], 0, 1)
	o.settle()
	// A sync beside a write that it doesn't cover.
	o.inFlight[2] = true
	o.queue.SyncData(f, 2)
	o.write(f, memory[block:], int64(block), 3)
	o.settle()
	o.inFlight[0] = true
	o.queue.SyncData(f, 0)
	o.settle()
	mustHold(t, d, "file", memory)
}

func testQueueDepth(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth, rounds = 32, 20
	memory := arena(t, depth*block)
	o := newOwner(t, d, depth, memory)
	f := mustOpen(t, d, "file", disk.Create)
	must(t, f.Allocate(depth*int64(block)))
	// The queue is kept full: whatever completes makes room for the next one.
	written := 0
	for written < depth*rounds || len(o.inFlight) > 0 {
		for tag := range uint64(depth) {
			if o.inFlight[tag] || written >= depth*rounds {
				continue
			}
			buf := memory[int(tag)*block:][:block]
			written++
			fill(buf, written)
			o.write(f, buf, int64(tag)*int64(block), tag)
		}
		if o.collect() == 0 {
			t.Fatal("wait returned nothing, though nobody called Wake")
		}
	}
	o.settle()
	mustHold(t, d, "file", memory)
}

func testQueueFewCompletions(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth = 8
	memory := arena(t, depth*block)
	fill(memory, 9)
	o := newOwner(t, d, depth, memory)
	o.done = make([]disk.Completion, 1)
	f := mustOpen(t, d, "file", disk.Create)
	for i := range depth {
		o.write(f, memory[i*block:][:block], int64(i*block), uint64(i))
	}
	o.settle()
	mustHold(t, d, "file", memory)
}

func testQueueFailure(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	memory := arena(t, 3*block)
	fill(memory, 9)
	o := newOwner(t, d, 3, memory)
	f := mustOpen(t, d, "file", disk.Create)
	mustWrite(t, d, "other", []byte("unchanged"))
	readOnly := mustOpen(t, d, "other", disk.Read)
	o.write(f, memory[:block], 0, 1)
	o.write(readOnly, memory[block:][:block], 0, 2)
	o.write(f, memory[2*block:], int64(block), 3)
	for len(o.inFlight) > 0 {
		o.collect()
	}
	if o.failed[1] != nil || o.failed[2] == nil || o.failed[3] != nil {
		t.Errorf("errors by tag: %v; want one for tag 2 alone", o.failed)
	}
	mustHold(t, d, "file", append(bytes.Clone(memory[:block]), memory[2*block:]...))
	mustHold(t, d, "other", []byte("unchanged"))
}

func testQueueClose(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth = 16
	memory := arena(t, depth*block)
	fill(memory, 4)
	q, err := d.OpenQueue(depth, memory)
	must(t, err)
	f := mustOpen(t, d, "file", disk.Create)
	for i := range depth {
		q.Write(f, memory[i*block:][:block], int64(i*block), uint64(i))
	}
	_, err = q.Wait(make([]disk.Completion, 1))
	must(t, err)
	must(t, q.Close())
	want := bytes.Clone(memory)
	clear(memory) // ours again
	mustHold(t, d, "file", want)
}

func testTwoQueues(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth = 8
	memory := arena(t, 2*depth*block)
	fill(memory, 4)
	f := mustOpen(t, d, "file", disk.Create)
	var owners [2]*owner
	for i := range owners {
		owners[i] = newOwner(t, d, depth, memory[i*depth*block:][:depth*block])
	}
	for i := range 2 * depth {
		owners[i/depth].write(f, memory[i*block:][:block], int64(i*block), uint64(i))
	}
	owners[1].settle()
	owners[0].settle()
	mustHold(t, d, "file", memory)
}

func testDirect(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	memory := arena(t, 8*block)
	fill(memory, 6)
	f := mustOpen(t, d, "file", disk.DirectCreate)
	must(t, f.Allocate(int64(8*block)))
	o := newOwner(t, d, 8, memory)
	for i := range 4 {
		o.write(f, memory[2*i*block:][:2*block], int64(2*i*block), uint64(i))
	}
	o.settle()
	mustHold(t, d, "file", memory)
	again := mustOpen(t, d, "file", disk.DirectReadWrite)
	got := arena(t, 2*block)
	if n, err := again.ReadAt(got, int64(3*block)); n != len(got) || err != nil || !bytes.Equal(got, memory[3*block:][:2*block]) {
		t.Errorf("direct read: %d bytes, %v, or other bytes", n, err)
	}
	fill(got, 99)
	if n, err := again.WriteAt(got, int64(block)); n != len(got) || err != nil {
		t.Errorf("direct write: %d bytes, %v", n, err)
	}
	copy(memory[block:], got)
	mustHold(t, d, "file", memory)
}

func testDirectNeighbours(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	memory := arena(t, 3*block)
	f := mustOpen(t, d, "file", disk.DirectCreate)
	must(t, f.Allocate(int64(3*block)))
	o := newOwner(t, d, 3, memory)
	for round := range 20 {
		fill(memory, round)
		for i := range 3 {
			o.write(f, memory[i*block:][:block], int64(i*block), uint64(i))
		}
		o.settle()
		mustHold(t, d, "file", memory)
	}
}
