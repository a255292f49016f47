package commitlog

import (
	"fmt"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// TestFramesThatStayAreReadWhileOthersAreTruncated reads from the tail, the
// history cache and the file, close to where the log is cut and grows again.
func TestFramesThatStayAreReadWhileOthersAreTruncated(t *testing.T) {
	t.Parallel()
	const keep, more, rounds = 90, 120, 60 / seedShare
	o := testOptions(t, simdisk.New(1, simdisk.Options{}))
	o.SegmentBytes, o.TailBytes = 1<<20, 64<<10
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, keep, 3000)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := readFrames(l, data); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range rounds {
		appendMany(t, l, 1000*(round+1), more, 3000)
		if err := l.Truncate(keep + 2); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	final := appendMany(t, l, 5, more, 3000)
	compare(t, frames(t, l)[1:], append(data, final...))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFrames(l *Log, want [][]byte) error {
	r := l.NewReader()
	for i := range want {
		err := r.Frame(event.Index(i+2), func(f Frame) error {
			if string(f.Data) != string(want[i]) {
				return fmt.Errorf("%w: other data", ErrCorrupt)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("frame %d: %w", i+2, err)
		}
	}
	return nil
}

// TestAReaderNotesNoFrameThatWasTruncatedMeanwhile: another frame may stand there
// by then, and a look-up would begin in the middle of it.
func TestAReaderNotesNoFrameThatWasTruncatedMeanwhile(t *testing.T) {
	t.Parallel()
	s := &segment{bytes: 1 << 30}
	kept, gone := &Header{Index: 10}, &Header{Index: 20}
	cuts := s.cuts.Load()
	s.noteRead(kept, 4096, cuts)
	s.forgetFrom(1 << 20)
	s.noteRead(gone, 2<<20, cuts)
	if len(s.table) != 1 || s.table[0].index != 10 {
		t.Errorf("the table has %+v, only frame 10 is still there", s.table)
	}
	s.noteRead(gone, 2<<20, s.cuts.Load())
	if len(s.table) != 2 {
		t.Errorf("the table has %+v; frame 20 was read after the truncation", s.table)
	}
}
