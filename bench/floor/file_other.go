//go:build !linux

package floor

import (
	"fmt"
	"os"
)

// directFile is a plain file here: direct writes are Linux's.
type directFile struct{ file *os.File }

func openFile(path string, bytes int64) (*directFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open floor file: %w", err)
	}
	if err := file.Truncate(bytes); err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", bytes, err)
	}
	return &directFile{file: file}, nil
}

func (f *directFile) writeAt(b []byte, at int64) error {
	_, err := f.file.WriteAt(b, at)
	return err
}

func (f *directFile) syncData() error { return f.file.Sync() }

func (f *directFile) close() error { return f.file.Close() }

func newBuffer(bytes int) ([]byte, error) { return make([]byte, bytes), nil }

func releaseBuffer([]byte) {}
