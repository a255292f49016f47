package replication

import (
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
)

// snapshotSink writes a checkpoint beside the base and replaces it when closed.
type snapshotSink struct {
	snapshots *Snapshots
	file      disk.File
	at        int64
	// index and term that the checkpoint must have; 0 for one of our own.
	index, term uint64
}

// create begins a file. One is written at a time: Raft and Trim take turns.
// Close or Cancel ends it.
func (s *Snapshots) create() (*snapshotSink, error) {
	s.writing.Lock()
	f, err := s.createFile()
	if err != nil {
		s.writing.Unlock()
		return nil, err
	}
	return &snapshotSink{snapshots: s, file: f}, nil
}

func (s *Snapshots) createFile() (disk.File, error) {
	if err := s.disk.Remove(baseTmpName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return nil, err
	}
	return s.disk.Open(baseTmpName, disk.Create)
}

// Write appends to the file.
func (w *snapshotSink) Write(b []byte) (int, error) {
	n, err := w.file.WriteAt(b, w.at)
	w.at += int64(n)
	return n, err
}

// ID of the snapshot.
func (w *snapshotSink) ID() string { return snapshotID(w.index, w.term) }

// Cancel forgets what was written.
func (w *snapshotSink) Cancel() error {
	defer w.snapshots.writing.Unlock()
	return errors.Join(w.file.Close(), w.snapshots.disk.Remove(baseTmpName))
}

// Close checks the checkpoint and makes it the base, durably.
func (w *snapshotSink) Close() error {
	s := w.snapshots
	err := w.check()
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s/%s: %w", s.disk.Path(), baseTmpName, err), w.Cancel())
	}
	defer s.writing.Unlock()
	err = s.disk.Rename(baseTmpName, baseName)
	if err == nil {
		err = s.disk.SyncDir(".")
	}
	if err == nil {
		err = s.adopt(w.file)
	}
	return errors.Join(err, w.file.Close())
}

func (w *snapshotSink) check() error {
	h, err := checkpoint.Verify(io.NewSectionReader(w.file, 0, w.at), w.snapshots.log.Meta().Log)
	if err != nil {
		return err
	}
	if w.index != 0 && (uint64(h.Index) != w.index || uint64(h.Term) != w.term) {
		return fmt.Errorf("%w: it covers frame %d of term %d, the leader announced %d of term %d",
			checkpoint.ErrCorrupt, h.Index, h.Term, w.index, w.term)
	}
	return nil
}
