package log

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/apogeemq/apogee/bench/load"
)

// Results are all samples of a run.
type Results struct {
	Started time.Time    `json:"started"`
	Machine load.Machine `json:"machine"`
	Disk    string       `json:"disk"` // how the engine writes
	Cells   []Cell       `json:"cells"`
	Samples []Sample     `json:"samples"`
	Ratios  []Ratio      `json:"ratios"`
}

// Run measures all cells in rounds.
func Run(ctx context.Context, o Options) (_ *Results, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("bench log: %w", err)
	}
	r := &Results{Started: time.Now(), Machine: load.DescribeMachine(), Cells: o.cells()}
	fastest := posix
	if slices.Contains(o.Engines, ring) {
		fastest = ring
	}
	d, err := openDisk(o.Dir, fastest)
	if err != nil {
		return nil, err
	}
	r.Disk = d.Describe()
	floor, err := openFloor(o.Dir, o.FloorBytes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	if o.Segments == ready {
		o.pool, err = newPool(o.Dir, o.SegmentBytes)
		defer func() { err = errors.Join(err, o.pool.close()) }()
		if err != nil {
			return nil, err
		}
	}
	for round := range o.Rounds {
		if err := r.round(ctx, &o, floor, fastest, round); err != nil {
			return nil, err
		}
	}
	r.Ratios = r.ratios()
	return r, nil
}

func (r *Results) round(ctx context.Context, o *Options, floor *floorFile, fastest string, round int) error {
	s, err := measureDevice(ctx, floor, fastest, o.Duration)
	if err != nil {
		return err
	}
	r.add(o, s, device, round)
	for _, c := range r.Cells {
		for _, contender := range o.contenders(c, round) {
			s, err := sample(ctx, o, floor, c, contender)
			if err != nil {
				return err
			}
			r.add(o, s, contender, round)
		}
	}
	return nil
}

func (r *Results) add(o *Options, s Sample, contender string, round int) {
	s.Contender, s.Round = contender, round
	r.Samples = append(r.Samples, s)
	if o.Progress != nil {
		o.Progress(fmt.Sprintf("round %d, %d B, %s, depth %d, %s: %.0f msg/s", round+1, s.Size, s.Mode, s.Depth, contender, s.MessagesPerSecond))
	}
}

// sample measures one contender in one cell.
func sample(ctx context.Context, o *Options, floor *floorFile, c Cell, contender string) (_ Sample, err error) {
	var s store
	switch contender {
	case group:
		s = openGroup(floor, c)
	case raw:
		s = openRaw(floor, c)
	default:
		if s, err = openEngine(o, contender, c); err != nil {
			return Sample{}, err
		}
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return measure(ctx, s, c, o.Warmup, o.Duration)
}
