package disk_test

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/engine/disk"
)

// residentPages counts the pages of memory that take up room.
func residentPages(t *testing.T, memory []byte) (n int) {
	t.Helper()
	pages := make([]byte, len(memory)/4096)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Skipf("mincore: %v", errno)
	}
	for _, page := range pages {
		n += int(page & 1)
	}
	return n
}

func TestAQueueTakesUpMemoryWhenItIsUsed(t *testing.T) {
	t.Parallel()
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	arena, err := disk.NewArena(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Free()
	q, err := d.OpenQueue(4, arena.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("file", disk.DirectCreate)
	if err != nil {
		t.Fatal(err)
	}
	if n := residentPages(t, arena.Bytes()); n > 0 {
		t.Errorf("%d pages of the memory are resident before anything is written", n)
	}
	block := d.BlockBytes()
	for i := range 4 {
		q.Write(f, arena.Bytes()[i*block:(i+1)*block], int64(i*block), uint64(i))
	}
	done := make([]disk.Completion, 4)
	for left := 4; left > 0; {
		n, err := q.Wait(done)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range done[:n] {
			if c.Err != nil {
				t.Fatal(c.Err)
			}
		}
		left -= n
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
