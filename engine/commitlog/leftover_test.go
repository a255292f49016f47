package commitlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

// TestOnlyWhatACreationLeavesIsRemoved: a segment without a meta file is
// removed if it is a creation that was cut short, and never otherwise.
func TestOnlyWhatACreationLeavesIsRemoved(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, path string, offsets []int64)
	zero := func(at, n int64) change {
		return func(t *testing.T, path string, _ []int64) { patch(t, path, at, make([]byte, n)) }
	}
	for name, c := range map[string]struct {
		frames   int
		change   change
		leftover bool
	}{
		"whole creation":                  {0, zero(8192, 8), true},
		"first frame not written":         {0, zero(4096, 4096), true},
		"first frame torn":                {0, zero(4096+32, 64), true},
		"stale bytes for the first frame": {0, func(t *testing.T, p string, _ []int64) { patch(t, p, 4096, []byte("not a frame, 77 bytes of it")) }, true},
		"a byte far behind":               {0, func(t *testing.T, p string, _ []int64) { patch(t, p, 700<<10, []byte{1}) }, false},
		"a byte behind the first frame":   {0, func(t *testing.T, p string, _ []int64) { patch(t, p, 4096+512, []byte{1}) }, false},
		"no header":                       {0, zero(0, 4096), false},
		"a log":                           {1, zero(8192, 8), false},
		"a log whose first frame is torn": {1, zero(4096+32, 8), false},
		"a log whose second is torn":      {1, func(t *testing.T, p string, o []int64) { patch(t, p, o[0]+headerBytes, make([]byte, 64)) }, false},
		"a longer log":                    {200, zero(4096, 4096), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _, offsets := written(t, c.frames)
			path := filepath.Join(dir, segmentName(0))
			c.change(t, path, offsets)
			if err := os.Remove(filepath.Join(dir, metaName)); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			l, r, err := reopen(t, dir)
			if c.leftover {
				if err != nil || !r.Created {
					t.Fatalf("open: %+v, %v", r, err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("open: %+v, %v, want ErrCorrupt", r, err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the segment was changed, %v", err)
			}
		})
	}
}

func TestALeftoverOfAnotherAttemptIsRemovedWhateverItsLogID(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	o := testOptions(t, d)
	o.Create.Meta.Log = event.LogID{42}
	l, _ := mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.Path(), metaName)); err != nil {
		t.Fatal(err)
	}
	l, r, err := reopen(t, d.Path())
	if err != nil || !r.Created || l.Meta().Log != (event.LogID{1, 2, 3}) {
		t.Fatalf("open: %+v, %v", r, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
