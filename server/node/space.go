package node

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace is what an unprivileged process may use of the file system that
// holds a folder, and what is still free of it, in bytes.
func diskSpace(dir string) (total, free uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("read free space of %s: %w", dir, err)
	}
	total, free = usable(uint64(st.Blocks), uint64(st.Bfree), uint64(st.Bavail))
	return total * uint64(st.Bsize), free * uint64(st.Bsize), nil
}

// usable leaves out what is reserved for others, as df and RocketMQ do: taken
// for used, a reserve would have old messages dropped while there is room.
func usable(blocks, free, available uint64) (total, left uint64) {
	return blocks - min(free, blocks) + available, available
}
