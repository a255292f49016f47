package commitlog

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Meta names the log: which log it is, which group it belongs to and which
// node owns this copy. It is written once, when the log is created.
type Meta struct {
	Log   event.LogID
	Group [16]byte
	Node  [16]byte
}

const metaPayloadBytes = 48

func writeMeta(d disk.Disk, m Meta) error {
	payload := append(append(append([]byte(nil), m.Log[:]...), m.Group[:]...), m.Node[:]...)
	b := make([]byte, blockHeaderBytes+metaPayloadBytes)
	putBlock(b, blockMeta, 0, payload)
	return disk.WriteWhole(d, metaName, b)
}

// ReadMeta tells which log a folder has: ErrNotFound where it has none yet.
func ReadMeta(d disk.Disk) (Meta, error) {
	m, err := readMeta(d)
	if errors.Is(err, disk.ErrNotFound) {
		return m, fmt.Errorf("open log %s: %w", d.Path(), ErrNotFound)
	}
	return m, err
}

func readMeta(d disk.Disk) (Meta, error) {
	b, err := disk.ReadWhole(d, metaName, recordBytesMax)
	if err != nil {
		return Meta{}, err
	}
	p, err := openBlock(b, blockMeta, 0, metaPayloadBytes)
	if err != nil {
		return Meta{}, fmt.Errorf("read %s/%s: %w", d.Path(), metaName, err)
	}
	var m Meta
	copy(m.Log[:], p[0:])
	copy(m.Group[:], p[16:])
	copy(m.Node[:], p[32:])
	return m, nil
}
