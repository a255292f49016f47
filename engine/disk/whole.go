package disk

import (
	"errors"
	"fmt"
	"io"
	"path"
)

// ReadWhole reads a small file. It refuses files longer than limit bytes.
func ReadWhole(d Disk, name string, limit int64) ([]byte, error) {
	f, err := d.Open(name, Read)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d are expected", name, size, limit)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && !(errors.Is(err, io.EOF) && int64(n) == size) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// WriteWhole replaces a small file so that a crash leaves either the old or
// the new contents: it writes a temporary file, syncs it, renames it and syncs
// the directory.
func WriteWhole(d Disk, name string, contents []byte) error {
	tmp := name + ".tmp"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	f, err := d.Open(tmp, Create)
	if err != nil {
		return err
	}
	if err := fill(f, contents); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", tmp, err), d.Remove(tmp))
	}
	if err := d.Rename(tmp, name); err != nil {
		return err
	}
	return d.SyncDir(path.Dir(name))
}

func fill(f File, contents []byte) error {
	_, err := f.WriteAt(contents, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
