package load

import (
	"os"
	"runtime"
	"testing"
	"time"
)

const stat = "4711 (a (strange) name) S 1 4711 4711 0 -1 4194304 2000 0 0 0 250 150 7 8 20 0 12 0 100 0 0"

func TestStatGivesUserAndSystemTimeWithoutChildren(t *testing.T) {
	t.Parallel()
	got, err := ParseStat([]byte(stat))
	if err != nil || got != 4*time.Second {
		t.Fatalf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", "1 (x) S 1 4711 4711 0 -1 4194304 2000 0 0 0 a 150 7"} {
		if _, err := ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestStatusGivesResidentMemory(t *testing.T) {
	t.Parallel()
	got, err := ParseStatus([]byte("Name:\tjava\nVmHWM:\t  900 kB\nVmRSS:\t  800 kB\nRssAnon:\t     600 kB\nRssFile:\t 200 kB\n"))
	if err != nil || got != (Memory{Resident: 800 << 10, Anonymous: 600 << 10}) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"Name:\tgone\nState:\tZ (zombie)\n", "VmRSS:\tmany kB\n"} {
		if _, err := ParseStatus([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestIOGivesWhatDisksTransferred(t *testing.T) {
	t.Parallel()
	got, err := ParseIO([]byte("rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n"))
	if err != nil || got != (DiskBytes{Read: 4096, Written: 8192}) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "read_bytes: 1\n", "read_bytes: x\nwrite_bytes: 1\n"} {
		if _, err := ParseIO([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestSamplesAreSummedUp(t *testing.T) {
	t.Parallel()
	got := summarize([]Memory{{Resident: 10, Anonymous: 9}, {Resident: 30, Anonymous: 5}, {Resident: 20, Anonymous: 5}})
	if got.ResidentAverage != 20 || got.ResidentPeak != 30 || got.AnonymousPeak != 9 {
		t.Fatalf("%+v", got)
	}
	if got := summarize(nil); got.ResidentAverage != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestSamplerWatchesARunningProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system has no /proc")
	}
	s, err := startSampler(t.Context(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.stop()
	if err != nil || p.ResidentPeak < 1<<20 || p.PID != os.Getpid() {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestMemoryIsToldInGiB(t *testing.T) {
	t.Parallel()
	if got := totalMemory("MemTotal:       24684084 kB\nMemFree: 1 kB\n"); got != "23.5 GiB of memory" {
		t.Errorf("%q", got)
	}
	if got := totalMemory("?"); got != "" {
		t.Errorf("%q", got)
	}
}
