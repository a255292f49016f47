package engine

import (
	"errors"
	"testing"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestAnEntryIsFoundByItsPositionAndLengthWhereverItIs(t *testing.T) {
	t.Parallel()
	d := simdisk.New(31, simdisk.Options{})
	e, w := mustOpen(t, testOptions(d, 31)), newWorkload(31)
	if _, err := w.run(e, 600); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	type entry struct {
		at    event.Position
		bytes int
	}
	for _, life := range []string{"grown", "started again"} {
		var all []entry
		cursor := e.log.CursorFrom(1)
		err := cursor.Visit(e.Marks().Applied, func(f commitlog.Frame) error {
			at := f.Position
			for data := f.Data; f.Kind == commitlog.FrameEvents && len(data) > 0; {
				ev, rest, err := event.Split(data)
				if err != nil {
					return err
				}
				all = append(all, entry{at, len(ev)})
				at, data = at+event.Position(len(ev)), rest
			}
			return nil
		})
		if err != nil || len(all) < 600 {
			t.Fatal(len(all), err)
		}
		for i := range all {
			x := all[(i*7919)%len(all)]
			if i%2 == 0 {
				x = all[i]
			}
			found := false
			err := e.ReadEntry(x.at, x.bytes, func(m Message) error {
				found = m.Position == x.at && len(m.Event) == x.bytes && m.Event.Verify(e.log.Seed()) == nil
				return nil
			})
			if err != nil || !found {
				t.Fatalf("%s: event of %d bytes at %d: %v, %v", life, x.bytes, x.at, found, err)
			}
		}
		if err := e.ReadEntry(all[5].at+1, all[5].bytes, func(Message) error { return nil }); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: the middle of an event: %v", life, err)
		}
		mustClose(t, e)
		e = mustOpen(t, testOptions(d, 31))
	}
	mustClose(t, e)
}
