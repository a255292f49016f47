//go:build unix

package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		panic("BUG: getrusage of this process: " + err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
