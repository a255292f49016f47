package faultdisk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/apogeemq/apogee/engine/disk"
)

// errorsByName are the errors that rules can inject. Those that package disk
// names are both.
var errorsByName = map[string]error{
	"EIO":       syscall.EIO,
	"ENOSPC":    fmt.Errorf("%w: %w", disk.ErrNoSpace, syscall.ENOSPC),
	"EDQUOT":    fmt.Errorf("%w: %w", disk.ErrNoSpace, syscall.EDQUOT),
	"EINVAL":    fmt.Errorf("%w: %w", disk.ErrDirectRefused, syscall.EINVAL),
	"EROFS":     fmt.Errorf("%w: %w", disk.ErrReadOnly, syscall.EROFS),
	"EEXIST":    fmt.Errorf("%w: %w", disk.ErrExists, syscall.EEXIST),
	"ENOENT":    fmt.Errorf("%w: %w", disk.ErrNotFound, syscall.ENOENT),
	"EBUSY":     fmt.Errorf("%w: %w", disk.ErrLocked, syscall.EBUSY),
	"EINTR":     syscall.EINTR,
	"ETIMEDOUT": syscall.ETIMEDOUT,
}

func errorNames() string {
	return strings.Join(slices.Sorted(maps.Keys(errorsByName)), ", ")
}
