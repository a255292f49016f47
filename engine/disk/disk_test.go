//go:build unix

package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/disktest"
)

func TestPosixKeepsThePromisesOfADisk(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(t *testing.T) disk.Disk { return posix(t) })
}

func TestTheBestPathKeepsThePromisesOfADisk(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(t *testing.T) disk.Disk {
		d, err := disk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func posix(t *testing.T) *disk.Posix {
	t.Helper()
	d, err := disk.OpenPosix(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheEnvironmentForcesAPathAndRefusesUnknownOnes(t *testing.T) {
	t.Setenv(disk.PathVariable, "posix")
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if text := d.Describe(); !strings.Contains(text, "pwrite") || !strings.Contains(text, "APOGEE_IO=posix") {
		t.Errorf("described as %q", text)
	}
	t.Setenv(disk.PathVariable, "floppy")
	if _, err := disk.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "use posix, uring") {
		t.Errorf("APOGEE_IO=floppy: %v", err)
	}
}

func TestWriteWholeReplacesAFileAndReadWholeRefusesALongOne(t *testing.T) {
	t.Parallel()
	d := posix(t)
	for _, contents := range []string{"first", "second, longer"} {
		if err := disk.WriteWhole(d, "small", []byte(contents)); err != nil {
			t.Fatal(err)
		}
		if b, err := disk.ReadWhole(d, "small", 100); err != nil || string(b) != contents {
			t.Fatalf("read %q, %v", b, err)
		}
	}
	if _, err := disk.ReadWhole(d, "small", 5); err == nil {
		t.Error("a file longer than the limit is read")
	}
	if _, err := disk.ReadWhole(d, "none", 5); !errors.Is(err, disk.ErrNotFound) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(d.Path(), "small.tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

func TestAFolderThatCannotBeWrittenIsRefusedWithAClearError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(filepath.Join(file, "data")); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("open below a file: %v", err)
	}
}

func TestTmpfsWorksThroughWhateverPathItAllows(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/dev/shm", "apogee-disk-test-")
	if err != nil {
		t.Skip("no /dev/shm here")
	}
	defer os.RemoveAll(dir)
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteWhole(d, "small", []byte("x")); err != nil {
		t.Fatal(err)
	}
}
