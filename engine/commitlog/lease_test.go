package commitlog

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

// leased is a frame's data put together in the tail, or on the heap where the
// tail has no room.
type leased struct {
	lease Lease
	data  []byte
	sum   Sum
}

// fill encodes events of these payload sizes one behind the other, the way a
// proposer does, into a lease where it gets one and may have one.
func fill(l *Log, may bool, number *int, sizes []int) *leased {
	b := &leased{}
	for _, size := range sizes {
		e := encoded(l.Seed(), *number, size)
		at := len(b.data)
		switch {
		case at == 0 && may:
			b.lease, b.data = l.Lease(len(e))
		case !b.lease.None() && cap(b.data) < at+len(e):
			grown := l.Extend(b.lease, at+len(e))
			if grown == nil {
				return b
			}
			b.data = grown
		}
		if b.lease.None() {
			b.data = append(b.data[:at:at], e...)
		}
		b.data = b.data[:at+len(e)]
		copy(b.data[at:], e)
		b.sum.Add(l.Seed(), e)
		*number++
	}
	return b
}

func (b *leased) batch(events int) Batch {
	return Batch{Kind: FrameEvents, Term: 1, Events: events, Timestamp: 2000, Data: b.data, Sum: b.sum, Lease: b.lease}
}

func TestLeasedFramesAreReadBackWhateverTheirSizes(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	o.SegmentBytes, o.TailBytes = 8<<20, 2<<20
	l, _ := mustOpen(t, o)
	rng := rand.New(rand.NewPCG(3, 4))
	var want [][]byte
	number, inPlace, copied := 0, 0, 0
	for range 400 {
		var waiting []*leased // taken before the first is appended
		for range 1 + rng.IntN(3) {
			sizes := make([]int, 1+rng.IntN(40))
			for i := range sizes {
				sizes[i] = rng.IntN([]int{40, 300, 6000}[rng.IntN(3)])
			}
			may := len(waiting) == 0 || !waiting[len(waiting)-1].lease.None()
			waiting = append(waiting, fill(l, may, &number, sizes))
		}
		for _, b := range waiting {
			want = append(want, bytes.Clone(b.data))
			if _, err := l.Append(b.batch(1)); err != nil {
				t.Fatal(err)
			}
			if b.lease.None() {
				copied++
			} else {
				inPlace++
			}
		}
	}
	if inPlace < 100 || copied == 0 {
		t.Errorf("%d frames in leases, %d without; both are to be tried", inPlace, copied)
	}
	check := func() {
		got := frames(t, l)[1:]
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d isn't what was appended", i+2)
			}
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALeasedFrameIsThereBesideReadersOfTheTail(t *testing.T) {
	t.Parallel()
	l, _ := mustOpen(t, testOptions(t, openPosix(t)))
	number := 0
	first := fill(l, true, &number, []int{10})
	second := fill(l, true, &number, []int{20})
	if first.lease.None() || second.lease.None() {
		t.Fatal("no leases in an empty tail")
	}
	if got := frames(t, l); len(got) != 1 {
		t.Fatalf("%d frames while nothing is appended", len(got))
	}
	for i, b := range []*leased{first, second} {
		ticket, err := l.Append(b.batch(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(ticket, Durable); err != nil {
			t.Fatal(err)
		}
		if got := frames(t, l); len(got) != i+2 || !bytes.Contains(got[i+1], []byte("event")) {
			t.Fatalf("%d frames after %d appends", len(got), i+1)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFlippedBitOfAFrameOfEventsIsFound(t *testing.T) {
	t.Parallel()
	seed := event.LogID{7}.Seed()
	var data []byte
	for i := range 3 {
		data = append(data, encoded(seed, i, 20*i)...)
	}
	data = append(data, "not an event"...)
	h := Header{Kind: FrameEvents, DataCRC: sumOf(FrameEvents, data, seed)}
	if err := h.verifyData(data, seed); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		if h.verifyData(data, seed) == nil {
			t.Errorf("bit %d of byte %d flipped and not found", bit%8, bit/8)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func TestASumMadeOfEventsIsThatOfTheirFrame(t *testing.T) {
	t.Parallel()
	seed := event.LogID{7}.Seed()
	var data []byte
	var sum Sum
	for i := range 5 {
		e := encoded(seed, i, 100*i)
		data = append(data, e...)
		sum.Add(seed, e)
	}
	b := Batch{Kind: FrameEvents, Data: data, Sum: sum}
	if got, want := b.sum(seed), sumOf(FrameEvents, data, seed); got != want || sum.bytes != len(data) {
		t.Errorf("sum %08x of %d bytes, want %08x of %d", got, sum.bytes, want, len(data))
	}
}

func TestALeaseThatIsGivenBackLeavesNothing(t *testing.T) {
	t.Parallel()
	l, _ := mustOpen(t, testOptions(t, openPosix(t)))
	number := 0
	first, second := fill(l, true, &number, []int{10}), fill(l, true, &number, []int{20})
	l.Release(second.lease)
	l.Release(first.lease)
	if l.tail.leased != 0 {
		t.Errorf("%d bytes are still leased", l.tail.leased)
	}
	mustAppend(t, l, encoded(l.Seed(), 7, 10)) // may go first now
	third := fill(l, true, &number, []int{30})
	want := bytes.Clone(third.data)
	if _, err := l.Append(third.batch(1)); err != nil {
		t.Fatal(err)
	}
	if got := frames(t, l); len(got) != 3 || !bytes.Equal(got[2], want) {
		t.Errorf("%d frames, the last one of %d bytes", len(got), len(got[len(got)-1]))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
