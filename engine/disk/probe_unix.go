//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
)

const (
	defaultBlockBytes = 4096
	largestBlockBytes = 64 << 10
)

// probe writes one block past the page cache, with growing block sizes: some
// file systems accept the flag at open and refuse the first write.
func (d *Posix) probe() error {
	name := d.file(".probe")
	defer os.Remove(name)
	var refused error
	for block := defaultBlockBytes; block <= largestBlockBytes; block *= 2 {
		err := probeBlock(name, block)
		if err == nil {
			d.blockBytes, d.direct, d.directNote = block, true, directName
			return nil
		}
		if c := classify(err); errors.Is(c, ErrReadOnly) || errors.Is(c, ErrNoSpace) {
			return fmt.Errorf("write a probe file to %s: %w; the data directory must be writable", d.root, c)
		}
		refused = err
	}
	if err := os.WriteFile(name, make([]byte, defaultBlockBytes), 0o644); err != nil {
		return fmt.Errorf("write a probe file to %s: %w; the data directory must be writable", d.root, classify(err))
	}
	d.direct, d.directNote = false, fmt.Sprintf("through the page cache (direct I/O refused: %v)", refused)
	return nil
}

func probeBlock(name string, block int) error {
	arena, err := NewArena(block)
	if err != nil {
		return err
	}
	defer arena.Free()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|openDirect, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(arena.Bytes(), 0)
	return errors.Join(err, f.Close())
}
