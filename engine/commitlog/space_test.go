package commitlog

import (
	"fmt"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// storedBytes is the room in files that a log takes, up to its last frame.
func storedBytes(l *Log) (stored int64) {
	for _, s := range *l.segments.Load() {
		stored += l.endOf(s)
	}
	return stored
}

// TestStoredBytesAreBoundedAtEveryLoad: 1.05 × record bytes, 128 bytes a frame
// and 40 bytes an event. Ends of segments that a large frame didn't fit into
// count too; so the segment is many times the largest frame.
func TestStoredBytesAreBoundedAtEveryLoad(t *testing.T) {
	t.Parallel()
	for _, load := range []struct {
		recordBytes, events int
		frames              int
		wait                bool // each frame is durable before the next: one record a second
	}{
		{300, 1, 3000, true}, {300, 1, 3000, false}, {91, 1, 2000, true}, {300, 100, 300, false}, {91, 1000, 100, false},
		{4096, 1, 500, true}, {64 << 10, 1, 200, true}, {64 << 10, 1, 200, false}, {(64 << 10) - 90, 1, 200, true},
		{(64 << 10) + 4000, 1, 200, true}, {1 << 20, 1, 30, true}, {(1 << 20) + 100, 1, 30, false},
	} {
		t.Run(fmt.Sprintf("%+v", load), func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, simdisk.New(1, simdisk.Options{}))
			o.SegmentBytes = 64 << 20
			l, _ := mustOpen(t, o)
			records, events := 0, 0
			before := storedBytes(l)
			for range load.frames {
				var data []byte
				for range load.events {
					d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Keys: []uint64{1, 2},
						Payload: event.Bytes(make([]byte, load.recordBytes))}
					b := make([]byte, d.EncodedBytes())
					d.Encode(b, l.Seed())
					data = append(data, b...)
				}
				records, events = records+load.recordBytes*load.events, events+load.events
				ticket := mustAppend(t, l, data)
				if !load.wait {
					continue
				}
				if err := l.Wait(ticket, Durable); err != nil {
					t.Fatal(err)
				}
			}
			stored := storedBytes(l) - before
			bound := int64(records)*105/100 + int64(load.frames)*128 + int64(events)*40
			if stored > bound+skipBytesMax {
				t.Errorf("%d bytes are stored, %d are allowed; records have %d", stored, bound, records)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
