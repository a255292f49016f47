//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

// Posix is a directory of the operating system, used with plain system calls.
type Posix struct {
	root       string
	blockBytes int
	direct     bool
	directNote string
	why        string // why these system calls and not io_uring, "" where nobody asked
}

// OpenPosix opens directory root, creating it where needed, and finds out by a
// probe write whether files there can bypass the page cache.
func OpenPosix(root string) (*Posix, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", root, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", abs, classify(err))
	}
	d := &Posix{root: abs, blockBytes: defaultBlockBytes}
	if err := d.probe(probeBlock); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Posix) file(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Open opens a file below the root.
func (d *Posix) Open(name string, mode Mode) (File, error) {
	flags := map[Mode]int{
		Read: os.O_RDONLY, ReadWrite: os.O_RDWR, Create: os.O_RDWR | os.O_CREATE | os.O_EXCL,
		DirectReadWrite: os.O_RDWR, DirectCreate: os.O_RDWR | os.O_CREATE | os.O_EXCL,
	}[mode]
	direct := d.direct && (mode == DirectReadWrite || mode == DirectCreate)
	if direct {
		flags |= openDirect
	}
	f, err := os.OpenFile(d.file(name), flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.file(name), classify(err))
	}
	ring, err := ringFileOf(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", d.file(name), err), f.Close())
	}
	return &posixFile{File: f, ring: ring, direct: direct}, nil
}

// List returns the file names in dir.
func (d *Posix) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.file(dir))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", d.file(dir), classify(err))
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// MakeDir creates a directory below the root.
func (d *Posix) MakeDir(dir string) error {
	if err := os.MkdirAll(d.file(dir), 0o755); err != nil {
		return fmt.Errorf("create directory %s: %w", d.file(dir), classify(err))
	}
	return nil
}

// Rename renames a file below the root.
func (d *Posix) Rename(from, to string) error {
	if err := os.Rename(d.file(from), d.file(to)); err != nil {
		return fmt.Errorf("rename %s to %s: %w", d.file(from), to, classify(err))
	}
	return nil
}

// Remove removes a file below the root.
func (d *Posix) Remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil {
		return fmt.Errorf("remove %s: %w", d.file(name), classify(err))
	}
	return nil
}

// SyncDir syncs a directory below the root.
func (d *Posix) SyncDir(dir string) error {
	f, err := os.Open(d.file(dir))
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", d.file(dir), classify(err))
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", d.file(dir), classify(err))
	}
	return nil
}

// FreeBytes is the space that an unprivileged process may still use.
func (d *Posix) FreeBytes() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.root, &st); err != nil {
		return 0, fmt.Errorf("read free space of %s: %w", d.root, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// Lock takes an advisory lock on a file below the root.
func (d *Posix) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(d.file(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock %s: %w", d.file(name), classify(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		cause := err
		if errors.Is(err, unix.EWOULDBLOCK) {
			cause = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", d.file(name), cause), f.Close())
	}
	return f, nil
}

// BlockBytes is the unit of direct I/O.
func (d *Posix) BlockBytes() int { return d.blockBytes }

// Path is the absolute path of the root.
func (d *Posix) Path() string { return d.root }

// IOPath is the kind of system calls that queues use.
func (d *Posix) IOPath() string { return "posix" }

// Describe names the system calls in use.
func (d *Posix) Describe() string {
	text := fmt.Sprintf("pwrite + fdatasync, %s, %d-byte blocks", d.directNote, d.blockBytes)
	if d.why != "" {
		text += " (" + d.why + ")"
	}
	return text
}

// OpenQueue opens a queue that runs its operations in the owner's goroutine.
func (d *Posix) OpenQueue(depth int, arena []byte) (Queue, error) {
	return newPosixQueue(), nil
}

// classify maps system errors to the errors of this package. A quota that is
// used up is a full disk: both end when somebody makes room.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []struct {
		errno error
		class error
	}{
		{unix.ENOENT, ErrNotFound}, {unix.EEXIST, ErrExists}, {unix.ENOSPC, ErrNoSpace},
		{unix.EDQUOT, ErrNoSpace}, {unix.EROFS, ErrReadOnly},
	} {
		if errors.Is(err, c.errno) {
			return fmt.Errorf("%w (%w)", c.class, err)
		}
	}
	return err
}

type posixFile struct {
	*os.File
	ring   ringFile
	direct bool // past the page cache
}

func (f *posixFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if f.direct && errors.Is(err, unix.EINVAL) {
		return n, fmt.Errorf("%w (%w)", ErrDirectRefused, err)
	}
	return n, classify(err)
}

func (f *posixFile) Sync() error     { return f.File.Sync() }
func (f *posixFile) SyncData() error { return syncData(f.File) }

func (f *posixFile) Allocate(size int64) error {
	if err := allocate(f.File, size); err != nil {
		return fmt.Errorf("allocate %d bytes for %s: %w", size, f.Name(), classify(err))
	}
	return nil
}

func (f *posixFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
