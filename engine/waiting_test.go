package engine

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

// waits makes messages wait and ends most of them.
type waits struct {
	t    *testing.T
	e    *Engine
	rng  *rand.Rand
	now  int64
	live []pending.Entry
}

func (w *waits) append(d event.Draft) event.Position {
	w.t.Helper()
	w.now += w.rng.Int64N(4)
	at, err := w.e.Append(w.now, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *waits) step() {
	body := event.Bytes(make([]byte, 100+w.rng.IntN(900)))
	d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Queue: w.rng.Uint32N(3), Payload: body}
	p := w.rng.IntN(10)
	if p < 4 {
		d.Kind, d.Due = event.KindDelayed+event.Kind(p/3), w.now+w.rng.Int64N(10_000)
		at := w.append(d)
		w.live = append(w.live, pending.Entry{Handle: at, Kind: d.Kind, Due: d.Due})
		return
	}
	if n := len(w.live); p < 8 && n > 0 {
		i := w.rng.IntN(n)
		d.Cause = w.live[i].Handle
		if p == 7 {
			d = event.Draft{Kind: event.KindAsked, Cause: d.Cause, Due: w.now + 30_000}
		} else {
			w.live[i] = w.live[n-1]
			w.live = w.live[:n-1]
		}
	}
	w.append(d)
}

// moveBefore stores again what waits before a position, as retention has it
// done.
func (w *waits) moveBefore(position event.Position) (moved int) {
	w.t.Helper()
	var left []pending.Entry
	if err := w.e.Waiting().Before(position, func(p pending.Entry) bool { left = append(left, p); return true }); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range left {
		move := event.Move{Kind: p.Kind, Asked: p.Asked}
		err := w.e.ReadAt(p.Location, func(m Message) error {
			move.Payload = append([]byte(nil), m.Event.Payload()...)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.append(event.Draft{Kind: event.KindMoved, Cause: p.Handle, Due: p.Due, Payload: event.Bytes(event.AppendMove(nil, move))})
	}
	return len(left)
}

func TestWaitingMessagesAreTheSameGrownReopenedAndRebuiltFromATrimmedLog(t *testing.T) {
	d := simdisk.New(3, simdisk.Options{})
	o := testOptions(d, 3)
	files := vfs.NewCrashableMem()
	o.WaitingFS, o.WaitingDir = files, "waiting"
	w := &waits{t: t, e: mustOpen(t, o), rng: rand.New(rand.NewPCG(3, 5)), now: 1000}
	moved := 0
	for range 3 {
		for range 1500 {
			w.step()
		}
		settle(t, w.e)
		sealed := w.e.log.Sealed()
		if len(sealed) < 2 {
			t.Fatal("too few segments")
		}
		last := sealed[len(sealed)-2]
		moved += w.moveBefore(last.End)
		settle(t, w.e)
		if err := trimNow(t.Context(), w.e, last.Last); err != nil {
			t.Fatal(err)
		}
		if first, _ := w.e.log.First(); first != last.Last+1 {
			t.Fatalf("the log begins with frame %d after a trim through %d", first, last.Last)
		}
	}
	counts := w.e.Waiting().Counts()
	if moved == 0 || counts.Delayed == 0 || counts.Half == 0 || int(counts.Delayed+counts.Half) != len(w.live) {
		t.Fatalf("%d were moved, %+v wait, expected %d", moved, counts, len(w.live))
	}
	grown := dump(t, w.e)
	crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: w.rng})
	mustClose(t, w.e)
	same := func(how string, fs *vfs.MemFS) {
		t.Helper()
		o.WaitingFS = fs
		e := mustOpen(t, o)
		if got := dump(t, e); got != grown {
			t.Errorf("%s: %s", how, firstDifference(grown, got))
		}
		mustClose(t, e)
	}
	same("reopened", files)
	same("after a crash", crashed)
	same("rebuilt", vfs.NewMem())
	deleteIndex(t, d)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	same("all rebuilt on one processor", vfs.NewMem())
}

func TestALogIsNotTrimmedWhileAMessageThereWaits(t *testing.T) {
	t.Parallel()
	o := testOptions(simdisk.New(4, simdisk.Options{}), 4)
	w := &waits{t: t, e: mustOpen(t, o), rng: rand.New(rand.NewPCG(4, 5)), now: 1000}
	defer mustClose(t, w.e)
	handle := w.append(event.Draft{Kind: event.KindDelayed, Due: 1 << 40, Payload: event.Bytes("later")})
	for len(w.e.log.Sealed()) < 2 {
		w.append(event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(make([]byte, 8000))})
	}
	first := w.e.log.Sealed()[0]
	if err := trimNow(t.Context(), w.e, first.Last); err == nil {
		t.Fatal("the segment is gone")
	}
	w.append(event.Draft{Kind: event.KindDropped, Cause: handle, Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRecalled}))})
	settle(t, w.e)
	if err := w.e.carryOutTrim(); err != nil {
		t.Fatal(err)
	}
	if begin, _ := w.e.log.First(); begin != first.Last+1 {
		t.Errorf("the log begins with frame %d", begin)
	}
}

// TestAReplicaForgetsWhatEndedInThePartItLacks installs a base behind which a
// message has ended that the replica has seen to wait, and another was moved.
func TestAReplicaForgetsWhatEndedInThePartItLacks(t *testing.T) {
	t.Parallel()
	w := &waits{t: t, e: mustOpen(t, testOptions(simdisk.New(5, simdisk.Options{}), 5)), rng: rand.New(rand.NewPCG(5, 5)), now: 1000}
	defer mustClose(t, w.e)
	delayed := event.Draft{Kind: event.KindDelayed, Due: 1 << 40, Payload: event.Bytes("later")}
	ended, moved := w.append(delayed), w.append(delayed)
	settle(t, w.e)
	replica := mustOpen(t, replicaOptions(simdisk.New(6, simdisk.Options{}), 5))
	defer mustClose(t, replica)
	catchUp(t, w.e, replica)
	if got := replica.Waiting().Counts().Delayed; got != 2 {
		t.Fatalf("%d messages wait in the replica", got)
	}
	w.append(event.Draft{Kind: event.KindDropped, Cause: ended, Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRecalled}))})
	for len(w.e.log.Sealed()) < 2 {
		w.append(event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(make([]byte, 8000))})
	}
	settle(t, w.e)
	first := w.e.log.Sealed()[0]
	if n := w.moveBefore(first.End); n != 1 {
		t.Fatalf("%d messages were moved", n)
	}
	if err := trimNow(t.Context(), w.e, first.Last); err != nil {
		t.Fatal(err)
	}
	base, err := disk.ReadWhole(w.e.opts.Log.Disk, baseName, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Install(bytes.NewReader(base), replica.log.Reset); err != nil {
		t.Fatal(err)
	}
	if got := replica.Waiting().Counts(); got != (pending.Counts{}) {
		t.Errorf("%+v wait behind the base", got)
	}
	catchUp(t, w.e, replica)
	if got, want := dump(t, replica), dump(t, w.e); got != want {
		t.Error(firstDifference(want, got))
	}
	if _, found, err := replica.Waiting().Get(moved); !found || err != nil {
		t.Errorf("what was moved waits: %v, %v", found, err)
	}
}
