package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
)

const (
	deviceDepth = 16
	deviceWrite = 64 << 10
)

// measureDevice writes 64 KiB, 16 in flight, around the floors' file, and
// returns how many bytes per second the device takes.
func measureDevice(ctx context.Context, f *floorFile, contender string, duration time.Duration) (Sample, error) {
	d, err := openDisk(f.disk.Path(), contender)
	if err != nil {
		return Sample{}, err
	}
	file, err := d.Open(floorName, disk.DirectReadWrite)
	if err != nil {
		return Sample{}, err
	}
	q, err := d.OpenQueue(deviceDepth, f.arena.Bytes())
	if err != nil {
		return Sample{}, errors.Join(err, file.Close())
	}
	s, err := writeAround(ctx, q, file, f, duration)
	return s, errors.Join(err, q.Close(), file.Close())
}

func writeAround(ctx context.Context, q disk.Queue, file disk.File, f *floorFile, duration time.Duration) (Sample, error) {
	var done [deviceDepth]disk.Completion
	var at, written int64
	submit := func(slot uint64) {
		q.Write(file, f.arena.Bytes()[slot*deviceWrite:(slot+1)*deviceWrite], at%f.bytes, slot)
		at += deviceWrite
	}
	before, began := readUsage(), time.Now()
	for slot := range uint64(deviceDepth) {
		submit(slot)
	}
	inFlight := deviceDepth
	for inFlight > 0 {
		n, err := q.Wait(done[:])
		if err != nil {
			return Sample{}, fmt.Errorf("bench log: device: %w", err)
		}
		for _, e := range done[:n] {
			if e.Err != nil {
				return Sample{}, fmt.Errorf("bench log: device: %w", e.Err)
			}
			written++
			if inFlight--; ctx.Err() == nil && time.Since(began) < duration {
				submit(e.Tag)
				inFlight++
			}
		}
	}
	s := Sample{Contender: device, Cell: Cell{Size: deviceWrite, Depth: deviceDepth, Mode: Async}, Messages: written, Seconds: time.Since(began).Seconds()}
	s.divide(readUsage().minus(before))
	return s, ctx.Err()
}
