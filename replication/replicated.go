package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// A master notes now and then how far all its slaves are. When it comes back,
// somebody else is the master, and that one has dropped the part of its log in
// which the two differ, the frames behind the note are those that may be nowhere
// else.
//
// The file, named replicated, version 1:
//
//	off  size  field
//	  0     4  magic 0x50525041
//	  4     4  checksum of what follows, seeded with the log's id
//	  8     4  version 1
//	 12     4  zero
//	 16     8  index of the frame
const (
	replicatedName    = "replicated"
	replicatedMagic   = 0x50525041
	replicatedVersion = 1
	replicatedBytes   = 24
	replicatedPeriod  = 5 * time.Second
)

func encodeReplicated(through event.Index, seed event.Seed) []byte {
	le := binary.LittleEndian
	b := make([]byte, replicatedBytes)
	le.PutUint32(b[0:], replicatedMagic)
	le.PutUint32(b[8:], replicatedVersion)
	le.PutUint64(b[16:], uint64(through))
	le.PutUint32(b[4:], event.Checksum(seed, b[8:]))
	return b
}

// replicatedThrough reads the note, 0 where there is none or it is damaged:
// rather too much is put aside than too little.
func replicatedThrough(d disk.Disk, id event.LogID) (event.Index, error) {
	b, err := disk.ReadWhole(d, replicatedName, 4096)
	if errors.Is(err, disk.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	through, err := decodeReplicated(b, id.Seed())
	if errors.Is(err, checkpoint.ErrCorrupt) {
		return 0, nil
	}
	return through, err
}

func decodeReplicated(b []byte, seed event.Seed) (event.Index, error) {
	le := binary.LittleEndian
	if len(b) != replicatedBytes || le.Uint32(b) != replicatedMagic || le.Uint32(b[12:]) != 0 || event.Checksum(seed, b[8:]) != le.Uint32(b[4:]) {
		return 0, fmt.Errorf("read %s: %w", replicatedName, checkpoint.ErrCorrupt)
	}
	if v := le.Uint32(b[8:]); v != replicatedVersion {
		return 0, fmt.Errorf("read %s: %w: version %d, this program reads %d", replicatedName, checkpoint.ErrVersion, v, replicatedVersion)
	}
	return event.Index(le.Uint64(b[16:])), nil
}

// noteReplicated writes the note where it has changed.
func (g *Group) noteReplicated() {
	if g.options.MasterSlave == nil || time.Since(g.noted) < replicatedPeriod {
		return
	}
	through, some := g.slaves.everywhere()
	if !some || through <= g.notedThrough {
		return
	}
	g.noted, g.notedThrough = time.Now(), through
	if err := disk.WriteWhole(g.options.Engine.Log.Disk, replicatedName, encodeReplicated(through, g.engine.Log().Seed())); err != nil {
		g.text.Warn("how far the slaves are was not noted; the next attempt follows", "group", g.options.Name, "cause", err)
	}
}
