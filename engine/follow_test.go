package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestFollowVisitsEveryEventInOrderAndWaitsAtTheEnd(t *testing.T) {
	t.Parallel()
	e := mustOpen(t, testOptions(simdisk.New(7, simdisk.Options{}), 7))
	const count = 300
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := e.Append(2000, event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Tag: int32(i), Payload: event.Bytes(make([]byte, 10*i))}); err != nil {
				t.Error(err)
			}
		}
	}
	send(0, count/2)
	half, ended := make(chan struct{}), make(chan error, 1)
	var tags []int32
	go func() {
		ended <- e.Follow(t.Context(), 1, func(_ event.Index, m Message) error {
			tags = append(tags, m.Event.Tag())
			if len(tags) == count/2 {
				close(half)
			}
			if len(tags) == count {
				return errors.New("seen enough")
			}
			return nil
		})
	}()
	<-half
	send(count/2, count)
	if err := <-ended; err == nil || len(tags) != count {
		t.Fatalf("%d events seen, %v", len(tags), err)
	}
	for i, tag := range tags {
		if int(tag) != i {
			t.Fatalf("event %d has tag %d", i, tag)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nothing := func(event.Index, Message) error { return nil }
	if err := e.Follow(ctx, 1, nothing); !errors.Is(err, context.Canceled) {
		t.Fatalf("with a context that is done: %v", err)
	}
	settle(t, e)
	if err := trimNow(t.Context(), e, e.log.SegmentEnds()[0]); err != nil {
		t.Fatal(err)
	}
	if err := e.Follow(t.Context(), 1, nothing); !errors.Is(err, ErrNotFound) {
		t.Fatalf("from a trimmed frame: %v", err)
	}
	end, _, _ := e.log.End()
	waiting := make(chan struct{})
	go func() {
		close(waiting)
		ended <- e.Follow(t.Context(), end+1, nothing)
	}()
	<-waiting
	mustClose(t, e)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Fatalf("when the engine was closed: %v", err)
	}
}
