package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
)

func testWakeBeforeWait(t *testing.T, d disk.Disk) {
	o := newOwner(t, d, 4, arena(t, d.BlockBytes()))
	for range 3 {
		o.queue.Wake()
		if n := o.collect(); n != 0 {
			t.Fatalf("%d completions of nothing", n)
		}
	}
}

// testWakeDuringWait lets a waker run as close to the wait as it gets, often
// enough that both orders happen.
func testWakeDuringWait(t *testing.T, d disk.Disk) {
	o := newOwner(t, d, 4, arena(t, d.BlockBytes()))
	const rounds = 2000
	waits := make(chan struct{})
	var waker sync.WaitGroup
	waker.Go(func() {
		for range waits {
			o.queue.Wake()
		}
	})
	for range rounds {
		waits <- struct{}{}
		if n := o.collect(); n != 0 {
			t.Errorf("%d completions of nothing", n)
		}
	}
	close(waits)
	waker.Wait()
}

func testWakeWithOperations(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth = 8
	memory := arena(t, depth*block)
	fill(memory, 2)
	o := newOwner(t, d, depth, memory)
	f := mustOpen(t, d, "file", disk.Create)
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(end)
	var waker sync.WaitGroup
	waker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				o.queue.Wake()
			}
		}
	})
	for range 50 {
		for i := range depth {
			o.write(f, memory[i*block:][:block], int64(i*block), uint64(i))
		}
		for len(o.inFlight) > 0 {
			o.collect()
		}
	}
	end()
	waker.Wait()
	o.settle()
	mustHold(t, d, "file", memory)
}

// testReadersBesideQueue writes block after block; readers check everything
// below the mark that the owner moves after the completions.
func testReadersBesideQueue(t *testing.T, d disk.Disk) {
	block := d.BlockBytes()
	const depth, rounds, readers = 8, 8, 3
	memory := arena(t, depth*block)
	want := filled(depth*rounds*block, 3)
	writer := mustOpen(t, d, "file", disk.DirectCreate)
	must(t, writer.Allocate(int64(len(want))))
	o := newOwner(t, d, depth, memory)
	var mark atomic.Int64
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(end)
	problems := make(chan error, readers)
	for range readers {
		f := mustOpen(t, d, "file", disk.Read)
		go func() { problems <- readBelow(f, block, want, &mark, stop) }()
	}
	for round := range rounds {
		base := round * depth * block
		copy(memory, want[base:][:len(memory)])
		for i := range depth {
			o.write(writer, memory[i*block:][:block], int64(base+i*block), uint64(i))
		}
		o.settle()
		mark.Store(int64(base + len(memory)))
	}
	end()
	for range readers {
		must(t, <-problems)
	}
	mustHold(t, d, "file", want)
}

// readBelow reads block after block below the mark, over and over.
func readBelow(f disk.File, block int, want []byte, mark *atomic.Int64, stop <-chan struct{}) error {
	got := make([]byte, block)
	for at := int64(0); ; at += int64(block) {
		select {
		case <-stop:
			return nil
		default:
		}
		if below := mark.Load(); below == 0 {
			at = -int64(block)
			continue
		} else if at >= below {
			at = 0
		}
		n, err := f.ReadAt(got, at)
		if n != block || err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read of %d bytes at %d: %d bytes, %w", block, at, n, err)
		}
		if !bytes.Equal(got, want[at:at+int64(block)]) {
			return fmt.Errorf("the block at %d differs from the completed write", at)
		}
	}
}
