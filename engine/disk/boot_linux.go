package disk

import (
	"encoding/hex"
	"os"
	"strings"
)

// Boot names the time since the machine was started: it changes when the machine
// loses power or its kernel ends, and not when a process does. Zero where that
// is not known.
func Boot() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	decoded, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(b)), "-", ""))
	if err == nil && len(decoded) == len(id) {
		copy(id[:], decoded)
	}
	return id
}
