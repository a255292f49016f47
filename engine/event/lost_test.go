package event_test

import (
	"math"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

var lostPayload = payload[event.Lost]{event.AppendLost, event.DecodeLost, event.Lost.Validate, true}

func TestALossThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Lost{
		{Kept: 7, Position: 900, Had: 9, Cause: event.LostByPower},
		{Kept: 7, Position: 900, Cause: event.LostByDamage},
		{Kept: math.MaxUint64, Position: math.MaxUint64, Had: math.MaxUint64, Cause: event.LostByForce},
	} {
		lostPayload.comesBack(t, want)
		lostPayload.refusesOthers(t, want)
	}
}

func TestALossOfWhatWasKeptOrOfUnknownCauseIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []event.Lost{
		{Kept: 7, Position: 900, Had: 6, Cause: event.LostByPower}, {Kept: 7, Position: 900},
		{Kept: 7, Position: 900, Cause: event.LostByForce + 1},
	} {
		lostPayload.refuses(t, bad)
	}
}

func FuzzDecodeLost(f *testing.F) {
	f.Add(event.AppendLost(nil, event.Lost{Kept: 300, Position: 1 << 40, Had: 301, Cause: event.LostByPower}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 1})
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) { lostPayload.check(t, b) })
}
