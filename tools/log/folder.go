package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
)

// folder reads a directory and can't write: disk.Open would make the directory
// and write a probe file.
type folder struct{ root string }

var _ commitlog.Folder = folder{}

// logFolder finds the log in a directory: itself, or its log subdirectory as
// in a store's root.
func logFolder(dir string) folder {
	inside := filepath.Join(dir, "log")
	if !exists(filepath.Join(dir, "meta")) && exists(filepath.Join(inside, "meta")) {
		return folder{inside}
	}
	return folder{dir}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Path implements commitlog.Folder.
func (f folder) Path() string { return f.root }

// List implements commitlog.Folder.
func (f folder) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, fmt.Errorf("list the log folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Open implements commitlog.Folder.
func (f folder) Open(name string, mode disk.Mode) (disk.File, error) {
	if mode != disk.Read {
		return nil, fmt.Errorf("open %s: %w: this tool only reads", name, disk.ErrReadOnly)
	}
	file, err := os.Open(filepath.Join(f.root, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", disk.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return readOnly{file}, nil
}

// readOnly is a file opened for reading; the system refuses every write to it.
type readOnly struct{ *os.File }

// Size implements disk.File.
func (f readOnly) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// SyncData implements disk.File.
func (f readOnly) SyncData() error { return f.refuse("sync") }

// Allocate implements disk.File.
func (f readOnly) Allocate(int64) error { return f.refuse("allocate") }

func (f readOnly) refuse(what string) error {
	return fmt.Errorf("%s %s: %w: this tool only reads", what, f.Name(), disk.ErrReadOnly)
}

const (
	looksMax     = 10
	betweenLooks = 50 * time.Millisecond
)

// again gives writes that a live broker has under way time to arrive.
func again(looks int) bool {
	if looks >= looksMax {
		return false
	}
	time.Sleep(betweenLooks)
	return true
}
