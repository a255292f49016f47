package duty

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// filler makes the log longer.
func filler() event.Draft {
	return event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: waitTopic, Payload: event.Bytes(make([]byte, 32<<10))}
}

// trimFirst lets retention drop the first segments and returns when it is done.
func (n *node) trimFirst(m *Mover) {
	n.Helper()
	r := NewRetention(RetentionConfig{Rules: Rules{SizeBytes: 1}, Proposer: n.single, Segments: n.engine.Log(), Keeper: m,
		Progress: n.engine.Marks, Space: func() (uint64, uint64, error) { return 1 << 40, 1 << 39, nil },
		Clock: n.delivery.config.Clock, Log: n.delivery.config.Log})
	before := n.engine.Marks().Trimmed
	applied := make(chan struct{}, 1)
	n.engine.OnApplied(func([]event.Queue) {
		select {
		case applied <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	for r.Look(ctx); n.engine.Marks().Trimmed == before; {
		select {
		case <-applied:
		case <-ctx.Done():
			n.Fatalf("nothing was dropped; %s", n.text.String())
		}
	}
}

func (n *node) mover() *Mover {
	return NewMover(MoverConfig{Waiting: n.engine.Waiting(), Events: n.engine, Proposer: n.single, Settlement: n.settlement, Room: n.engine.Log().RoomToFree})
}

// findMoved fails unless the copy of what waits carries the original's key.
func (n *node) findMoved(key uint64) {
	n.Helper()
	found := false
	err := n.engine.FindHash(key, 0, math.MaxUint64, func(m engine.Message) (bool, error) {
		found = m.Event.Kind() == event.KindMoved
		return false, nil
	})
	if err != nil || !found {
		n.Fatalf("key %d doesn't lead to the copy: %v", key, err)
	}
}

func TestWhatWaitsIsMovedBeforeATrimAndThenDeliveredOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := openNode(t, dir, begin)
	const count = 500
	want := map[string]int{}
	for i := range count {
		want[fmt.Sprint(i)] = 1
		d := waiting(begin+1000, "T", fmt.Sprint(i), 0)
		d.Keys = []uint64{uint64(i) + 1}
		n.store(d)
	}
	m := n.mover()
	for range 3 { // each time what was moved before is moved again
		for range 70 {
			n.store(filler())
		}
		n.trimFirst(m)
		if c := n.engine.Waiting().Counts().Delayed; c != count {
			t.Fatalf("%d of %d wait after the trim", c, count)
		}
		for key := uint64(1); key <= count; key++ {
			n.findMoved(key)
		}
	}
	n.close()
	n = openNode(t, dir, begin+999)
	defer n.close()
	if n.look(); len(n.delivered()) != 0 {
		t.Fatal("delivered early")
	}
	n.now.Store(begin + 1000)
	if n.look(); !maps.Equal(n.delivered(), want) {
		t.Fatalf("%d messages were delivered", len(n.delivered()))
	}
	var b strings.Builder
	m.WriteMetrics(&b)
	if !strings.Contains(b.String(), fmt.Sprint("apogee_duty_moved_total ", 3*count)) {
		t.Errorf("metrics: %s", b.String())
	}
}

func TestWhatIsBeingDeliveredIsNotMoved(t *testing.T) {
	t.Parallel()
	n := openNode(t, t.TempDir(), begin)
	defer n.close()
	handle := n.store(waiting(begin, "T", "a", 0))
	if _, ok, err := n.settlement.Begin(handle); !ok || err != nil {
		t.Fatal(ok, err)
	}
	m := n.mover()
	_, end := n.engine.Log().First()
	end = max(end, n.engine.Marks().AppliedPosition)
	var moved int
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- m.MoveBefore(ctx, end) }()
	n.settlement.Withdraw(handle)
	n.delivery.config.Settlement = n.settlement
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	err := n.engine.ReadAt(end, func(e engine.Message) error {
		if e.Event.Kind() == event.KindMoved {
			moved++
		}
		return nil
	})
	if err != nil || moved != 1 {
		t.Fatalf("%d were moved, %v", moved, err)
	}
	if n.look(); n.delivered()["a"] != 1 {
		t.Fatalf("delivered %v", n.delivered())
	}
}

// fillDisk stores until the disk takes no more, and until that is applied.
func (n *node) fillDisk() {
	n.Helper()
	var last event.Position
	for i := 0; ; i++ {
		done := make(completion, 1)
		err := n.single.Propose(&engine.Proposal{Drafts: []event.Draft{filler()}, Completion: done})
		if errors.Is(err, engine.ErrDiskFull) {
			break
		}
		if err != nil || i > 2000 {
			n.Fatalf("message %d: %v; the disk should fill up", i, err)
		}
		last = (<-done).Position
	}
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	if err := n.engine.WaitApplied(ctx, last); err != nil {
		n.Fatal(err)
	}
}

// storeWaiting stores messages of some 1,200 bytes that wait, and says what is to
// be delivered.
func (n *node) storeWaiting(count int) map[string]int {
	n.Helper()
	want := map[string]int{}
	drafts := make([]event.Draft, count)
	for i := range drafts {
		body := fmt.Sprintf("%500d", i)
		want[body] = 1
		drafts[i] = waiting(begin+1000, "T", body, 0)
	}
	n.store(drafts...)
	return want
}

func TestAFullDiskHasRoomToMoveWhatWaitsAndIsFreed(t *testing.T) {
	t.Parallel()
	n := openNodeOn(t, simdisk.New(1, simdisk.Options{CapacityBytes: 9 << 20}), begin)
	defer n.close()
	want := n.storeWaiting(100)
	m := n.mover()
	for range 2 { // what was moved is moved again
		n.fillDisk()
		n.trimFirst(m)
		if c := n.engine.Waiting().Counts().Delayed; int(c) != len(want) {
			t.Fatalf("%d of %d wait after the trim", c, len(want))
		}
		n.awaitRoom()
	}
	n.now.Store(begin + 1000)
	if n.look(); !maps.Equal(n.delivered(), want) {
		t.Fatalf("%d messages were delivered", len(n.delivered()))
	}
}

// awaitRoom returns when messages are taken again.
func (n *node) awaitRoom() {
	n.Helper()
	for deadline := time.Now().Add(patience); ; {
		done := make(completion, 1)
		err := n.single.Propose(&engine.Proposal{Drafts: []event.Draft{filler()}, Completion: done})
		if err == nil {
			<-done
			return
		}
		if !errors.Is(err, engine.ErrDiskFull) || time.Now().After(deadline) {
			n.Fatal(err)
		}
	}
}

func TestOnAFullDiskNothingIsMovedInVain(t *testing.T) {
	t.Parallel()
	d := simdisk.New(2, simdisk.Options{CapacityBytes: 9 << 20})
	n := openNodeOn(t, d, begin)
	defer n.close()
	want := n.storeWaiting(1000)
	n.fillDisk()
	m := n.mover()
	room := n.engine.Log().RoomToFree()
	r := NewRetention(RetentionConfig{Rules: Rules{SizeBytes: 1}, Proposer: n.single, Segments: n.engine.Log(), Keeper: m,
		Progress: n.engine.Marks, Space: func() (uint64, uint64, error) { return 1 << 40, 1 << 39, nil },
		Clock: n.delivery.config.Clock, Log: n.delivery.config.Log})
	for range 3 {
		r.Look(t.Context())
	}
	if after := n.engine.Log().RoomToFree(); after != room || room < 1<<17 || n.engine.Marks().Trimmed != 0 {
		t.Fatalf("the room to free space went from %d to %d bytes, %d frames were dropped", room, after, n.engine.Marks().Trimmed)
	}
	if !strings.Contains(n.text.String(), "does not fit into") {
		t.Errorf("log: %s", n.text.String())
	}
	d.SetCapacity(30 << 20)
	n.engine.Log().Tick()
	n.awaitRoom()
	n.trimFirst(m)
	n.now.Store(begin + 1000)
	if n.look(); !maps.Equal(n.delivered(), want) {
		t.Fatalf("%d messages were delivered", len(n.delivered()))
	}
}
