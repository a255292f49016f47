package event_test

import (
	"math"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

var lockPayload = payload[event.Lock]{event.AppendLock, event.DecodeLock, event.Lock.Validate, true}

func TestALockThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Lock{
		{Group: "g", Client: "c", Queues: []event.Queue{{}}},
		{Group: strings.Repeat("g", event.NameBytesMax), Client: "10.0.0.1@7", Queues: []event.Queue{{Topic: math.MaxUint32, ID: math.MaxUint32}, {Topic: 1, ID: 300}}},
	} {
		lockPayload.comesBack(t, want)
		lockPayload.refusesOthers(t, want)
	}
}

func TestALockOfNobodyOrOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	queues := []event.Queue{{Topic: 1}}
	for _, bad := range []event.Lock{
		{Client: "c", Queues: queues}, {Group: "g", Queues: queues}, {Group: "g", Client: "c"},
		{Group: "g", Client: strings.Repeat("c", event.NameBytesMax+1), Queues: queues},
	} {
		lockPayload.refuses(t, bad)
	}
}

func FuzzDecodeLock(f *testing.F) {
	f.Add(event.AppendLock(nil, event.Lock{Group: "g", Client: "c", Queues: []event.Queue{{Topic: 7, ID: 300}, {Topic: 1 << 31}}}))
	f.Add([]byte{1, 1, 'g', 1, 'c', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) { lockPayload.check(t, b) })
}
