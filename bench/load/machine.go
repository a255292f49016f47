package load

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine says where a result comes from.
type Machine struct {
	Cores  int    `json:"cores"`
	System string `json:"system"` // operating system, architecture, kernel release
	Memory string `json:"memory"` // with its unit; empty where unknown
	Go     string `json:"go"`
}

// DescribeMachine reads the facts of this machine.
func DescribeMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(release))
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = totalMemory(string(info))
	}
	return m
}

// totalMemory reads the first line of /proc/meminfo.
func totalMemory(info string) string {
	var kilobytes float64
	if _, err := fmt.Sscanf(info, "MemTotal: %f kB", &kilobytes); err != nil {
		return ""
	}
	return fmt.Sprintf("%.1f GiB of memory", kilobytes/(1<<20))
}
