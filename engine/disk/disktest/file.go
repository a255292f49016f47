package disktest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
)

func testOpenMissing(t *testing.T, d disk.Disk) {
	for _, mode := range []disk.Mode{disk.Read, disk.ReadWrite, disk.DirectReadWrite} {
		if f, err := d.Open("missing", mode); !errors.Is(err, disk.ErrNotFound) {
			t.Errorf("mode %d: file %v, error %v; want ErrNotFound", mode, f, err)
		}
	}
	if names, err := d.List("."); err != nil || len(names) != 0 {
		t.Errorf("list: %v, %v; opening must not create", names, err)
	}
}

func testCreateExisting(t *testing.T, d disk.Disk) {
	want := filled(100, 1)
	mustWrite(t, d, "file", want)
	for _, mode := range []disk.Mode{disk.Create, disk.DirectCreate} {
		if _, err := d.Open("file", mode); !errors.Is(err, disk.ErrExists) {
			t.Errorf("mode %d: error %v, want ErrExists", mode, err)
		}
	}
	mustHold(t, d, "file", want)
}

func testCreateInMissingDirectory(t *testing.T, d disk.Disk) {
	for _, mode := range []disk.Mode{disk.Create, disk.DirectCreate} {
		if _, err := d.Open("missing/file", mode); !errors.Is(err, disk.ErrNotFound) {
			t.Errorf("mode %d: error %v, want ErrNotFound", mode, err)
		}
	}
}

func testReadOnlyHandle(t *testing.T, d disk.Disk) {
	want := filled(100, 1)
	mustWrite(t, d, "file", want)
	f := mustOpen(t, d, "file", disk.Read)
	if n, err := f.WriteAt([]byte("x"), 0); err == nil || n != 0 {
		t.Errorf("write: %d bytes, %v; want an error", n, err)
	}
	if err := f.Truncate(0); err == nil {
		t.Error("truncate: no error")
	}
	mustHold(t, d, "file", want)
}

func testReadBack(t *testing.T, d disk.Disk) {
	f := mustOpen(t, d, "file", disk.Create)
	want := make([]byte, 20_000)
	for _, part := range [][2]int{{0, 700}, {511, 2}, {4000, 9000}, {19_999, 1}} {
		data := filled(part[1], part[0])
		copy(want[part[0]:], data)
		n, err := f.WriteAt(data, int64(part[0]))
		if err != nil || n != len(data) {
			t.Fatalf("write at %d: %d bytes, %v", part[0], n, err)
		}
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, 0); n != len(got) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read: %d bytes, %v", n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("read other bytes than were written; gaps must be zeros")
	}
	if n, err := f.ReadAt(got[:10], 19_995); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("read across the end: %d bytes, %v; want 5 and EOF", n, err)
	}
	if n, err := f.ReadAt(got[:10], 20_000); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read at the end: %d bytes, %v; want 0 and EOF", n, err)
	}
	must(t, f.SyncData())
	must(t, f.Sync())
	mustHold(t, d, "file", want)
}

func testClosedFile(t *testing.T, d disk.Disk) {
	f, err := d.Open("file", disk.Create)
	must(t, err)
	must(t, f.Close())
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("write: no error")
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want an error other than EOF", err)
	}
	if err := f.Sync(); err == nil {
		t.Error("sync: no error")
	}
}

func testList(t *testing.T, d disk.Disk) {
	must(t, d.MakeDir("logs/old"))
	for _, name := range []string{"logs/b", "logs/a", "logs/old/c", "logs/10", "logs/9", "top"} {
		mustWrite(t, d, name, nil)
	}
	for dir, want := range map[string][]string{
		".":        {"top"},
		"logs":     {"10", "9", "a", "b"},
		"logs/old": {"c"},
	} {
		if got, err := d.List(dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("list %s: %q, %v; want %q", dir, got, err, want)
		}
	}
	if _, err := d.List("missing"); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("list of a missing directory: %v, want ErrNotFound", err)
	}
}

func testMakeDir(t *testing.T, d disk.Disk) {
	for range 2 {
		must(t, d.MakeDir("a/b/c"))
		must(t, d.MakeDir("."))
	}
	mustWrite(t, d, "a/b/c/file", []byte("x"))
	for _, dir := range []string{".", "a", "a/b", "a/b/c"} {
		must(t, d.SyncDir(dir))
	}
	if err := d.SyncDir("missing"); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("sync of a missing directory: %v, want ErrNotFound", err)
	}
}

