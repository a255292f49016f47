package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// raise makes a checkpoint or index file say that it is of the next version.
func raise(t *testing.T, d disk.Disk, name string) (contents string) {
	t.Helper()
	b, err := disk.ReadWhole(d, name, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	// The version stands behind the magic: at the start, or in an index file's foot.
	version := b[max(0, bytes.LastIndex(b, []byte("APOGEEIX")))+8:]
	binary.LittleEndian.PutUint32(version, binary.LittleEndian.Uint32(version)+1)
	if err := disk.WriteWhole(d, name, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestABaseCheckpointOfANewerVersionIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	d := simdisk.New(31, simdisk.Options{})
	o := testOptions(d, 31)
	e, _ := trimmed(t, o)
	mustClose(t, e)
	raised := raise(t, d, baseName)
	_, _, err := Open(o)
	if !errors.Is(err, commitlog.ErrNewerFormat) || !strings.HasSuffix(err.Error(), "it has format 2, this program reads up to 1: use the newer program") {
		t.Errorf("open: %v", err)
	}
	if b, err := disk.ReadWhole(d, baseName, 64<<20); err != nil || string(b) != raised {
		t.Errorf("the checkpoint was changed, %v", err)
	}
}

func TestStatesAndIndexFilesOfANewerVersionAreRebuiltFromTheLog(t *testing.T) {
	t.Parallel()
	d := simdisk.New(32, simdisk.Options{})
	o := testOptions(d, 32)
	e, w := mustOpen(t, o), newWorkload(32)
	if _, err := w.run(e, 500); err != nil {
		t.Fatal(err)
	}
	grown := dump(t, e)
	mustClose(t, e)
	for _, end := range []string{stateEnd, ".idx"} {
		names, err := d.List(indexDir)
		if err != nil {
			t.Fatal(err)
		}
		raised := 0
		for _, name := range names {
			if path.Ext(name) == end {
				raise(t, d, indexDir+"/"+name)
				raised++
			}
		}
		if raised == 0 {
			t.Fatalf("no *%s file is there", end)
		}
		e = mustOpen(t, o)
		if got := dump(t, e); got != grown {
			t.Fatalf("with newer *%s files: %s", end, firstDifference(grown, got))
		}
		mustClose(t, e)
	}
}
