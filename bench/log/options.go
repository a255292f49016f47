package log

import (
	"fmt"
	"slices"
	"time"
)

// Mode is when a message counts as stored.
type Mode string

// The modes: after the sync, or after the write.
const (
	Sync  Mode = "sync"
	Async Mode = "async"
)

// Names of contenders.
const (
	ring   = "io_uring"
	posix  = "posix"
	group  = "group"
	raw    = "raw"
	device = "device"
)

// What the engine's segments are made of: files that were written before, as in
// a log that recycles its segments; or new ones, with the zero-fill running ahead
// of the log within the measured time.
const (
	ready = "ready"
	fresh = "fresh"
)

// Options of a run.
type Options struct {
	Dir          string // on the disk to measure; what is made there is removed
	Sizes        []int  // bytes of a body
	Depths       []int  // producers
	Modes        []string
	Engines      []string // io_uring, posix
	Rounds       int
	Warmup       time.Duration
	Duration     time.Duration // measured, of each sample
	SegmentBytes int64
	Segments     string // ready or fresh
	FloorBytes   int64  // length of the floors' file
	Progress     func(string)

	pool *pool // of segments that are ready; nil for fresh ones
}

const (
	sizeMax       = 4 << 20
	depthMax      = 10_000
	floorBytesMin = 4 * batchBytes
)

func (o *Options) check() error {
	for _, n := range o.Sizes {
		if n < 1 || n > sizeMax {
			return fmt.Errorf("bench log: size %d is not allowed; use 1 to %d bytes", n, sizeMax)
		}
	}
	for _, n := range o.Depths {
		if n < 1 || n > depthMax {
			return fmt.Errorf("bench log: depth %d is not allowed; use 1 to %d producers", n, depthMax)
		}
	}
	for _, m := range o.Modes {
		if Mode(m) != Sync && Mode(m) != Async {
			return fmt.Errorf("bench log: mode %q is not allowed; use %s or %s", m, Sync, Async)
		}
	}
	for _, e := range o.Engines {
		if e != ring && e != posix {
			return fmt.Errorf("bench log: engine %q is not allowed; use %s or %s", e, ring, posix)
		}
	}
	if o.Segments != ready && o.Segments != fresh {
		return fmt.Errorf("bench log: segments %q are not allowed; use %s or %s", o.Segments, ready, fresh)
	}
	switch {
	case len(o.Sizes) == 0 || len(o.Depths) == 0 || len(o.Modes) == 0:
		return fmt.Errorf("bench log: nothing to measure; name a size, a depth and a mode")
	case o.Rounds < 1 || o.Duration <= 0 || o.Warmup < 0:
		return fmt.Errorf("bench log: %d rounds of %v after %v are not allowed; use 1 round or more and a time", o.Rounds, o.Duration, o.Warmup)
	case o.FloorBytes < floorBytesMin || o.FloorBytes%batchBytes != 0:
		return fmt.Errorf("bench log: floor file of %d bytes is not allowed; use a multiple of %d from %d", o.FloorBytes, batchBytes, floorBytesMin)
	}
	return nil
}

// Cell is what one sample of each contender measures.
type Cell struct {
	Size  int  `json:"size"`
	Depth int  `json:"depth"`
	Mode  Mode `json:"mode"`
}

func (o *Options) cells() []Cell {
	var all []Cell
	for _, size := range o.Sizes {
		for _, mode := range o.Modes {
			for _, depth := range o.Depths {
				all = append(all, Cell{Size: size, Depth: depth, Mode: Mode(mode)})
			}
		}
	}
	return all
}

// contenders of a cell, in the order of a round.
func (o *Options) contenders(c Cell, round int) []string {
	all := append(slices.Clone(o.Engines), group)
	if c.Depth == 1 {
		all = append(all, raw)
	}
	turn := round % len(all)
	return append(all[turn:], all[:turn]...)
}
