//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSystemErrorsOfOneKindAreOneError(t *testing.T) {
	t.Parallel()
	for errno, want := range map[unix.Errno]error{
		unix.ENOSPC: ErrNoSpace, unix.EDQUOT: ErrNoSpace, unix.EROFS: ErrReadOnly, unix.ENOENT: ErrNotFound, unix.EEXIST: ErrExists,
	} {
		err := classify(&os.PathError{Op: "write", Path: "f", Err: errno})
		if !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v is taken for %v, want %v", errno, err, want)
		}
	}
	if classify(nil) != nil {
		t.Error("no error became one")
	}
}

// probed is a folder whose probe writes end as write says.
func probed(t *testing.T, write func(name string, block int) error) (*Posix, error) {
	t.Helper()
	d := &Posix{root: t.TempDir(), blockBytes: defaultBlockBytes}
	return d, d.probe(write)
}

func TestDirectWritesThatAreRefusedAfterTheOpenGoThroughThePageCache(t *testing.T) {
	t.Parallel()
	d, err := probed(t, func(string, int) error { return fmt.Errorf("write: %w", unix.EINVAL) })
	if err != nil {
		t.Fatal(err)
	}
	if text := d.Describe(); d.direct || !strings.Contains(text, "through the page cache (direct I/O refused: write: invalid argument)") {
		t.Errorf("direct %v, described as %q", d.direct, text)
	}
	f, err := d.Open("file", DirectCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("any length"), 3); err != nil {
		t.Errorf("a write through the page cache: %v", err)
	}
}

func TestTheProbeFindsTheBlockSizeThatTheFileSystemTakes(t *testing.T) {
	t.Parallel()
	d, err := probed(t, func(_ string, block int) error {
		if block < 16<<10 {
			return unix.EINVAL
		}
		return nil
	})
	if err != nil || !d.direct || d.BlockBytes() != 16<<10 {
		t.Errorf("direct %v, %d-byte blocks, %v", d.direct, d.BlockBytes(), err)
	}
}

func TestAReadOnlyFileSystemIsRefusedWithOneSentence(t *testing.T) {
	t.Parallel()
	d, err := probed(t, func(string, int) error { return &os.PathError{Op: "open", Path: "f", Err: unix.EROFS} })
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "write a probe file to "+d.root+": file system is read-only") ||
		!strings.HasSuffix(err.Error(), "the data directory must be writable") {
		t.Errorf("read-only: %v", err)
	}
}

func TestAFullDiskOrQuotaIsOpenedForWhatItHolds(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		d, err := probed(t, func(string, int) error { return errno })
		if err != nil || d.direct || !strings.Contains(d.Describe(), errno.Error()) {
			t.Errorf("%v: described as %q, %v", errno, d.Describe(), err)
		}
		if _, err := os.Stat(filepath.Join(d.root, probeName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the probe file is left: %v", err)
		}
	}
}
