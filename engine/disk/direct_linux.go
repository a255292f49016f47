package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	openDirect = unix.O_DIRECT
	directName = "O_DIRECT"
)

func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func allocate(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			// File systems without fallocate get their blocks from the zero fill.
			return f.Truncate(size)
		}
		return err
	}
}
