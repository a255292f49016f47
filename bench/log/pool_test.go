package log

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
)

func TestTheDiskTakesSegmentsFromThePoolAndGivesThemBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := newPool(dir, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := disk.OpenPosix(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	var n counter
	d := countingDisk{inner, &n, p}
	f, err := d.Open("spare", disk.DirectCreate)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(); err != nil || size != 4<<20 || len(p.free) != poolFiles-1 {
		t.Fatalf("a segment of %d bytes, %v; %d left", size, err, len(p.free))
	}
	arena, err := disk.NewArena(zerosBytes)
	if err != nil {
		t.Fatal(err)
	}
	b := arena.Bytes()
	b[0] = 1
	write := func(p []byte, at int64) {
		t.Helper()
		if _, err := f.WriteAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	write(b[:4096], 0) // the header
	b[0] = 0
	write(b, 4096) // the zero-fill
	write(b, 2<<20)
	for range 2 {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := n.read(), (Operations{FillWrites: 1, FillBytes: 4096, FillSyncs: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if err := d.Rename("spare", "segment"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(inner.Path(), "segment"))
	if err != nil || data[0] != 1 || bytes.Count(data[1:], []byte{0}) != len(data)-1 {
		t.Errorf("the segment isn't a header and zeros: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("segment"); err != nil {
		t.Fatal(err)
	}
	if len(p.free) != poolFiles || len(p.lent) != 0 {
		t.Errorf("%d segments in the pool, %d lent", len(p.free), len(p.lent))
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if err := arena.Free(); err != nil {
		t.Fatal(err)
	}
}
