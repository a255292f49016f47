package disktest

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
)

// Run runs the suite. open returns a new, empty disk for each test and closes
// with t.Cleanup what needs closing. A test that hangs panics after a while,
// naming itself.
func Run(t *testing.T, open func(t *testing.T) disk.Disk) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, d disk.Disk)
	}{
		{"a missing file is not found in every mode that needs it", testOpenMissing},
		{"a file that exists can't be created", testCreateExisting},
		{"a file can't be created in a missing directory", testCreateInMissingDirectory},
		{"a file opened for reading refuses changes", testReadOnlyHandle},
		{"bytes come back as they were written", testReadBack},
		{"a closed file refuses everything", testClosedFile},
		{"a list is sorted and has the files of one directory", testList},
		{"directories are made with their parents, and may exist", testMakeDir},
		{"a renamed file keeps its bytes and replaces the target", testRename},
		{"a removed file is gone", testRemove},
		{"an open file outlives its name", testRemoveOpen},
		{"allocated space reads as zeros and has a size", testAllocate},
		{"allocating keeps the bytes of the file", testAllocateKeeps},
		{"truncating forgets bytes for good", testTruncate},
		{"free space and block size make sense", testGeometry},
		{"a lock excludes a second holder", testLock},
		{"a lock of one name leaves others free", testLockOther},
		{"the queue writes all bytes of every buffer", testQueueWrites},
		{"a write of no bytes is a write", testQueueEmptyWrites},
		{"a durable write is there when it completes", testQueueWriteDurable},
		{"a sync completes with its own tag", testQueueSync},
		{"the queue carries as many operations as its depth", testQueueDepth},
		{"completions wait when there is no room for all", testQueueFewCompletions},
		{"a failed operation reports its tag and leaves the others alone", testQueueFailure},
		{"a wake before a wait is not lost", testWakeBeforeWait},
		{"a wake during a wait ends it", testWakeDuringWait},
		{"waking never hides a completion", testWakeWithOperations},
		{"close waits for what is in flight", testQueueClose},
		{"two queues of one disk don't mix completions", testTwoQueues},
		{"direct writes of whole blocks come back", testDirect},
		{"a direct write beside another leaves it alone", testDirectNeighbours},
		{"readers see completed writes while the queue writes", testReadersBesideQueue},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			defer time.AfterFunc(patience, func() { panic("FATAL: stuck for " + patience.String() + ": " + t.Name()) }).Stop()
			c.test(t, open(t))
		})
	}
}

// patience bounds every test: a lost wake-up must not hang the run. The owner
// of a queue is the test's own goroutine, so nothing else can watch it.
const patience = time.Minute

// arena returns memory for a queue, aligned for direct I/O.
func arena(t *testing.T, size int) []byte {
	t.Helper()
	const unit = 4096
	a, err := disk.NewArena((size + unit - 1) / unit * unit)
	must(t, err)
	t.Cleanup(func() { must(t, a.Free()) })
	return a.Bytes()[:size:size]
}

// fill makes bytes that differ by place and by seed.
func fill(p []byte, seed int) {
	for i := range p {
		p[i] = byte(seed + i + i>>8*7 + 1)
	}
}

func filled(size, seed int) []byte {
	p := make([]byte, size)
	fill(p, seed)
	return p
}

func mustOpen(t *testing.T, d disk.Disk, name string, mode disk.Mode) disk.File {
	t.Helper()
	f, err := d.Open(name, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// mustWrite makes a file with these contents.
func mustWrite(t *testing.T, d disk.Disk, name string, data []byte) {
	t.Helper()
	f, err := d.Open(name, disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt(data, 0); err != nil || n != len(data) {
		t.Fatalf("write %s: %d bytes, %v; want %d", name, n, err, len(data))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustRead returns all bytes of a file.
func mustRead(t *testing.T, d disk.Disk, name string) []byte {
	t.Helper()
	f, err := d.Open(name, disk.Read)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustHold(t *testing.T, d disk.Disk, name string, want []byte) {
	t.Helper()
	if got := mustRead(t, d, name); !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes that differ from the %d expected", name, len(got), len(want))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
