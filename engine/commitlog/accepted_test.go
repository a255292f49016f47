package commitlog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// TestWhatRecoveryAcceptsIsDurable: frames that were written and not synced
// survive a kill. Once Open has returned they count as durable, so they survive
// a power cut right after it.
func TestWhatRecoveryAcceptsIsDurable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		before := simdisk.New(seed, simdisk.Options{})
		o := testOptions(t, before)
		o.Policy, o.Fatal = FlushOnRequest, func(error) {}
		l, _ := mustOpen(t, o)
		data := appendMany(t, l, 0, 9, 3000)
		end, _, _ := l.End()
		if err := l.Wait(Ticket{Index: end}, Written); err != nil {
			t.Fatal(err)
		}
		killed := before.Kill()
		_ = l.Close()
		// The zero fill must not sync the file for recovery.
		rules, err := faultdisk.Parse("write:*.seg:*=hang")
		if err != nil {
			t.Fatal(err)
		}
		d := faultdisk.New(killed, rules, faultdisk.SystemClock{})
		o.Disk = d
		l, _ = mustOpen(t, o)
		durable := l.Marks().Durable
		after := killed.Crash()
		d.Set(nil)
		d.Release()
		_ = l.Close()
		o.Disk = after
		l, _ = mustOpen(t, o)
		got := frames(t, l)[1:]
		if durable != end || len(got) != len(data) {
			t.Fatalf("seed %d: %d frames survive, %d were written; durable was %d of %d", seed, len(got), len(data), durable, end)
		}
		compare(t, got, data)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATornTailIsZerosOnceTheLogIsOpen(t *testing.T) {
	t.Parallel()
	dir, _, offsets := written(t, 20)
	removeMark(t, dir)
	path := filepath.Join(dir, segmentName(0))
	patch(t, path, offsets[19]+headerBytes+100, make([]byte, 300))
	l, r, err := reopen(t, dir)
	if err != nil || r.TornBytes == 0 {
		t.Fatalf("recovery %+v, %v; want a torn tail", r, err)
	}
	b, err := os.ReadFile(path) // before anything is appended
	if err != nil {
		t.Fatal(err)
	}
	if torn := b[offsets[19] : offsets[19]+600]; !bytes.Equal(torn, make([]byte, 600)) {
		t.Errorf("torn bytes are still there: %x", torn[:64])
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
