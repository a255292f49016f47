package commitlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// sealedLog is a log of several segments that was just opened: their sparse
// tables are empty.
func sealedLog(t *testing.T, payloadBytes, n int) (*Log, [][]byte) {
	t.Helper()
	o := testOptions(t, openPosix(t))
	o.SegmentBytes = 16 << 20
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, n, payloadBytes)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	t.Cleanup(func() { _ = l.Close() })
	if len(l.SegmentEnds()) < 1 || len((*l.segments.Load())[0].table) > 0 {
		t.Fatalf("segments end at %v, the first has a table of %d", l.SegmentEnds(), len((*l.segments.Load())[0].table))
	}
	return l, data
}

func TestAColdSegmentIsSearchedByHalvesNotFromItsStart(t *testing.T) {
	t.Parallel()
	l, data := sealedLog(t, 1000, 20_000)
	r := l.NewReader()
	position := event.Position(len("configuration") + len(event.LogID{}))
	for n := range data {
		if n%997 == 0 {
			err := r.Frame(event.Index(n+2), func(f Frame) error {
				if f.Position != position || !bytes.Equal(f.Data, data[n]) {
					t.Errorf("frame %d is another", n+2)
				}
				return nil
			})
			if err == nil {
				err = r.Find(position, func(e Event) error { return nil })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		position += event.Position(len(data[n]))
	}
	// One search in the middle of a segment that nobody has read.
	l, _ = sealedLog(t, 1000, 20_000)
	if err := l.NewReader().Frame(12_000, func(Frame) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if read := l.Stats().HistoryBytes; read > 3<<20 {
		t.Errorf("a search read %d bytes of a segment of %d", read, 16<<20)
	}
}

func TestLogBytesInsideAMessageDontMisleadASearch(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	o.SegmentBytes = 4 << 20
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 600, 1000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(l.disk.Path(), segmentName(0)))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+100<<10 <= 600<<10; at += 100 << 10 { // aligned like frames
		d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(raw[at : at+100<<10])}
		b := make([]byte, d.EncodedBytes())
		d.Encode(b, l.Seed())
		mustAppend(t, l, b)
		data = append(data, b)
	}
	data = append(data, appendMany(t, l, 5000, 4000, 1000)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data); n += 61 {
		l, _ := mustOpen(t, o)
		err := l.NewReader().Frame(event.Index(n+2), func(f Frame) error {
			if !bytes.Equal(f.Data, data[n]) {
				t.Errorf("frame %d is another", n+2)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrimmedFramesAreNotFoundThoughTheyAreInMemory(t *testing.T) {
	t.Parallel()
	o := testOptions(t, simdisk.New(1, simdisk.Options{}))
	o.SegmentBytes, o.TailBytes = 64<<10, 48<<10
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 20, 3000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	data = append(data, appendMany(t, l, 20, 3, 3000)...)
	r, through := l.NewReader(), l.SegmentEnds()[0]
	var place Place
	err := r.Frame(through, func(f Frame) error {
		place = Place{Segment: f.Segment, Offset: f.Offset, Position: f.Position, Bytes: len(f.Data)}
		return nil
	})
	if err == nil {
		err = r.Read(place, func(Event) error { return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	if err := l.Wait(Ticket{Index: through + 1}, Durable); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(through); err != nil {
		t.Fatal(err)
	}
	if _, inMemory := l.tail.pin(byIndex(through)); !inMemory {
		t.Fatal("the trimmed frame has left the tail: nothing is tested")
	}
	for what, err := range map[string]error{
		"frame":  r.Frame(through, func(Frame) error { return nil }),
		"find":   r.Find(place.Position, func(Event) error { return nil }),
		"read":   r.Read(place, func(Event) error { return nil }),
		"cursor": l.CursorFrom(2).Visit(through+1, func(Frame) error { return nil }),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of a trimmed frame: %v, want ErrNotFound", what, err)
		}
	}
	compare(t, frames(t, l), data[through-1:])
}

func TestTruncateWritesNoMoreZerosThanThereWereFrames(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	o := testOptions(t, d)
	o.SegmentBytes = 64 << 20
	l, _ := mustOpen(t, o)
	appendMany(t, l, 0, 300, 1000)
	before := d.Steps()
	if err := l.Truncate(200); err != nil {
		t.Fatal(err)
	}
	zeroed := int64(0)
	for _, op := range d.Trace() {
		if op.Step > before && op.Kind == "write" && op.Name == segmentName(0) && op.At+op.Bytes <= 400<<10 {
			zeroed += op.Bytes
		}
		if op.Step > before && op.Kind == "write" && op.Name == segmentName(0) && op.Bytes > 1<<20 {
			t.Errorf("%v", op)
		}
	}
	if zeroed < 100*1000 || zeroed > 130<<10 {
		t.Errorf("%d bytes were overwritten, 101 frames of 1,100 were dropped", zeroed)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
