package commitlog

import (
	"testing"
	"testing/synctest"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func TestALogThatSyncsOnRequestCrossesSegmentsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t, simdisk.New(1, simdisk.Options{}))
		o.SegmentBytes, o.TailBytes, o.Policy = 64<<10, 48<<10, FlushOnRequest
		l, _ := mustOpen(t, o)
		for n := range 400 {
			ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: encoded(l.Seed(), n, 1000)})
			if err != nil {
				t.Fatal(err)
			}
			if l.Wake(); n%7 != 6 {
				continue
			}
			synctest.Wait() // until nothing goes on by itself
			if written := l.Marks().Written; written != ticket.Index {
				t.Fatalf("frame %d is not written, only up to %d", ticket.Index, written)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
