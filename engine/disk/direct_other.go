//go:build unix && !linux

package disk

import "os"

const (
	openDirect = 0
	directName = "through the page cache (this system has no O_DIRECT)"
)

func syncData(f *os.File) error { return f.Sync() }

func allocate(f *os.File, size int64) error { return f.Truncate(size) }
