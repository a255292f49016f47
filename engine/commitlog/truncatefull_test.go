package commitlog

import (
	"errors"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// TestATruncationThatAFullDiskHasNoRoomForIsRefusedAndTheLogGoesOn: it takes a
// note of some bytes, and the process must not end for want of them.
func TestATruncationThatAFullDiskHasNoRoomForIsRefusedAndTheLogGoesOn(t *testing.T) {
	t.Parallel()
	d := simdisk.New(31, simdisk.Options{})
	o := testOptions(t, d)
	o.Fatal = func(err error) { t.Errorf("the log failed: %v", err) }
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 40, 1000)
	const capacity = 1 << 40
	d.SetCapacity(capacity)
	free, err := d.FreeBytes()
	if err != nil {
		t.Fatal(err)
	}
	d.SetCapacity(capacity - free)
	if err := l.Truncate(20); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("truncate on a full disk: %v", err)
	}
	compare(t, frames(t, l)[1:], data)
	data = append(data, appendMany(t, l, 40, 3, 100)...)
	d.SetCapacity(capacity)
	if err := l.Truncate(20); err != nil {
		t.Fatal(err)
	}
	data = append(data[:18:18], appendMany(t, l, 50, 3, 100)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	compare(t, frames(t, l)[1:], data)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
