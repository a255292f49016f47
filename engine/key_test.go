package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestAKeyFindsItsMessagesNewestFirstInMemoryAndInFiles(t *testing.T) {
	t.Parallel()
	o := testOptions(simdisk.New(5, simdisk.Options{}), 5)
	e, w := mustOpen(t, o), newWorkload(5)
	for range 4 {
		if _, err := w.run(e, 150); err != nil {
			t.Fatal(err)
		}
		settle(t, e)
		w.checkKeys(t, e)
	}
	if len(e.indexer.files) < 3 || e.queues.RunsInMemory() == 0 {
		t.Fatalf("%d files and %d runs in memory; both are to be searched", len(e.indexer.files), e.queues.RunsInMemory())
	}
	mustClose(t, e)
	e = mustOpen(t, o)
	w.checkKeys(t, e)
	mustClose(t, e)
}

func (w *workload) checkKeys(t *testing.T, e *Engine) {
	t.Helper()
	for _, topic := range w.live {
		for k := range 42 { // two keys were never used
			key := fmt.Sprintf("key-%d", k)
			all := w.keys[fmt.Sprint(topic, key)]
			from, to := int64(0), int64(math.MaxInt64)
			if len(all) > 2 {
				from, to = all[w.rng.IntN(len(all))].time, all[w.rng.IntN(len(all))].time
			}
			w.checkKey(t, e, topic, key, 0, math.MaxInt64, 1+w.rng.IntN(60))
			w.checkKey(t, e, topic, key, from, to, 1+w.rng.IntN(60))
		}
	}
}

func (w *workload) checkKey(t *testing.T, e *Engine, topic event.TopicID, key string, from, to int64, limit int) {
	t.Helper()
	var want []string
	all := w.keys[fmt.Sprint(topic, key)]
	for i := len(all) - 1; i >= 0 && len(want) < limit; i-- {
		if all[i].time >= from && all[i].time <= to {
			want = append(want, all[i].body)
		}
	}
	var got []string
	err := e.FindKey(topic, []byte(key), from, to, limit, func(m Message) bool {
		s := w.queues[m.Event.Queue()]
		if m.Offset < 0 || int(m.Offset) >= len(s) || s[m.Offset].body != string(m.Event.Payload()) {
			t.Errorf("%s: %q is said to stand at offset %d of %v", key, m.Event.Payload(), m.Offset, m.Event.Queue())
		}
		got = append(got, string(m.Event.Payload()))
		return true
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("topic %d, %s, %d to %d, limit %d:\n got %q\nwant %q\n%v", topic, key, from, to, limit, got, want, err)
	}
}

func TestAHashFindsItsEventsOfEveryKindBetweenTwoPositions(t *testing.T) {
	t.Parallel()
	d := simdisk.New(8, simdisk.Options{})
	o := testOptions(d, 8)
	e, w := mustOpen(t, o), newWorkload(8)
	if _, err := w.run(e, 800); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		settle(t, e)
		find := func(hash uint64, from, to event.Position) (at []event.Position) {
			err := e.FindHash(hash, from, to, func(m Message) (bool, error) {
				if m.Event.Kind() != event.KindOffsets || m.Offset != -1 {
					t.Errorf("found an event of kind %v at offset %d", m.Event.Kind(), m.Offset)
				}
				at = append(at, m.Position)
				return true, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		for hash, count := range w.commits {
			all := find(hash, 0, math.MaxUint64)
			if len(all) != count || !slices.IsSortedFunc(all, func(a, b event.Position) int { return cmp.Compare(b, a) }) {
				t.Fatalf("%d events at %v, expected %d, the newest first", len(all), all, count)
			}
			i := w.rng.IntN(count)
			if got := find(hash, all[count-1], all[i]); !slices.Equal(got, all[i+1:]) {
				t.Fatalf("from %d to %d: %v of %v", all[count-1], all[i], got, all)
			}
			if got := find(hash, all[i], all[0]+1); !slices.Equal(got, all[:i+1]) {
				t.Fatalf("from %d: %v of %v", all[i], got, all)
			}
		}
	}
	check()
	mustClose(t, e)
	deleteIndex(t, d)
	e = mustOpen(t, o)
	check()
	mustClose(t, e)
}

func TestAKeyOnVeryManyMessagesIsReadNoFurtherThanItsLimit(t *testing.T) {
	t.Parallel()
	o := testOptions(simdisk.New(6, simdisk.Options{}), 6)
	o.Log.SegmentBytes = 1 << 20
	o.RunBytes = 128 << 10
	e := mustOpen(t, o)
	defer mustClose(t, e)
	key := []byte("the same on all")
	const frames, perFrame = 200, 200
	for i := range frames {
		drafts := make([]event.Draft, perFrame)
		for j := range drafts {
			drafts[j] = event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Tag: int32(i*perFrame + j),
				Keys: []uint64{event.KeyHash(1, key)}}
		}
		if _, err := e.Append(int64(2000+i), drafts...); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, e)
	seen := 0
	visit := func(m Message) bool {
		seen++
		if want := int32(frames*perFrame - seen); m.Event.Tag() != want {
			t.Errorf("message %d, expected %d", m.Event.Tag(), want)
		}
		return true
	}
	if err := e.FindKey(1, key, 0, math.MaxInt64, 32, visit); err != nil || seen != 32 {
		t.Fatalf("%d messages seen, %v", seen, err)
	}
	// In the middle of the log, by time: nothing newer is read.
	seen = frames/2*perFrame - perFrame
	at := int64(2000 + frames/2)
	if err := e.FindKey(1, key, at, at, 32, visit); err != nil || seen != frames/2*perFrame-perFrame+32 {
		t.Fatalf("%d messages seen, %v", seen, err)
	}
	// A hash that collides never uses up the limit.
	matches := 0
	if err := e.FindKey(1, key, 0, math.MaxInt64, 3, func(m Message) bool {
		if m.Event.Tag()%1000 == 0 {
			matches++
			return true
		}
		return false
	}); err != nil || matches != 3 {
		t.Fatalf("%d matches, %v", matches, err)
	}
}
