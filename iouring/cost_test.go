//go:build linux

package iouring

import (
	"fmt"
	"testing"
	"time"
)

// Not parallel: other tests' allocations would be counted.
func TestOperationsDoNotAllocate(t *testing.T) {
	r := openRing(t, 16, Options{})
	memory := newMemory(t, 8*block)
	check(t, r.RegisterBuffers([][]byte{memory}))
	check(t, r.RegisterFiles(1))
	f := fileOf(t, newDirectFile(t, 8*block))
	check(t, r.UpdateFile(0, f))
	pieces := [][]byte{memory[:block], memory[4*block : 5*block]}
	into := make([]Completion, 16)
	round := func() error {
		for _, err := range [...]error{
			r.Write(f, memory[:block], 0, Whole, 1),
			r.WriteFixed(FileSlot(0), 0, memory[block:2*block], block, DataSync, 2),
			r.Writev(f, pieces, 2*block, 0, 3),
			r.Read(f, memory[5*block:6*block], 6*block, 0, 4),
			r.ReadFixed(f, 0, memory[6*block:7*block], 7*block, Link, 5),
			r.SyncData(FileSlot(0), 0, 6),
			r.Sync(f, 0, 7),
			r.Timeout(0, 8),
			r.Nop(0, 9),
		} {
			if err != nil {
				return err
			}
		}
		if _, err := r.Submit(); err != nil {
			return err
		}
		r.Wake()
		for left := 9; left > 0; {
			n, err := r.Wait(1, time.Minute, into)
			if err != nil {
				return err
			}
			for _, c := range into[:n] {
				if c.Err != nil {
					return c.Err
				}
			}
			left -= n
		}
		return nil
	}
	var failed error
	allocations := testing.AllocsPerRun(200, func() {
		if err := round(); err != nil {
			failed = err
		}
	})
	check(t, failed)
	if allocations != 0 {
		t.Errorf("nine operations made %v allocations, want none", allocations)
	}
}

func BenchmarkNop(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := openRing(b, 64, Options{})
			into := make([]Completion, 64)
			b.ReportAllocs()
			for done := 0; done < b.N; done += batch {
				for range batch {
					check(b, r.Nop(0, 1))
				}
				for left := batch; left > 0; {
					n, err := r.Wait(1, -1, into)
					check(b, err)
					left -= n
				}
			}
		})
	}
}

// BenchmarkWriteAndSync makes 4 KiB durable, in the two ways that take one call.
func BenchmarkWriteAndSync(b *testing.B) {
	const sizeBytes = 1024 * block
	waitFor := func(b *testing.B, r *Ring, count int) {
		var into [2]Completion
		for count > 0 {
			n, err := r.Wait(1, -1, into[:])
			check(b, err)
			for _, c := range into[:n] {
				check(b, c.Err)
			}
			count -= n
		}
	}
	for name, queue := range map[string]func(r *Ring, f File, memory []byte, at int64) (int, error){
		"dsync": func(r *Ring, f File, memory []byte, at int64) (int, error) {
			return 1, r.WriteFixed(f, 0, memory, at, DataSync, 1)
		},
		"link": func(r *Ring, f File, memory []byte, at int64) (int, error) {
			if err := r.WriteFixed(f, 0, memory, at, Link, 1); err != nil {
				return 0, err
			}
			return 2, r.SyncData(f, 0, 2)
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := openRing(b, 8, Options{})
			memory := newMemory(b, block)
			check(b, r.RegisterBuffers([][]byte{memory}))
			check(b, r.RegisterFiles(1))
			file := newDirectFile(b, 0)
			for at := int64(0); at < sizeBytes; at += block { // written ahead: no metadata later
				_, err := file.WriteAt(memory, at)
				check(b, err)
			}
			check(b, file.Sync())
			check(b, r.UpdateFile(0, fileOf(b, file)))
			b.ReportAllocs()
			b.SetBytes(block)
			at := int64(0)
			for b.Loop() {
				count, err := queue(r, FileSlot(0), memory, at)
				check(b, err)
				waitFor(b, r, count)
				at = (at + block) % sizeBytes
			}
		})
	}
}
