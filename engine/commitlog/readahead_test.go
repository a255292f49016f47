package commitlog

import (
	"bytes"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

// backlog is a log whose first segment has left the tail, and the places of
// its events.
func backlog(t *testing.T) (*Log, []Place, [][]byte) {
	t.Helper()
	o := testOptions(t, openPosix(t))
	o.SegmentBytes, o.HistoryBytes = 8<<20, 16*historyBlockBytes
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 10_000, 1000)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	var places []Place
	err := l.CursorFrom(2).Visit(l.SegmentEnds()[0], func(f Frame) error {
		places = append(places, Place{Segment: f.Segment, Offset: f.Offset, Position: f.Position, Bytes: len(f.Data)})
		return nil
	})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	t.Cleanup(func() { _ = l.Close() })
	return l, places, data
}

// inBlock is the first of the places whose event begins in a block.
func inBlock(places []Place, number int64) int {
	for i, p := range places {
		if p.Offset/historyBlockBytes == number {
			return i
		}
	}
	return -1
}

func mustRead(t *testing.T, r *Reader, p Place, want []byte) {
	t.Helper()
	err := r.Read(p, func(e Event) error {
		if !bytes.Equal(e.Bytes, want) {
			t.Errorf("the event at position %d is another", p.Position)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inCache lists which of the first segment's blocks are in the cache.
func inCache(l *Log) (numbers map[int64]bool) {
	l.history.ahead.loads.Wait()
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	numbers = make(map[int64]bool)
	for key := range l.history.blocks {
		numbers[key.number] = true
	}
	return numbers
}

func TestABacklogIsReadAheadAndNoBlockTwice(t *testing.T) {
	t.Parallel()
	l, places, data := backlog(t)
	r := l.NewReader()
	second := inBlock(places, 1)
	for i, p := range places[:second-1] { // the last one crosses
		mustRead(t, r, p, data[i])
	}
	if cached := inCache(l); cached[2] {
		t.Errorf("blocks %v are read, although one was asked for", cached)
	}
	mustRead(t, r, places[second], data[second])
	if cached := inCache(l); !cached[2] || !cached[3] || cached[4] {
		t.Errorf("blocks %v are read after the second was asked for: want the next two", cached)
	}
	for i, p := range places {
		mustRead(t, r, p, data[i])
	}
	r.Release()
	l.history.ahead.loads.Wait()
	if s := l.Stats(); s.HistoryBytes > 8<<20 {
		t.Errorf("%d bytes were read of a segment of %d", s.HistoryBytes, 8<<20)
	}
}

func TestALookUpAloneReadsNothingAhead(t *testing.T) {
	t.Parallel()
	l, places, data := backlog(t)
	r := l.NewReader()
	for _, number := range []int64{9, 3, 20, 6} {
		i := inBlock(places, number)
		mustRead(t, r, places[i], data[i])
	}
	if cached := inCache(l); len(cached) != 4 {
		t.Errorf("blocks %v are read, want the four that were asked for", cached)
	}
}

func TestEventsThatReplaceTruncatedOnesAreReadByWhoHoldsTheirBlock(t *testing.T) {
	t.Parallel()
	l, places, data := backlog(t)
	r := l.NewReader()
	from := inBlock(places, 1) + 10
	mustRead(t, r, places[from], data[from])
	if r.past.block == nil {
		t.Fatal("the reader holds no block: nothing is tested")
	}
	if err := l.Truncate(event.Index(from + 2)); err != nil {
		t.Fatal(err)
	}
	replaced := appendMany(t, l, 50_000, 2000, 1000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	if err := l.CursorFrom(event.Index(from+2)).Visit(event.Index(from+2), func(f Frame) error {
		places[from] = Place{Segment: f.Segment, Offset: f.Offset, Position: f.Position, Bytes: len(f.Data)}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mustRead(t, r, places[from], replaced[0])
	mustRead(t, r, places[from-1], data[from-1])
	r.Release()
}

func TestReadersGoOnWhenEveryBlockIsInUse(t *testing.T) {
	t.Parallel()
	l, places, data := backlog(t)
	readers := make([]*Reader, len(l.history.ring)+4)
	for i := range readers {
		readers[i] = l.NewReader()
		at := inBlock(places, int64(i))
		mustRead(t, readers[i], places[at], data[at])
	}
	for _, r := range readers {
		r.Release()
	}
	for _, b := range l.history.ring {
		if b.pins != 0 {
			t.Errorf("block %v is pinned by %d after every reader has let go", b.key, b.pins)
		}
	}
}

func TestReadingTheHistoryAllocatesNothing(t *testing.T) {
	l, places, _ := backlog(t)
	r := l.NewReader()
	visit := func(Event) error { return nil }
	pull := func() {
		for _, p := range places[:600] {
			if err := r.Read(p, visit); err != nil {
				t.Fatal(err)
			}
		}
		r.Release()
	}
	least := testing.AllocsPerRun(1, pull)
	for range 5 {
		least = min(least, testing.AllocsPerRun(1, pull))
	}
	if least > 0 {
		t.Errorf("%.0f allocations for 600 events", least)
	}
}
