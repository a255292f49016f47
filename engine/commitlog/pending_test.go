package commitlog

import (
	"context"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func TestTrimWaitsUntilTheNextSegmentIsOnTheDisk(t *testing.T) {
	t.Parallel()
	// The second segment can't get its name: it exists in memory alone.
	rules, err := faultdisk.Parse("rename:spare.tmp:2=hang")
	if err != nil {
		t.Fatal(err)
	}
	d := faultdisk.New(simdisk.New(1, simdisk.Options{}), rules, faultdisk.SystemClock{})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 128<<10, 96<<10
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 150, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := d.WaitHanging(ctx, 1); err != nil {
		t.Fatal(err)
	}
	ends := l.SegmentEnds()
	if err := l.Wait(Ticket{Index: ends[0]}, Durable); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(ends[0]); err != nil {
		t.Fatal(err)
	}
	if first, _ := l.First(); first != 1 {
		t.Errorf("the log begins with frame %d: its only segment on the disk was trimmed", first)
	}
	d.Release()
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	compare(t, frames(t, l)[1:], data)
	if err := l.Trim(ends[0]); err != nil {
		t.Fatal(err)
	}
	if first, _ := l.First(); first != ends[0]+1 {
		t.Errorf("the log begins with frame %d after a trim to %d", first, ends[0])
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
