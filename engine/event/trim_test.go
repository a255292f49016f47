package event_test

import (
	"math"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

var trimPayload = payload[event.Trim]{event.AppendTrim, event.DecodeTrim, event.Trim.Validate, true}

func TestATrimThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Trim{
		{Through: 1, Position: 1, Cause: event.TrimByAge},
		{Through: math.MaxUint64, Position: math.MaxUint64, Cause: event.TrimBySize},
		{Through: 300, Position: 70_000, Cause: event.TrimBySpace},
	} {
		trimPayload.comesBack(t, want)
		trimPayload.refusesOthers(t, want)
	}
}

func TestATrimOfNothingOrOfUnknownCauseIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []event.Trim{
		{Position: 1, Cause: event.TrimByAge}, {Through: 1, Cause: event.TrimByAge}, {Through: 1, Position: 1},
		{Through: 1, Position: 1, Cause: event.TrimBySpace + 1},
	} {
		trimPayload.refuses(t, bad)
	}
}

func FuzzDecodeTrim(f *testing.F) {
	f.Add(event.AppendTrim(nil, event.Trim{Through: 300, Position: 1 << 40, Cause: event.TrimBySpace}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1})
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) { trimPayload.check(t, b) })
}
