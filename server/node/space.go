package node

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace is the size of the file system that holds a folder, and what an
// unprivileged process may still use of it, in bytes.
func diskSpace(dir string) (total, free uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("read free space of %s: %w", dir, err)
	}
	return uint64(st.Blocks) * uint64(st.Bsize), uint64(st.Bavail) * uint64(st.Bsize), nil
}
