package event_test

import (
	"errors"
	"math"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

var movePayload = payload[event.Move]{event.AppendMove, event.DecodeMove, func(event.Move) error { return nil }, true}

func TestMovesAndDropsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, want := range []event.Move{
		{Kind: event.KindDelayed}, {Kind: event.KindHalf, Asked: math.MaxUint32, Payload: []byte("record")},
	} {
		movePayload.comesBack(t, want)
	}
	for reason := event.DropRolledBack; reason <= event.DropNoTopic; reason++ {
		if got, err := event.DecodeDrop(event.AppendDrop(nil, event.Drop{Reason: reason})); err != nil || got.Reason != reason {
			t.Errorf("decoded %+v, expected %v; %v", got, reason, err)
		}
	}
}

func TestMovesAndDropsThatSayNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, {1}, {2, 1}, {1, 0}, {1, 4}, {1, 1, 1}} {
		if _, err := event.DecodeDrop(b); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("drop %x: %v", b, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 9}, {2, 9, 0}, {1, 1, 0}, {1, 11, 0}, {1, 9, 0x80, 0}} {
		if _, err := event.DecodeMove(b); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("move %x: %v", b, err)
		}
	}
}

func FuzzDecodeMove(f *testing.F) {
	f.Add(event.AppendMove(nil, event.Move{Kind: event.KindHalf, Asked: 300, Payload: []byte("record")}))
	f.Add([]byte{1, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) { movePayload.check(t, b) })
}
