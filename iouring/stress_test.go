//go:build linux

package iouring

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The stress test runs thousands of random operations on one file, many in
// flight, and keeps a model of the file in memory.
//
// Invariants: each operation completes exactly once, with all its bytes; a read
// sees the model; at the end the file is the model. To make that decidable, at
// most one operation in flight touches a block.
const (
	stressBlocks     = 96
	stressSpanMax    = 6 // blocks of one operation
	stressOperations = 3000
)

type stress struct {
	t      *testing.T
	ring   *Ring
	random *rand.Rand
	file   File
	memory []byte // registered; one span per operation in flight
	spare  []int  // spans of memory not in use
	model  []byte
	locked [stressBlocks]bool
	flight map[uint64]*stressed
	tag    uint64
	counts map[string]int
}

// stressed is one operation in flight.
type stressed struct {
	kind          string
	buffer        []byte
	span          int
	first, blocks int
}

func TestThousandsOfMixedOperationsKeepTheFileRight(t *testing.T) {
	t.Parallel()
	for _, flags := range []Flag{ladder[0], 0} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("flags %q seed %d", flags, seed), func(t *testing.T) {
				t.Parallel()
				f := newDirectFile(t, stressBlocks*block)
				s := newStress(t, openRingOn(t, 16, Options{InFlight: 48, ResumeBytes: block},
					kernelAccepting(flags)), seed)
				check(t, s.ring.UpdateFile(1, fileOf(t, f)))
				s.file = []File{FileSlot(1), fileOf(t, f)}[seed%2]
				for int(s.tag) < stressOperations {
					s.step()
				}
				for s.ring.InFlight() > 0 {
					s.collect(1)
				}
				if len(s.flight) != 0 {
					t.Errorf("%d operations never completed", len(s.flight))
				}
				wantContents(t, f, s.model)
				t.Log(s.counts)
			})
		}
	}
}

func newStress(t *testing.T, r *Ring, seed uint64) *stress {
	s := &stress{
		t: t, ring: r,
		random: rand.New(rand.NewPCG(seed, 99)),
		memory: newMemory(t, 64*stressSpanMax*block),
		model:  make([]byte, stressBlocks*block),
		flight: map[uint64]*stressed{},
		counts: map[string]int{},
	}
	for span := range 64 {
		s.spare = append(s.spare, span)
	}
	check(t, r.RegisterBuffers([][]byte{s.memory}))
	check(t, r.RegisterFiles(2))
	return s
}

// step queues one operation, or collects some if there is no room.
func (s *stress) step() {
	if s.ring.Room() < 3 {
		s.collect(s.random.IntN(4))
		return
	}
	o, free := s.pick()
	if !free {
		s.collect(1)
		return
	}
	s.tag++
	if err := s.queue(o, s.tag); err != nil {
		s.t.Fatalf("%s: %v", o.kind, err)
	}
	s.flight[s.tag] = o
	s.counts[o.kind]++
	switch s.random.IntN(12) {
	case 0:
		_, err := s.ring.Submit()
		check(s.t, err)
	case 1:
		s.ring.Wake()
	case 2:
		s.collect(s.random.IntN(3))
	}
}

// pick makes up an operation on blocks that nothing in flight touches.
func (s *stress) pick() (*stressed, bool) {
	kinds := []string{"write", "write whole", "write durable", "write fixed", "writev", "read", "read fixed",
		"sync", "sync data", "nop", "write linked to sync", "timeout canceled"}
	o := &stressed{kind: kinds[s.random.IntN(len(kinds))]}
	o.first = s.random.IntN(stressBlocks)
	o.blocks = 1 + s.random.IntN(min(stressSpanMax, stressBlocks-o.first))
	for b := o.first; b < o.first+o.blocks; b++ {
		if s.locked[b] {
			return nil, false
		}
	}
	for b := o.first; b < o.first+o.blocks; b++ {
		s.locked[b] = true
	}
	o.span = s.spare[len(s.spare)-1]
	s.spare = s.spare[:len(s.spare)-1]
	o.buffer = s.memory[o.span*stressSpanMax*block:][:o.blocks*block]
	return o, true
}

func (s *stress) queue(o *stressed, tag uint64) error {
	r, at := s.ring, int64(o.first)*block
	switch o.kind {
	case "read":
		return r.Read(s.file, o.buffer, at, 0, tag)
	case "read fixed":
		return r.ReadFixed(s.file, 0, o.buffer, at, 0, tag)
	case "sync":
		return r.Sync(s.file, 0, tag)
	case "sync data":
		return r.SyncData(s.file, 0, tag)
	case "nop":
		return r.Nop(0, tag)
	case "timeout canceled":
		return errors.Join(r.Timeout(time.Hour, tag), s.second(r.Cancel(tag, tag|1<<40), tag))
	}
	fill(o.buffer, s.random.Uint64())
	copy(s.model[at:], o.buffer)
	switch o.kind {
	case "write whole":
		return r.Write(s.file, o.buffer, at, Whole, tag)
	case "write durable":
		return r.Write(s.file, o.buffer, at, DataSync|Whole, tag)
	case "write fixed":
		return r.WriteFixed(s.file, 0, o.buffer, at, Whole, tag)
	case "write linked to sync":
		return errors.Join(r.Write(s.file, o.buffer, at, Link, tag), s.second(r.SyncData(s.file, 0, tag|1<<40), tag))
	case "writev":
		var pieces [][]byte
		for b := range o.blocks {
			pieces = append(pieces, o.buffer[b*block:(b+1)*block])
		}
		return r.Writev(s.file, pieces, at, 0, tag)
	default:
		return r.Write(s.file, o.buffer, at, 0, tag)
	}
}

// second notes the second operation of a pair.
func (s *stress) second(err error, tag uint64) error {
	s.flight[tag|1<<40] = &stressed{kind: "second", span: -1}
	return err
}

// collect waits for completions and checks them against the model.
func (s *stress) collect(least int) {
	into := make([]Completion, 1+s.random.IntN(20))
	n, err := s.ring.Wait(least, time.Second, into)
	check(s.t, err)
	for _, c := range into[:n] {
		o, found := s.flight[c.Tag]
		if !found {
			s.t.Fatalf("tag %d completed twice or was never queued", c.Tag)
		}
		delete(s.flight, c.Tag)
		s.verify(o, c)
		if o.span < 0 {
			continue
		}
		s.spare = append(s.spare, o.span)
		for b := o.first; b < o.first+o.blocks; b++ {
			s.locked[b] = false
		}
	}
}

func (s *stress) verify(o *stressed, c Completion) {
	s.t.Helper()
	switch o.kind {
	case "timeout canceled":
		wantError(s.t, c.Err, unix.ECANCELED)
	case "sync", "sync data", "nop", "second":
		check(s.t, c.Err)
	case "read", "read fixed":
		check(s.t, c.Err)
		if !bytes.Equal(o.buffer[:c.Bytes], s.model[o.first*block:(o.first+o.blocks)*block]) {
			s.t.Fatalf("%s of %d blocks at block %d gave %d bytes that nobody wrote",
				o.kind, o.blocks, o.first, c.Bytes)
		}
	default:
		check(s.t, c.Err)
		if c.Bytes != len(o.buffer) {
			s.t.Fatalf("%s wrote %d bytes, want %d", o.kind, c.Bytes, len(o.buffer))
		}
	}
}
