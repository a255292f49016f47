package event_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

func TestATrimThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Trim{
		{Through: 1, Position: 1, Cause: event.TrimByAge},
		{Through: math.MaxUint64, Position: math.MaxUint64, Cause: event.TrimBySize},
		{Through: 300, Position: 70_000, Cause: event.TrimBySpace},
	} {
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		b := event.AppendTrim([]byte("before"), want)[len("before"):]
		if got, err := event.DecodeTrim(b); err != nil || got != want {
			t.Fatalf("decoded %+v, expected %+v; %v", got, want, err)
		}
		for n := range b {
			if _, err := event.DecodeTrim(b[:n]); !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(b), err)
			}
		}
		if _, err := event.DecodeTrim(append(b, 0)); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("one byte more: %v, expected ErrCorrupt", err)
		}
	}
}

func TestATrimOfNothingOrOfUnknownCauseIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []event.Trim{
		{Position: 1, Cause: event.TrimByAge}, {Through: 1, Cause: event.TrimByAge}, {Through: 1, Position: 1},
		{Through: 1, Position: 1, Cause: event.TrimBySpace + 1},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v passes", bad)
		}
		if _, err := event.DecodeTrim(event.AppendTrim(nil, bad)); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("%+v decodes: %v", bad, err)
		}
	}
}

func FuzzDecodeTrim(f *testing.F) {
	f.Add(event.AppendTrim(nil, event.Trim{Through: 300, Position: 1 << 40, Cause: event.TrimBySpace}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1})
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		trim, err := event.DecodeTrim(b)
		if err != nil {
			if !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%v is no ErrCorrupt", err)
			}
			return
		}
		if again := event.AppendTrim(nil, trim); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded again as %x", b, again)
		}
	})
}
