package remoting

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Sizes of input buffers. A connection begins with the smallest one and gets
// the next one only when the present one is full of bytes that have arrived,
// so what a peer claims never makes us allocate.
var inputClassBytes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, lengthBytes + FrameBytesMax}

const (
	inputClassBusy = 2 // largest size that a busy connection gets for reading many frames at once
	// inputClassCounted is the smallest size that counts against the budget.
	inputClassCounted = 3
)

// inputBuffer is a pooled buffer of one of the sizes.
type inputBuffer struct {
	b     []byte
	class int
}

var inputPools [len(inputClassBytes)]sync.Pool

func newInputBuffer(class int) *inputBuffer {
	if b, ok := inputPools[class].Get().(*inputBuffer); ok {
		return b
	}
	return &inputBuffer{b: make([]byte, inputClassBytes[class]), class: class}
}

// budget bounds the bytes in large buffers of all connections together.
// A nil budget has no bound.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(-int64(n))
	return false
}

func (b *budget) give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}

// input holds the bytes that have arrived and are not handled yet. Between
// frames it holds no buffer, so an idle connection costs none.
type input struct {
	buffer     *inputBuffer // nil while empty
	start, end int          // of the unhandled bytes
	class      int          // size to take next, by how much the last reads brought
	budget     *budget
}

// pending is the unhandled bytes.
func (in *input) pending() []byte {
	if in.buffer == nil {
		return nil
	}
	return in.buffer.b[in.start:in.end]
}

func (in *input) discard(n int) { in.start += n }

// makeRoom returns where to read to. It is never empty unless err is set.
func (in *input) makeRoom() ([]byte, error) {
	if in.buffer == nil {
		in.buffer = newInputBuffer(in.class)
		return in.buffer.b, nil
	}
	if in.start == in.end && in.buffer.class > inputClassBusy {
		in.release()
		return in.makeRoom()
	}
	if in.start > 0 {
		copy(in.buffer.b, in.buffer.b[in.start:in.end])
		in.start, in.end = 0, in.end-in.start
	}
	want := in.buffer.class
	if in.end == len(in.buffer.b) {
		want++
	}
	if want < in.class {
		want = in.class
	}
	if want > in.buffer.class {
		if err := in.move(want); err != nil {
			return nil, err
		}
	}
	return in.buffer.b[in.end:], nil
}

// filled tells how much was read into the room, and adapts the size to take next.
func (in *input) filled(n int) {
	full := n == len(in.buffer.b)-in.end
	in.end += n
	switch {
	case full && in.class < inputClassBusy:
		in.class++
	case in.class > 0 && n <= inputClassBytes[in.class-1]/4:
		in.class--
	}
}

// park gives back what an idle connection does not need: the whole buffer
// when it is empty, most of it when little is in it.
func (in *input) park() {
	if in.buffer == nil {
		return
	}
	used := in.end - in.start
	if used == 0 {
		in.release()
		return
	}
	class := 0
	for inputClassBytes[class] < used {
		class++
	}
	if class < in.buffer.class {
		_ = in.move(class) // without budget for both at once the larger one stays
	}
}

// move copies the unhandled bytes to a buffer of another size.
func (in *input) move(class int) error {
	if class >= len(inputClassBytes) {
		panic(fmt.Sprintf("BUG: input of %d bytes without a whole frame in it, frames have at most %d", in.end-in.start, lengthBytes+FrameBytesMax))
	}
	if class >= inputClassCounted && !in.budget.take(inputClassBytes[class]) {
		return fmt.Errorf("%w: all connections together hold more than %d bytes of unfinished frames", ErrOverload, in.budget.limit)
	}
	larger := newInputBuffer(class)
	n := copy(larger.b, in.pending())
	in.release()
	in.buffer, in.start, in.end = larger, 0, n
	return nil
}

// release gives the buffer back. What is in it is dropped.
func (in *input) release() {
	b := in.buffer
	if b == nil {
		return
	}
	in.buffer, in.start, in.end = nil, 0, 0
	if b.class >= inputClassCounted {
		in.budget.give(inputClassBytes[b.class])
	}
	inputPools[b.class].Put(b)
}
