package commitlog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestAReplicaBeginsEmptyBehindABaseAndAcceptsWhatFollows(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	o := testOptions(t, d)
	o.Create.Configuration = nil
	o.Create.Base = Base{Index: 41, Term: 3, Position: 1 << 33, Timestamp: 900, Chain: 7}
	l, r := mustOpen(t, o)
	if end, term, position := l.End(); end != 41 || term != 3 || position != 1<<33 || r.End != 41 {
		t.Fatalf("a new replica ends at %d, term %d, position %d", end, term, position)
	}
	if _, err := l.Append(Batch{Kind: FrameNoop, Term: 2, Data: []byte{0}}); err == nil {
		t.Error("a frame of an older term was appended")
	}
	ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 3, Events: 1, Data: encoded(l.Seed(), 1, 100)})
	if err != nil {
		t.Fatal(err)
	}
	if ticket.Index != 42 || ticket.Position != 1<<33 {
		t.Fatalf("first frame: %+v", ticket)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, r = mustOpen(t, o)
	if first, _ := l.First(); first != 42 || r.End != 42 {
		t.Fatalf("reopened: first %d, %+v", first, r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestResetIsWholeAcrossPowerCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150 / seedShare) {
		resetAndCrash(t, seed+1)
	}
}

// resetAndCrash cuts the power at some step of a Reset: the log is the old one
// or begins behind the base, never a mixture.
func resetAndCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 6))
	d := simdisk.New(seed, simdisk.Options{})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 64<<10, 48<<10
	o.Fatal = func(error) {}
	l, _ := mustOpen(t, o)
	total := rng.IntN(150)
	data := appendMany(t, l, 0, total, 1000)
	l.Flush()
	if err := l.Wait(Ticket{Index: event.Index(total + 1)}, Durable); err != nil {
		t.Fatal(err)
	}
	base := Base{Index: 5000, Term: 9, Position: 1 << 20, Timestamp: 5000, Chain: 0xabcd}
	d.CrashAfter(1 + rng.Uint64N(40))
	done := l.Reset(base) == nil
	_ = l.Close()
	o.Disk = d.Crash()
	l, r, err := Open(o)
	if err != nil {
		t.Fatalf("seed %d: open after a cut in Reset: %v", seed, err)
	}
	end, _, _ := l.End()
	first, _ := l.First()
	switch {
	case end == base.Index && first == base.Index+1:
	case !done && first == 1 && end == event.Index(total+1):
		compare(t, frames(t, l)[1:], data)
	default:
		t.Fatalf("seed %d: frames %d to %d after a Reset to %d (returned %v): %+v", seed, first, end, base.Index, done, r)
	}
	if _, err := l.Append(Batch{Kind: FrameNoop, Term: 9, Data: []byte{0}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(fmt.Errorf("seed %d: %w", seed, err))
	}
}
