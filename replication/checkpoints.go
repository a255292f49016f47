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

// checkpoints is Raft's snapshot store in a Group. What a leader sends is the
// engine's base checkpoint, which stands in for what retention dropped. What a
// replica receives is kept in the file received until the engine has installed
// it: only the engine writes the base.
type checkpoints struct {
	disk disk.Disk
	log  *commitlog.Log

	mu sync.Mutex
	// boot stands for everything that is applied when Raft starts, so that it
	// doesn't read the log up to there; nil afterwards. It can't be opened.
	boot     *raft.SnapshotMeta
	voteless raft.ServerID     // has no vote in what Raft begins with; empty for nobody
	base     checkpoint.Header // as of the log's base when it was read
	size     int64
	received *raft.SnapshotMeta
}

const (
	baseName     = "base" // the engine's file
	receivedName = "received"
)

var _ raft.SnapshotStore = (*checkpoints)(nil)

// List returns what stands for the log's beginning.
func (c *checkpoints) List() ([]*raft.SnapshotMeta, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.boot != nil {
		return []*raft.SnapshotMeta{c.boot}, nil
	}
	m, err := c.baseLocked()
	if m == nil || err != nil {
		return nil, err
	}
	if c.voteless != "" {
		m.Configuration = withoutVote(m.Configuration, c.voteless)
	}
	return []*raft.SnapshotMeta{m}, nil
}

// baseLocked describes the base checkpoint, nil for none. The file is read
// again when the log begins elsewhere.
func (c *checkpoints) baseLocked() (*raft.SnapshotMeta, error) {
	if b := c.log.Base(); c.base.LogID == (event.LogID{}) || c.base.Index < b.Index {
		h, err := baseHeader(c.disk, c.log.Meta().Log)
		if err != nil || h.LogID == (event.LogID{}) {
			return nil, err
		}
		f, err := c.disk.Open(baseName, disk.Read)
		if err != nil {
			return nil, err
		}
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		c.base, c.size = h, size
	}
	return metaOf(c.base, c.size), nil
}

func snapshotID(index, term uint64) string { return fmt.Sprintf("%d-%d", term, index) }

// metaOf describes a checkpoint as Raft wants it. Which frame set the
// configuration doesn't matter any more: it is one that the checkpoint covers.
func metaOf(h checkpoint.Header, size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotID(uint64(h.Index), uint64(h.Term)),
		Index: uint64(h.Index), Term: uint64(h.Term), Size: size,
		Configuration: raft.DecodeConfiguration(h.Configuration), ConfigurationIndex: uint64(h.Index),
	}
}

// Open opens a checkpoint that List has named, or one that was received.
func (c *checkpoints) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, name := c.received, receivedName
	if m == nil || m.ID != id {
		var err error
		if m, err = c.baseLocked(); err != nil {
			return nil, nil, fmt.Errorf("open snapshot %s: %w", id, err)
		}
		name = baseName
	}
	if m == nil || m.ID != id {
		return nil, nil, fmt.Errorf("open snapshot %s: it was replaced", id)
	}
	f, err := c.disk.Open(name, disk.Read)
	if err != nil {
		return nil, nil, fmt.Errorf("open snapshot %s: %w", id, err)
	}
	if size, err := f.Size(); err != nil || size != m.Size {
		c.base = checkpoint.Header{}
		return nil, nil, errors.Join(fmt.Errorf("open snapshot %s: it was replaced", id), err, f.Close())
	}
	return m, &snapshotReader{Reader: io.NewSectionReader(f, 0, m.Size), file: f}, nil
}

// snapshotReader reads a checkpoint file from its beginning.
type snapshotReader struct {
	io.Reader
	file disk.File
}

// Close closes the file.
func (r *snapshotReader) Close() error { return r.file.Close() }

// started forgets what stood for the applied part of the log.
func (c *checkpoints) started() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boot, c.voteless = nil, ""
}

// Create begins to receive a checkpoint from the leader.
func (c *checkpoints) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = nil
	if err := c.remove(); err != nil {
		return nil, err
	}
	f, err := c.disk.Open(receivedName, disk.Create)
	if err != nil {
		return nil, fmt.Errorf("receive the snapshot at frame %d: %w", index, err)
	}
	return &receiver{checkpoints: c, file: f, index: index, term: term}, nil
}

func (c *checkpoints) remove() error {
	if err := c.disk.Remove(receivedName); err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	return nil
}

// installed drops what was received.
func (c *checkpoints) installed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = nil
	_ = c.remove() // the next one replaces it
}

// arrived is the checkpoint that was received last, nil once it is installed.
func (c *checkpoints) arrived() *raft.SnapshotMeta {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}

// receiver writes a checkpoint that the leader sends.
type receiver struct {
	checkpoints *checkpoints
	file        disk.File
	at          int64
	index, term uint64
}

// Write appends to the file.
func (r *receiver) Write(b []byte) (int, error) {
	n, err := r.file.WriteAt(b, r.at)
	r.at += int64(n)
	return n, err
}

// ID of the snapshot.
func (r *receiver) ID() string { return snapshotID(r.index, r.term) }

// Cancel forgets what was written.
func (r *receiver) Cancel() error {
	r.checkpoints.mu.Lock()
	defer r.checkpoints.mu.Unlock()
	return errors.Join(r.file.Close(), r.checkpoints.remove())
}

// Close checks the checkpoint. It is the engine's to make it durable.
func (r *receiver) Close() error {
	h, err := checkpoint.Verify(io.NewSectionReader(r.file, 0, r.at), r.checkpoints.log.Meta().Log)
	if err == nil && (uint64(h.Index) != r.index || uint64(h.Term) != r.term) {
		err = fmt.Errorf("%w: it covers frame %d of term %d, the leader announced %d of term %d", checkpoint.ErrCorrupt, h.Index, h.Term, r.index, r.term)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("receive a snapshot: %w", err), r.Cancel())
	}
	r.checkpoints.mu.Lock()
	defer r.checkpoints.mu.Unlock()
	r.checkpoints.received = metaOf(h, r.at)
	return r.file.Close()
}
