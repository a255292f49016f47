package replication

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// ErrInGroup says that a node may not decide alone what is committed: others
// have a vote.
var ErrInGroup = errors.New("the node is in a group with others")

// ErrHasSlaves says that others get this log, so that it is a master's, or a
// slave's. It is an ErrInGroup.
var ErrHasSlaves = fmt.Errorf("%w: the log has slaves, or is a slave's", ErrInGroup)

// takeover makes a single node the leader of a log that may have been in a
// group.
type takeover struct {
	disk disk.Disk
	term event.Term // of what the node will propose
}

// admit runs while nothing of the log counts as committed yet. A log that was
// never in a group has no stable file and goes on in its term. Otherwise the
// newest configuration must name this node as the only voter: then whatever is
// in its log is committed, or will be with the next frame that is. It is so
// before that configuration is known to be committed, too, since its quorum is
// this node.
//
// The node then leads in a term that nobody has led in, durable before anything
// is proposed, and has voted for itself in it.
func (t *takeover) admit(l *commitlog.Log) error {
	_, last, _ := l.End()
	t.term = max(last, firstTerm)
	stable, found, err := readStableStore(t.disk, l.Meta().Log, last)
	if err != nil || !found {
		return err
	}
	node := l.Meta().Node
	if !stable.ledAlone(node) {
		c, err := newestConfiguration(t.disk, l)
		switch {
		case err != nil:
		case len(c.Servers) > 1 && oneVoter(c) == nil:
			err = ErrHasSlaves
		default:
			err = onlyVoter(c, node)
		}
		if err != nil {
			return fmt.Errorf("open log %s as that of a single node: %w", t.disk.Path(), err)
		}
	}
	t.term, err = stable.leadAlone(node)
	return err
}

// onlyVoter checks that a configuration names a node as its only voter.
func onlyVoter(c raft.Configuration, node [16]byte) error {
	id, voters := raft.ServerID(hex.EncodeToString(node[:])), 0
	votes := false
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			voters++
			votes = votes || s.ID == id
		}
	}
	switch {
	case !votes:
		return fmt.Errorf("%w: its newest configuration doesn't count node %s among the %d voters; start it in its group, or with an empty folder", ErrInGroup, id, voters)
	case voters > 1:
		return fmt.Errorf("%w: its newest configuration has %d voters; start it in its group, and remove the others there first", ErrInGroup, voters)
	}
	return nil
}

// newestConfiguration finds the group's configuration at the end of the log: in
// its newest segments first, at last in the base checkpoint.
func newestConfiguration(d disk.Disk, l *commitlog.Log) (raft.Configuration, error) {
	base, err := baseHeader(d, l.Meta().Log)
	if err != nil {
		return raft.Configuration{}, err
	}
	end, _, _ := l.End()
	if base.Index > end {
		return raft.Configuration{}, fmt.Errorf("%w: it was receiving its state from there, up to frame %d, and its log ends with %d; start it in its group", ErrInGroup, base.Index, end)
	}
	return configurationAt(l, end, base)
}

// configurationAt finds the group's configuration at the end of a frame: in
// the newest segments first, at last in the base checkpoint.
func configurationAt(l *commitlog.Log, through event.Index, base checkpoint.Header) (raft.Configuration, error) {
	newest := base.Configuration
	first, _ := l.First()
	ends := l.SegmentEnds()
	for last := through; last >= first && last > 0; {
		from := first
		if n := len(ends); n > 0 {
			from, ends = ends[n-1]+1, ends[:n-1]
		}
		if from > last {
			continue
		}
		data, err := lastConfiguration(l, from, last)
		if err != nil {
			return raft.Configuration{}, err
		}
		if data != nil {
			newest = data
			break
		}
		last = from - 1
	}
	if len(newest) == 0 {
		return raft.Configuration{}, fmt.Errorf("%w: neither the log nor its base checkpoint says who is in the group", checkpoint.ErrCorrupt)
	}
	return raft.DecodeConfiguration(newest), nil
}

// lastConfiguration is the data of the last configuration frame in a part of
// the log, nil for none.
func lastConfiguration(l *commitlog.Log, from, through event.Index) (data []byte, err error) {
	id := l.Meta().Log
	err = l.CursorFrom(from).Visit(through, func(f commitlog.Frame) error {
		if f.Kind != commitlog.FrameConfiguration {
			return nil
		}
		if len(f.Data) < len(id) || event.LogID(f.Data[:len(id)]) != id {
			return fmt.Errorf("read frame %d: %w: the configuration is of another log", f.Index, commitlog.ErrCorrupt)
		}
		data = append(data[:0], f.Data[len(id):]...)
		return nil
	})
	return data, err
}

// baseHeader verifies the base checkpoint; the header is zero without one.
func baseHeader(d disk.Disk, id event.LogID) (checkpoint.Header, error) {
	f, err := d.Open(baseName, disk.Read)
	if errors.Is(err, disk.ErrNotFound) {
		return checkpoint.Header{}, nil
	}
	if err != nil {
		return checkpoint.Header{}, err
	}
	size, err := f.Size()
	var h checkpoint.Header
	if err == nil {
		h, err = checkpoint.Verify(io.NewSectionReader(f, 0, size), id)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return h, fmt.Errorf("open %s/%s: %w", d.Path(), baseName, err)
	}
	return h, nil
}
