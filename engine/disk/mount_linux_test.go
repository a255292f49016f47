package disk_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/engine/disk"
)

// mountTmpfs mounts a file system of 1 MiB, where the test may.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("may not mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestARealReadOnlyFileSystemIsRefusedWithOneSentence(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("may not remount: %v", err)
	}
	_, err := disk.Open(dir)
	if !errors.Is(err, disk.ErrReadOnly) || !strings.Contains(err.Error(), "must be writable") {
		t.Errorf("open on a read-only file system: %v", err)
	}
}

func TestARealFullFileSystemIsOpenedForWhatItHolds(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t)
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("file", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Allocate(2 << 20); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("2 MiB on 1 MiB: %v", err)
	}
	zeros := make([]byte, 4096)
	for at := int64(0); err == nil && at < 2<<20; at += 4096 {
		_, err = f.WriteAt(zeros, at)
	}
	if !errors.Is(err, disk.ErrNoSpace) {
		t.Fatalf("fill the file system: %v", err)
	}
	if d, err = disk.Open(dir); err != nil {
		t.Fatalf("open what is full: %v", err)
	}
	if _, err := disk.ReadWhole(d, "file", 2<<20); err != nil {
		t.Errorf("read: %v", err)
	}
}
