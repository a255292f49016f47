package pending_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

var errFull = errors.New("no room, says the test")

// fullFS creates no files while it is full.
type fullFS struct {
	vfs.FS
	full atomic.Bool
}

func (f *fullFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if f.full.Load() {
		return nil, errFull
	}
	return f.FS.Create(name, category)
}

func TestATableThatCannotBeWrittenSaysSoAndCloses(t *testing.T) {
	t.Parallel()
	fs := &fullFS{FS: vfs.NewMem()}
	table, _ := openYoung(t, fs, testLog, 1)
	for i := range 100 {
		at := event.Position(i + 1)
		table.Apply(projection.Place{Index: event.Index(i + 1), Position: at}, encode(event.Draft{Kind: event.KindDelayed, Due: 1000, Payload: event.Bytes("later")}))
	}
	if err := table.Commit(pending.Place{Index: 100, Position: 101}); err != nil {
		t.Fatal(err)
	}
	fs.full.Store(true)
	for range 2 {
		if err := table.Flush(); !errors.Is(err, errFull) {
			t.Fatalf("flush on a full disk: %v", err)
		}
	}
	fs.full.Store(false)
	err := table.Flush()
	if errors.Is(err, errFull) { // of an attempt that began before
		err = table.Flush()
	}
	if err != nil {
		t.Fatalf("flush when there is room again: %v", err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
}
