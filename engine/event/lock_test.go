package event_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

func TestALockThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Lock{
		{Group: "g", Client: "c", Queues: []event.Queue{{}}},
		{Group: strings.Repeat("g", event.NameBytesMax), Client: "10.0.0.1@7", Queues: []event.Queue{{Topic: math.MaxUint32, ID: math.MaxUint32}, {Topic: 1, ID: 300}}},
	} {
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		b := event.AppendLock([]byte("before"), want)[len("before"):]
		if got, err := event.DecodeLock(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("decoded %+v, expected %+v; %v", got, want, err)
		}
		for n := range b {
			if _, err := event.DecodeLock(b[:n]); !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(b), err)
			}
		}
		if _, err := event.DecodeLock(append(b, 0)); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("one byte more: %v, expected ErrCorrupt", err)
		}
	}
}

func TestALockOfNobodyOrOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	queues := []event.Queue{{Topic: 1}}
	for _, bad := range []event.Lock{
		{Client: "c", Queues: queues}, {Group: "g", Queues: queues}, {Group: "g", Client: "c"},
		{Group: "g", Client: strings.Repeat("c", event.NameBytesMax+1), Queues: queues},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v passes", bad)
		}
		if _, err := event.DecodeLock(event.AppendLock(nil, bad)); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("%+v decodes: %v", bad, err)
		}
	}
}

func FuzzDecodeLock(f *testing.F) {
	f.Add(event.AppendLock(nil, event.Lock{Group: "g", Client: "c", Queues: []event.Queue{{Topic: 7, ID: 300}, {Topic: 1 << 31}}}))
	f.Add([]byte{1, 1, 'g', 1, 'c', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := event.DecodeLock(b)
		if err != nil {
			if !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%v is no ErrCorrupt", err)
			}
			return
		}
		if again := event.AppendLock(nil, l); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded again as %x", b, again)
		}
	})
}
