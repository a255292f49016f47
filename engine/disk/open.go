//go:build unix

package disk

import (
	"fmt"
	"os"
)

// PathVariable is the environment variable that forces an I/O path:
// "posix", "uring", or empty for the best that works.
const PathVariable = "APOGEE_IO"

// Open opens directory root with the best I/O path that works here, or the one
// that APOGEE_IO names.
func Open(root string) (Disk, error) {
	p, err := OpenPosix(root)
	if err != nil {
		return nil, err
	}
	switch choice := os.Getenv(PathVariable); choice {
	case "posix":
		p.why = PathVariable + "=posix"
		return p, nil
	case "", "uring":
		d, err := openUring(p)
		if err == nil {
			return d, nil
		}
		if choice == "uring" {
			return nil, fmt.Errorf("open %s with %s=uring: %w", root, PathVariable, err)
		}
		p.why = err.Error()
		return p, nil
	default:
		return nil, fmt.Errorf("open %s: %s=%s is not allowed; use posix, uring or leave it empty", root, PathVariable, choice)
	}
}