func testRename(t *testing.T, d disk.Disk) {
	must(t, d.MakeDir("dir"))
	first, second := filled(300, 1), filled(9000, 2)
	mustWrite(t, d, "from", first)
	mustWrite(t, d, "to", second)
	open := mustOpen(t, d, "from", disk.ReadWrite)
	must(t, d.Rename("from", "to"))
	mustHold(t, d, "to", first)
	if _, err := d.Open("from", disk.Read); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("old name: %v, want ErrNotFound", err)
	}
	must(t, d.Rename("to", "dir/moved"))
	if _, err := open.WriteAt([]byte("handle"), 0); err != nil {
		t.Errorf("write through a handle from before: %v", err)
	}
	mustHold(t, d, "dir/moved", append([]byte("handle"), first[6:]...))
	for _, names := range [][2]string{{"missing", "other"}, {"dir/moved", "missing/other"}} {
		if err := d.Rename(names[0], names[1]); !errors.Is(err, disk.ErrNotFound) {
			t.Errorf("rename %s to %s: %v, want ErrNotFound", names[0], names[1], err)
		}
	}
}

func testRemove(t *testing.T, d disk.Disk) {
	mustWrite(t, d, "file", filled(100, 1))
	must(t, d.Remove("file"))
	if _, err := d.Open("file", disk.Read); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("open: %v, want ErrNotFound", err)
	}
	if err := d.Remove("file"); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("second remove: %v, want ErrNotFound", err)
	}
	mustWrite(t, d, "file", []byte("new"))
	mustHold(t, d, "file", []byte("new"))
}

func testRemoveOpen(t *testing.T, d disk.Disk) {
	want := filled(5000, 1)
	mustWrite(t, d, "file", want)
	f := mustOpen(t, d, "file", disk.Read)
	must(t, d.Remove("file"))
	mustWrite(t, d, "file", filled(5000, 2))
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, 0); n != len(got) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		t.Errorf("read of the removed file: %d bytes, %v, or other bytes", n, err)
	}
}

func testAllocate(t *testing.T, d disk.Disk) {
	f := mustOpen(t, d, "file", disk.Create)
	const size = 100_000
	must(t, f.Allocate(size))
	if got, err := f.Size(); got != size || err != nil {
		t.Fatalf("size %d, %v; want %d", got, err, size)
	}
	mustHold(t, d, "file", make([]byte, size))
}

func testAllocateKeeps(t *testing.T, d disk.Disk) {
	const size = 100_000
	want := filled(9000, 1)
	mustWrite(t, d, "file", want)
	f := mustOpen(t, d, "file", disk.ReadWrite)
	must(t, f.Allocate(size))
	must(t, f.Allocate(size))
	mustHold(t, d, "file", append(want, make([]byte, size-len(want))...))
}

func testTruncate(t *testing.T, d disk.Disk) {
	want := filled(20_000, 1)
	mustWrite(t, d, "file", want)
	f := mustOpen(t, d, "file", disk.ReadWrite)
	for _, size := range []int{12_345, 4096, 100} {
		must(t, f.Truncate(int64(size)))
		mustHold(t, d, "file", want[:size])
	}
	must(t, f.Truncate(20_000))
	mustHold(t, d, "file", append(want[:100:100], make([]byte, 19_900)...))
	must(t, f.Truncate(0))
	mustHold(t, d, "file", nil)
}

func testGeometry(t *testing.T, d disk.Disk) {
	free, err := d.FreeBytes()
	if err != nil || free <= 0 {
		t.Errorf("free bytes: %d, %v", free, err)
	}
	if b := d.BlockBytes(); b < 512 || b&(b-1) != 0 {
		t.Errorf("block of %d bytes; want a power of two from 512", b)
	}
	if d.Path() == "" || d.Describe() == "" {
		t.Errorf("path %q, description %q; people need both", d.Path(), d.Describe())
	}
}

func testLock(t *testing.T, d disk.Disk) {
	for range 3 {
		held, err := d.Lock("lock")
		must(t, err)
		for range 2 {
			if _, err := d.Lock("lock"); !errors.Is(err, disk.ErrLocked) {
				t.Fatalf("second holder: %v, want ErrLocked", err)
			}
		}
		must(t, held.Close())
	}
}

func testLockOther(t *testing.T, d disk.Disk) {
	first, err := d.Lock("first")
	must(t, err)
	second, err := d.Lock("second")
	must(t, err)
	must(t, first.Close())
	if _, err := d.Lock("second"); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("second holder: %v, want ErrLocked", err)
	}
	must(t, second.Close())
}
