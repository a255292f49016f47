package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

// Names beside the log's. Everything in indexDir may be deleted at any time.
const (
	indexDir   = "index"
	stateEnd   = ".state"
	tmpEnd     = ".tmp"
	stateDigit = 20
	// baseName is part of the log: the state at the place where it begins.
	baseName = "base"

	statesKept     = 2
	baseBytesMax   = 4 << 30
	fileBufferSize = 1 << 20
)

// stateName is the name of the checkpoint after a frame.
func stateName(index event.Index) string {
	return fmt.Sprintf("%s/%0*d%s", indexDir, stateDigit, uint64(index), stateEnd)
}

// parseStateName refuses everything that stateName doesn't build.
func parseStateName(name string) (event.Index, bool) {
	digits, ok := strings.CutSuffix(name, stateEnd)
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || stateName(event.Index(n)) != indexDir+"/"+name {
		return 0, false
	}
	return event.Index(n), true
}

// listStates lists the state checkpoints, oldest first.
func listStates(d disk.Disk) ([]event.Index, error) {
	names, err := d.List(indexDir)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, nil
	}
	var all []event.Index
	for _, name := range names {
		if index, ok := parseStateName(name); ok {
			all = append(all, index)
		}
	}
	return all, err
}

// fileWriter writes a file from its start.
type fileWriter struct {
	file disk.File
	at   int64
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.file.WriteAt(b, w.at)
	w.at += int64(n)
	return n, err
}

// writeState writes a state checkpoint without a sync: what a power cut
// damages, its checksums tell, and it is rebuilt. It removes older ones.
func writeState(d disk.Disk, id event.LogID, at place, s *state) error {
	name := stateName(at.index)
	if err := removeIfThere(d, name+tmpEnd); err != nil {
		return err
	}
	if err := d.MakeDir(indexDir); err != nil {
		return err
	}
	f, err := d.Open(name+tmpEnd, disk.Create)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(&fileWriter{file: f}, fileBufferSize)
	err = writeCheckpoint(out, id, at, s.projections())
	if err == nil {
		err = out.Flush()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.Rename(name+tmpEnd, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write checkpoint %s: %w", name, err), removeIfThere(d, name+tmpEnd))
	}
	return removeOldStates(d)
}

func removeOldStates(d disk.Disk) error {
	all, err := listStates(d)
	for i := 0; i < len(all)-statesKept && err == nil; i++ {
		err = removeIfThere(d, stateName(all[i]))
	}
	return err
}

// removeStates removes all state checkpoints.
func removeStates(d disk.Disk) error {
	all, err := listStates(d)
	for _, index := range all {
		err = errors.Join(err, removeIfThere(d, stateName(index)))
	}
	return err
}

func removeIfThere(d disk.Disk, name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	return nil
}

// readCheckpoint verifies a checkpoint file and restores the projections.
func readCheckpoint(d disk.Disk, name string, id event.LogID, parts []projection.Projection) (place, error) {
	f, err := d.Open(name, disk.Read)
	if err != nil {
		return place{}, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return place{}, err
	}
	if _, err := checkpoint.Verify(io.NewSectionReader(f, 0, size), id); err != nil {
		return place{}, err
	}
	return restoreCheckpoint(io.NewSectionReader(f, 0, size), id, parts)
}
