package engine

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// trimmed returns an engine whose log was trimmed, and the bounds of a queue
// all of whose events are gone.
func trimmed(t *testing.T, o Options) (*Engine, event.Queue) {
	t.Helper()
	e, w := mustOpen(t, o), newWorkload(11)
	idle := event.Queue{Topic: 1_000_000, ID: 1}
	for range 3 {
		if _, err := e.Append(1, event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: idle.Topic, Queue: idle.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.run(e, 500); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	if err := trimNow(t.Context(), e, e.log.SegmentEnds()[1]); err != nil {
		t.Fatal(err)
	}
	return e, idle
}

func checkIdle(t *testing.T, e *Engine, q event.Queue) {
	t.Helper()
	if first, next := e.Bounds(q); first != 3 || next != 3 {
		t.Fatalf("the queue without events has bounds %d, %d; expected 3, 3", first, next)
	}
}

func TestCountersOutliveAllEventsOfAQueue(t *testing.T) {
	t.Parallel()
	d := simdisk.New(11, simdisk.Options{})
	o := testOptions(d, 11)
	e, idle := trimmed(t, o)
	checkIdle(t, e, idle)
	mustClose(t, e)
	for range 2 {
		e = mustOpen(t, o)
		checkIdle(t, e, idle)
		if m := e.Marks(); m.Trimmed == 0 || m.TrimmedPosition == 0 {
			t.Fatalf("marks %+v", m)
		}
		mustClose(t, e)
		deleteIndex(t, d)
	}
}

func TestTheBaseCheckpointKeepsTheConfigurationOfTheGroup(t *testing.T) {
	t.Parallel()
	d := simdisk.New(17, simdisk.Options{})
	e, _ := trimmed(t, testOptions(d, 17))
	for round := range 2 {
		b, err := disk.ReadWhole(d, baseName, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		h, err := checkpoint.Verify(bytes.NewReader(b), e.log.Meta().Log)
		if err != nil || string(h.Configuration) != "one voter" {
			t.Errorf("trim %d: configuration %q, %v", round+1, h.Configuration, err)
		}
		if ends := e.log.SegmentEnds(); round == 0 && len(ends) > 0 {
			if err := trimNow(t.Context(), e, ends[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, e)
}

func TestATrimmedLogDoesNotOpenWithoutItsBase(t *testing.T) {
	t.Parallel()
	d := simdisk.New(12, simdisk.Options{})
	o := testOptions(d, 12)
	e, _ := trimmed(t, o)
	mustClose(t, e)
	whole, err := disk.ReadWhole(d, baseName, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(whole)
	bad[len(bad)/2] ^= 1
	for what, b := range map[string][]byte{"damaged": bad, "cut off": whole[:len(whole)-1], "gone": nil} {
		if err := d.Remove(baseName); err != nil {
			t.Fatal(err)
		}
		if b != nil {
			if err := disk.WriteWhole(d, baseName, b); err != nil {
				t.Fatal(err)
			}
		}
		if e, _, err := Open(o); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Fatalf("opened with a base that is %s: %v, %v", what, e, err)
		}
		if err := disk.WriteWhole(d, baseName, whole); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, mustOpen(t, o))
}

func TestATrimThatWasCutShortIsEndedAtTheNextStart(t *testing.T) {
	t.Parallel()
	inner := simdisk.New(13, simdisk.Options{})
	d := faultdisk.New(inner, nil, faultdisk.SystemClock{})
	o := testOptions(d, 13)
	e, w := mustOpen(t, o), newWorkload(13)
	if _, err := w.run(e, 500); err != nil {
		t.Fatal(err)
	}
	grown := dump(t, e)
	end := e.log.SegmentEnds()[0]
	if err := writeBaseAlone(e, end); err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	e = mustOpen(t, o)
	first, _ := e.log.First()
	if got := dump(t, e); first != end+1 || got == grown {
		t.Fatalf("the log begins with frame %d, expected %d", first, end+1)
	}
	w.check(t, e)
	mustClose(t, e)

	// Without room for the base nothing is trimmed.
	e = mustOpen(t, o)
	d.Set(rules(t, "write:base*:*=ENOSPC"))
	if err := trimNow(t.Context(), e, e.log.SegmentEnds()[0]); !errors.Is(err, disk.ErrNoSpace) {
		t.Fatalf("trim without space: %v", err)
	}
	if now, _ := e.log.First(); now != first {
		t.Fatalf("the log begins with frame %d, expected %d", now, first)
	}
	w.check(t, e)
	d.Set(nil)
	if err := trimNow(t.Context(), e, e.log.SegmentEnds()[0]); err != nil {
		t.Fatal(err)
	}
	w.check(t, e)
	mustClose(t, e)
}

// writeBaseAlone writes the base checkpoint of a trim that goes no further.
func writeBaseAlone(e *Engine, last event.Index) error {
	p, err := e.planTrim(last, last)
	if err != nil {
		return err
	}
	return disk.WriteWhole(e.opts.Log.Disk, baseName, p.bytes)
}
