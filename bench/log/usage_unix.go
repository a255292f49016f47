//go:build unix

package log

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the process has used.
type usage struct {
	cpu                    time.Duration
	voluntary, involuntary int64 // context switches
	written                int64 // bytes by the kernel's count; -1 where unknown
}

func (u usage) minus(before usage) usage {
	u.cpu -= before.cpu
	u.voluntary -= before.voluntary
	u.involuntary -= before.involuntary
	if u.written >= 0 {
		u.written -= before.written
	}
	return u
}

func readUsage() usage {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic("BUG: getrusage of this process: " + err.Error())
	}
	return usage{
		cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano()), voluntary: int64(r.Nvcsw), involuntary: int64(r.Nivcsw),
		written: writtenBytes(),
	}
}

// writtenBytes reads the process's write_bytes; other systems than Linux have
// none.
func writtenBytes() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return -1
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("write_bytes: ")); ok {
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}
