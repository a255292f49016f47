package replication

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Snapshots is Raft's snapshot store. A snapshot holds state, not messages, and
// points at the log: there is one at most, the base checkpoint, which stands in
// for everything before the first frame of a trimmed log. A replica that needs
// it restores the state, lets its log begin behind it, and gets every retained
// frame as a log entry.
//
// The file is named base. It is replaced whole and is always durable before the
// log changes; what a crash leaves undone in the log, OpenSnapshots does:
//
//	base checkpoint at frame   what happened              what is done
//	none, the log begins at 1  nothing was trimmed yet    nothing
//	before the log's first     nothing                    nothing
//	in the log, same checksum  a Trim was cut short       the log is trimmed
//	not in the log, and later  an installation was cut    the log is reset
//	anything else              files were lost            refuse
type Snapshots struct {
	disk  disk.Disk
	store *LogStore
	log   *commitlog.Log

	writing sync.Mutex // held from create to the end of the sink

	mu     sync.Mutex
	base   checkpoint.Header // LogID zero for none
	length int64             // of the file
}

var _ raft.SnapshotStore = (*Snapshots)(nil)

const (
	baseName    = "base"
	baseTmpName = "base.tmp"
)

// OpenSnapshots reads the base checkpoint in the log's folder and makes the log
// agree with it.
func OpenSnapshots(d disk.Disk, store *LogStore) (*Snapshots, error) {
	s := &Snapshots{disk: d, store: store, log: store.log}
	f, err := d.Open(baseName, disk.Read)
	if errors.Is(err, disk.ErrNotFound) {
		if b := s.log.Base(); b.Index > 0 {
			return nil, fmt.Errorf("open %s/%s: %w: the log begins after frame %d and what covers that is missing; restore the file, or remove the node from its group and add it again empty",
				d.Path(), baseName, checkpoint.ErrCorrupt, b.Index)
		}
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	err = s.adopt(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("open %s/%s: %w", d.Path(), baseName, err)
	}
	return s, s.reconcile()
}

// adopt verifies a checkpoint file and takes it as the base.
func (s *Snapshots) adopt(f disk.File) error {
	length, err := f.Size()
	if err != nil {
		return err
	}
	h, err := checkpoint.Verify(io.NewSectionReader(f, 0, length), s.log.Meta().Log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.base, s.length = h, length
	s.mu.Unlock()
	return nil
}

func (s *Snapshots) reconcile() error {
	b, h := s.log.Base(), s.base
	switch {
	case h.Index == b.Index && h.ChainCRC == b.Chain:
		return nil
	case h.Index <= b.Index:
		return fmt.Errorf("open %s/%s: %w: it covers frames up to %d, the log begins after %d; remove the node from its group and add it again empty",
			s.disk.Path(), baseName, checkpoint.ErrCorrupt, h.Index, b.Index)
	}
	err := s.log.NewReader().Frame(h.Index, func(f commitlog.Frame) error {
		if f.CRC != h.ChainCRC {
			return commitlog.ErrNotFound
		}
		return nil
	})
	switch {
	case err == nil:
		return s.log.Trim(h.Index)
	case errors.Is(err, commitlog.ErrNotFound):
		return s.store.resetAtStart(BaseOf(h))
	}
	return err
}

// BaseOf is where a log goes on after a checkpoint.
func BaseOf(h checkpoint.Header) commitlog.Base {
	return commitlog.Base{Index: h.Index, Term: h.Term, Position: h.Position, Timestamp: h.Timestamp, Chain: h.ChainCRC}
}

// Trim makes state the base checkpoint and drops the frames that it covers. The
// state is that at the end of frame through, the last one of a segment, with
// the group's configuration there. It does nothing where the base is later.
func (s *Snapshots) Trim(through event.Index, configuration raft.Configuration, state ...checkpoint.Section) error {
	if b := s.log.Base(); through <= b.Index {
		return nil
	}
	if durable := s.log.Marks().Durable; through > durable {
		return fmt.Errorf("trim through frame %d: only frames up to %d are durable", through, durable)
	}
	h := checkpoint.Header{LogID: s.log.Meta().Log, Configuration: raft.EncodeConfiguration(configuration)}
	err := s.log.NewReader().Frame(through, func(f commitlog.Frame) error {
		h.Index, h.Term, h.Position, h.Timestamp, h.ChainCRC = f.Index, f.Term, f.End(), f.Timestamp, f.CRC
		return nil
	})
	if err != nil {
		return fmt.Errorf("trim through frame %d: %w", through, err)
	}
	if err := s.save(h, state); err != nil {
		return fmt.Errorf("trim through frame %d: %w", through, err)
	}
	return s.log.Trim(through)
}

func (s *Snapshots) save(h checkpoint.Header, state []checkpoint.Section) error {
	w, err := s.create()
	if err != nil {
		return err
	}
	if s.base.Index >= h.Index { // one was installed meanwhile
		return w.Cancel()
	}
	if err := checkpoint.Write(w, h, state...); err != nil {
		return errors.Join(err, w.Cancel())
	}
	return w.Close()
}

// List returns the base checkpoint, if there is one.
func (s *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	if m := s.meta(); m != nil {
		return []*raft.SnapshotMeta{m}, nil
	}
	return nil, nil
}

// meta describes the base checkpoint as Raft wants it. Which frame set the
// configuration doesn't matter any more: it is one that the checkpoint covers.
func (s *Snapshots) meta() *raft.SnapshotMeta {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base.LogID == (event.LogID{}) {
		return nil
	}
	h := &s.base
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotID(uint64(h.Index), uint64(h.Term)),
		Index: uint64(h.Index), Term: uint64(h.Term), Size: s.length,
		Configuration: raft.DecodeConfiguration(h.Configuration), ConfigurationIndex: uint64(h.Index),
	}
}

func snapshotID(index, term uint64) string { return fmt.Sprintf("%d-%d", term, index) }

// Open opens the base checkpoint. Raft calls it with an ID of List; the base
// may have moved on since, so the meta is that of the file.
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	f, err := s.disk.Open(baseName, disk.Read)
	if err != nil {
		return nil, nil, fmt.Errorf("open snapshot %s: %w", id, err)
	}
	m := s.meta()
	if size, err := f.Size(); err != nil || m == nil || m.ID != id || size != m.Size {
		return nil, nil, errors.Join(fmt.Errorf("open snapshot %s: it was replaced", id), err, f.Close())
	}
	return m, &snapshotReader{Reader: io.NewSectionReader(f, 0, m.Size), file: f}, nil
}

type snapshotReader struct {
	io.Reader
	file disk.File
}

func (r *snapshotReader) Close() error { return r.file.Close() }

// Create begins to receive a snapshot from the leader. When the sink is closed
// it is the base checkpoint, and Raft calls the state machine's Restore, which
// must call LogStore.Reset with the checkpoint's base.
func (s *Snapshots) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	w, err := s.create()
	if err != nil {
		return nil, fmt.Errorf("receive the snapshot at frame %d: %w", index, err)
	}
	w.index, w.term = index, term
	return w, nil
}
