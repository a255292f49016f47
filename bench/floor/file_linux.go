package floor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// directFile is a file that is written past the page cache.
type directFile struct{ fd int }

func openFile(path string, bytes int64) (*directFile, error) {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s for direct writes: %w (a tmpfs cannot; choose a directory on a disk)", path, err)
	}
	f := &directFile{fd: fd}
	if err := unix.Fallocate(fd, 0, 0, bytes); err != nil {
		return nil, fmt.Errorf("allocate %d bytes for %s: %w", bytes, path, err)
	}
	return f, nil
}

func (f *directFile) writeAt(b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(f.fd, b, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func (f *directFile) syncData() error { return unix.Fdatasync(f.fd) }

func (f *directFile) close() error { return unix.Close(f.fd) }

// newBuffer returns memory that direct writes accept: pages of its own.
func newBuffer(bytes int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a buffer of %d bytes: %w", bytes, os.NewSyscallError("mmap", err))
	}
	return b, nil
}

func releaseBuffer(b []byte) { _ = unix.Munmap(b) }
