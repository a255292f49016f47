package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// memberFile remembers which entries of the log are configurations, so that a
// start needn't read the log to find the newest. An entry is noted before the
// log has it. It may be gone from there later, or never arrive, so whoever looks
// for one asks the log. The file may be deleted: then the log is read.
//
// The file, named members, version 1:
//
//	off  size  field
//	  0     4  magic 0x424d5041
//	  4     4  checksum of what follows, seeded with the log's id
//	  8     4  version 1
//	 12     4  count
//	 16     …  for each: index 8, length 4, configuration
type memberFile struct {
	disk disk.Disk
	seed event.Seed

	mu    sync.Mutex
	noted []noted // oldest first
}

type noted struct {
	index event.Index
	data  []byte
}

const (
	membersName     = "members"
	membersMagic    = 0x424d5041
	membersVersion  = 1
	membersBytes    = 16
	membersBytesMax = 4 << 20
	// notedMax is how many are remembered. Raft has one that isn't committed
	// at most; what is truncated together with it is of an older leader.
	notedMax = 8
)

func openMembers(d disk.Disk, id event.LogID) (*memberFile, error) {
	m := &memberFile{disk: d, seed: id.Seed()}
	b, err := disk.ReadWhole(d, membersName, membersBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		m.noted, err = decodeMembers(b, m.seed)
	}
	if errors.Is(err, checkpoint.ErrCorrupt) {
		m.noted, err = nil, nil // the log knows better
	}
	return m, err
}

func (m *memberFile) note(index event.Index, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Those at later places are of a log that was truncated since.
	all := slices.DeleteFunc(slices.Clone(m.noted), func(n noted) bool { return n.index > index })
	all = append(all, noted{index: index, data: slices.Clone(data)})
	all = all[max(0, len(all)-notedMax):]
	if err := disk.WriteWhole(m.disk, membersName, encodeMembers(all, m.seed)); err != nil {
		return fmt.Errorf("note a configuration: %w", err)
	}
	m.noted = all
	return nil
}

func encodeMembers(all []noted, seed event.Seed) []byte {
	le := binary.LittleEndian
	b := make([]byte, membersBytes)
	le.PutUint32(b[0:], membersMagic)
	le.PutUint32(b[8:], membersVersion)
	le.PutUint32(b[12:], uint32(len(all)))
	for _, n := range all {
		b = le.AppendUint64(b, uint64(n.index))
		b = le.AppendUint32(b, uint32(len(n.data)))
		b = append(b, n.data...)
	}
	le.PutUint32(b[4:], event.Checksum(seed, b[8:]))
	return b
}

func decodeMembers(b []byte, seed event.Seed) ([]noted, error) {
	le := binary.LittleEndian
	if len(b) < membersBytes || le.Uint32(b) != membersMagic || event.Checksum(seed, b[8:]) != le.Uint32(b[4:]) {
		return nil, fmt.Errorf("read %s: %w", membersName, checkpoint.ErrCorrupt)
	}
	if v := le.Uint32(b[8:]); v != membersVersion {
		return nil, fmt.Errorf("read %s: %w: version %d, this program reads %d", membersName, checkpoint.ErrVersion, v, membersVersion)
	}
	count, rest := le.Uint32(b[12:]), b[membersBytes:]
	var all []noted
	for range count {
		if len(rest) < 12 || uint64(len(rest)-12) < uint64(le.Uint32(rest[8:])) {
			return nil, fmt.Errorf("read %s: %w: it ends early", membersName, checkpoint.ErrCorrupt)
		}
		n := int(le.Uint32(rest[8:]))
		all = append(all, noted{index: event.Index(le.Uint64(rest)), data: slices.Clone(rest[12 : 12+n])})
		rest = rest[12+n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("read %s: %w: %d bytes too many", membersName, checkpoint.ErrCorrupt, len(rest))
	}
	return all, nil
}

// at is the configuration that holds at the end of a frame. base is the base
// checkpoint's.
func (m *memberFile) at(l *commitlog.Log, through event.Index, base checkpoint.Header) (raft.Configuration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.noted) - 1; i >= 0; i-- {
		n := m.noted[i]
		if n.index > through {
			continue
		}
		if n.index <= base.Index {
			break
		}
		data, err := lastConfiguration(l, n.index, n.index)
		if err != nil {
			return raft.Configuration{}, err
		}
		if slices.Equal(data, n.data) {
			return raft.DecodeConfiguration(data), nil
		}
	}
	if len(m.noted) > 0 && len(base.Configuration) > 0 && m.noted[0].index <= base.Index {
		return raft.DecodeConfiguration(base.Configuration), nil
	}
	return configurationAt(l, through, base)
}
