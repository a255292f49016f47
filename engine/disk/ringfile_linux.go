package disk

import (
	"os"

	"github.com/apogeemq/apogee/iouring"
)

// ringFile is a file as a ring knows it.
type ringFile = iouring.File

func ringFileOf(f *os.File) (ringFile, error) { return iouring.FileOf(f) }
