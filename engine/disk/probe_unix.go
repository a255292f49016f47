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
	probeName         = ".probe"
)

// probe finds out by a write whether files can bypass the page cache, with
// growing block sizes: some file systems accept the flag at open and refuse the
// first write. A disk that is full is used all the same, through the page
// cache: what is stored there must stay readable.
func (d *Posix) probe(write func(name string, block int) error) error {
	name := d.file(probeName)
	defer os.Remove(name)
	var refused error
	for block := defaultBlockBytes; block <= largestBlockBytes; block *= 2 {
		err := classify(write(name, block))
		switch {
		case err == nil:
			d.blockBytes, d.direct, d.directNote = block, true, directName
			return nil
		case errors.Is(err, ErrReadOnly):
			return d.notWritable(err)
		}
		if refused = err; errors.Is(err, ErrNoSpace) {
			break
		}
	}
	if err := classify(os.WriteFile(name, make([]byte, defaultBlockBytes), 0o644)); err != nil && !errors.Is(err, ErrNoSpace) {
		return d.notWritable(err)
	}
	d.direct, d.directNote = false, fmt.Sprintf("through the page cache (direct I/O refused: %v)", refused)
	return nil
}

func (d *Posix) notWritable(err error) error {
	return fmt.Errorf("write a probe file to %s: %w; the data directory must be writable", d.root, err)
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
