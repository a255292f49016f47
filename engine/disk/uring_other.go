//go:build unix && !linux

package disk

import "github.com/apogeemq/apogee/iouring"

func openUring(*Posix) (Disk, error) {
	_, err := iouring.Probe(iouring.OwnerGoroutine)
	return nil, err
}
