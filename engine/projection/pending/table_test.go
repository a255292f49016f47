package pending_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

var testLog = event.LogID{1, 2, 3}

func open(t testing.TB, fs vfs.FS, id event.LogID) (*pending.Table, pending.Place) {
	return openYoung(t, fs, id, 0)
}

// openYoung opens a table that keeps so many entries in memory.
func openYoung(t testing.TB, fs vfs.FS, id event.LogID, entries int) (*pending.Table, pending.Place) {
	t.Helper()
	table, place, err := pending.Open(pending.Options{FS: fs, Dir: "waiting", Log: id, YoungEntries: entries, Text: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return table, place
}

func encode(d event.Draft) event.Event {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, testLog.Seed())
	return b
}

// model is what a table should say.
type model map[event.Position]pending.Entry

// apply is the fold, written once more.
func (m model) apply(at event.Position, e event.Event) {
	old, known := m[e.Cause()]
	delete(m, e.Cause())
	switch {
	case e.Kind() == event.KindAsked && known:
		old.Due, old.Asked = e.Due(), old.Asked+1
		m[old.Handle] = old
	case e.Kind() == event.KindMoved:
		move, err := event.DecodeMove(e.Payload())
		if err != nil {
			panic(err)
		}
		m[e.Cause()] = pending.Entry{Handle: e.Cause(), Kind: move.Kind, Due: e.Due(), Location: at, Bytes: uint32(len(e)), Asked: move.Asked}
	case e.Kind().Waits():
		m[at] = pending.Entry{Handle: at, Kind: e.Kind(), Due: e.Due(), Location: at, Bytes: uint32(len(e))}
	}
}

func (m model) sorted() []pending.Entry {
	var all []pending.Entry
	for _, e := range m {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b pending.Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Due, b.Due), cmp.Compare(a.Handle, b.Handle))
	})
	return all
}

// draw makes an event that may stand at a position.
func (m model) draw(rng *rand.Rand, at event.Position) event.Event {
	d := event.Draft{Kind: event.KindDelayed, Due: rng.Int64N(50) - 5, Payload: event.Bytes("record")}
	var some pending.Entry
	for _, some = range m {
		break
	}
	if rng.IntN(10) == 0 {
		some.Handle = event.Position(rng.Uint64N(uint64(at))) // perhaps nobody's
	}
	switch p := rng.IntN(12); {
	case p < 3:
	case p < 5:
		d.Kind = event.KindHalf
	case some.Handle == 0:
	case p < 7:
		d = event.Draft{Kind: event.KindMessage, Cause: some.Handle, Payload: event.Bytes("record")}
	case p < 8:
		d = event.Draft{Kind: event.KindDropped, Cause: some.Handle, Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropRecalled}))}
	case p < 9:
		d.Cause = some.Handle // a commit that is to be delivered later
	case p < 10:
		d = event.Draft{Kind: event.KindAsked, Cause: some.Handle, Due: rng.Int64N(50)}
	case some.Kind != 0:
		move := event.Move{Kind: some.Kind, Asked: some.Asked, Payload: []byte("record")}
		d = event.Draft{Kind: event.KindMoved, Cause: some.Handle, Due: some.Due, Payload: event.Bytes(event.AppendMove(nil, move))}
	}
	return encode(d)
}

func check(t *testing.T, table *pending.Table, m model) {
	t.Helper()
	want := m.sorted()
	var got []pending.Entry
	if err := table.All(func(e pending.Entry) bool { got = append(got, e); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the table has %d entries, expected %d: %s", len(got), len(want), gocmp.Diff(want, got))
	}
	counts := pending.Counts{}
	for _, e := range want {
		if e.Kind == event.KindHalf {
			counts.Half++
		} else {
			counts.Delayed++
		}
		counts.Sum += e.Sum()
		if one, found, err := table.Get(e.Handle); err != nil || !found || one != e {
			t.Fatalf("handle %d: %v, %v, %v, expected %v", e.Handle, one, found, err, e)
		}
	}
	if table.Counts() != counts {
		t.Fatalf("counts %v, expected %v", table.Counts(), counts)
	}
	for _, kind := range []event.Kind{event.KindDelayed, event.KindHalf} {
		checkDue(t, table, kind, want)
	}
	checkBefore(t, table, want)
}

func checkDue(t *testing.T, table *pending.Table, kind event.Kind, all []pending.Entry) {
	t.Helper()
	const through = 20
	var want, got []pending.Entry
	next := int64(math.MaxInt64)
	for _, e := range all {
		if e.Kind == kind && e.Due <= through {
			want = append(want, e)
		} else if e.Kind == kind {
			next = min(next, e.Due)
		}
	}
	then, err := table.Due(kind, through, func(e pending.Entry) bool { got = append(got, e); return true })
	if err != nil || then != next || !slices.Equal(got, want) {
		t.Fatalf("%v due through %d: %v, then %d, %v; expected %v, then %d", kind, through, got, then, err, want, next)
	}
	if len(want) < 2 {
		return
	}
	half := len(want) / 2
	got = nil
	then, err = table.Due(kind, through, func(e pending.Entry) bool {
		if len(got) == half {
			return false
		}
		got = append(got, e)
		return true
	})
	if err != nil || then != want[half].Due || !slices.Equal(got, want[:half]) {
		t.Fatalf("%d of %v due through %d: %v, then %d, %v; expected %v", half, kind, through, got, then, err, want)
	}
}

func checkBefore(t *testing.T, table *pending.Table, all []pending.Entry) {
	t.Helper()
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b pending.Entry) int { return cmp.Compare(a.Location, b.Location) })
	half := len(all) / 2
	if half == 0 {
		return
	}
	var got []pending.Entry
	if err := table.Before(all[half].Location, func(e pending.Entry) bool { got = append(got, e); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, all[:half]) {
		t.Fatalf("before %d: %v, expected %v", all[half].Location, got, all[:half])
	}
}

// endFrame commits what was applied, and flushes now and then.
func endFrame(t *testing.T, rng *rand.Rand, table *pending.Table, at event.Index) {
	t.Helper()
	finish := []func(pending.Place) error{table.Commit, table.Mark}[rng.IntN(2)]
	if err := finish(pending.Place{Index: at, Position: event.Position(at + 1)}); err != nil {
		t.Fatal(err)
	}
	if rng.IntN(20) == 0 {
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheTableIsTheFoldOfTheLog lets a table lose what was not flushed, again
// and again, and continues where it says it is.
func TestTheTableIsTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	seeds := uint64(20)
	if raceEnabled {
		seeds = 1 // the store checks itself thoroughly then
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 5))
		fs := vfs.NewCrashableMem()
		table, place := openYoung(t, fs, testLog, 1+rng.IntN(30))
		var log []event.Event
		for life := range 5 {
			m := model{}
			for i, e := range log[:place.Index] {
				m.apply(event.Position(i+1), e)
			}
			for i := int(place.Index); i < len(log) || rng.IntN(80) > 0; i++ {
				if i == len(log) {
					log = append(log, m.draw(rng, event.Position(i+1)))
				}
				at := event.Position(i + 1)
				m.apply(at, log[i])
				table.Apply(projection.Place{Index: event.Index(at), Position: at}, log[i])
				if i+1 < len(log) && i >= int(place.Index) && rng.IntN(3+2*int(seed)) > 0 {
					continue // the frame has more events
				}
				endFrame(t, rng, table, event.Index(at))
				if i >= len(log)-1 && rng.IntN(20) == 0 {
					check(t, table, m)
				}
			}
			endFrame(t, rng, table, event.Index(len(log)))
			check(t, table, m)
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(rng.IntN(100)), RNG: rng})
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
			fs = crashed
			if table, place = openYoung(t, fs, testLog, 1+rng.IntN(30)); int(place.Index) > len(log) {
				t.Fatalf("life %d: the table is at frame %d of %d", life, place.Index, len(log))
			}
		}
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAsManyEntriesThatAreNotTheSameHaveAnotherSum changes one thing at a time.
func TestAsManyEntriesThatAreNotTheSameHaveAnotherSum(t *testing.T) {
	t.Parallel()
	one := pending.Entry{Handle: 1 << 40, Kind: event.KindHalf, Due: 1_700_000_000_000, Location: 1 << 40, Bytes: 200}
	known := map[uint64]string{one.Sum(): "as it was"}
	for what, change := range map[string]func(*pending.Entry){
		"another event":   func(e *pending.Entry) { e.Handle++ },
		"another kind":    func(e *pending.Entry) { e.Kind = event.KindDelayed },
		"another time":    func(e *pending.Entry) { e.Due++ },
		"another place":   func(e *pending.Entry) { e.Location++ },
		"other bytes":     func(e *pending.Entry) { e.Bytes++ },
		"asked once more": func(e *pending.Entry) { e.Asked++ },
		"no time":         func(e *pending.Entry) { e.Due = 0 },
	} {
		e := one
		change(&e)
		if other, is := known[e.Sum()]; is {
			t.Errorf("an entry with %s has the sum of that with %s", what, other)
		}
		known[e.Sum()] = what
	}
	// Two that have changed places: the sum is not that of their fields.
	a, b := one, one
	a.Handle, a.Location, b.Due = 1, 1, 0
	c, d := a, b
	c.Due, d.Due = b.Due, a.Due
	if a.Sum()+b.Sum() == c.Sum()+d.Sum() {
		t.Error("two entries that have exchanged their times have the same sum")
	}
}

func TestATableOfAnotherLogIsNotUsed(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	table, _ := open(t, fs, testLog)
	e := encode(event.Draft{Kind: event.KindDelayed, Due: 7})
	table.Apply(projection.Place{Index: 1, Position: 1}, e)
	if err := table.Mark(pending.Place{Index: 1, Position: 30}); err != nil {
		t.Fatal(err)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	other, place := open(t, fs, event.LogID{9})
	defer other.Close()
	if place != (pending.Place{}) || other.Counts() != (pending.Counts{}) {
		t.Errorf("place %v, counts %v in a table of another log", place, other.Counts())
	}
}

func TestAReaderIsToldOfWhatIsDueSooner(t *testing.T) {
	t.Parallel()
	for _, young := range []int{0, 10} {
		t.Run(fmt.Sprintf("%d young", young), func(t *testing.T) {
			t.Parallel()
			isToldOfWhatIsDueSooner(t, young)
		})
	}
}

func isToldOfWhatIsDueSooner(t *testing.T, young int) {
	t.Helper()
	table, _ := openYoung(t, nil, testLog, young)
	defer table.Close()
	each := 3000
	if raceEnabled {
		each = 300
	}
	var applied sync.WaitGroup
	applied.Go(func() {
		for i := range each {
			at := event.Position(i + 1)
			// Times fall, so that each is sooner than all before.
			table.Apply(projection.Place{Index: event.Index(at), Position: at}, encode(event.Draft{Kind: event.KindDelayed, Due: int64(each - i)}))
			if err := table.Commit(pending.Place{Index: event.Index(at), Position: at + 1}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[event.Position]bool{}
	for len(seen) < each {
		next, err := table.Due(event.KindDelayed, int64(each), func(e pending.Entry) bool { seen[e.Handle] = true; return true })
		if err != nil || next != math.MaxInt64 {
			t.Fatal(next, err)
		}
		if len(seen) < each {
			<-table.Sooner(event.KindDelayed)
		}
	}
	applied.Wait()
}

// TestNothingIsMissedWhileItGoesIntoTheStore reads beside an applier that lets
// nearly everything get old at once.
func TestAFrameMayChangeWhatIsInTheStoreManyTimes(t *testing.T) {
	t.Parallel()
	const entries = 20
	table, _ := openYoung(t, nil, testLog, 1)
	defer table.Close()
	m, at := model{}, event.Position(0)
	apply := func(d event.Draft) {
		at++
		e := encode(d)
		m.apply(at, e)
		table.Apply(projection.Place{Index: event.Index(at), Position: at}, e)
	}
	commit := func() {
		t.Helper()
		if err := table.Commit(pending.Place{Index: event.Index(at), Position: at + 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range entries {
		apply(event.Draft{Kind: event.KindHalf, Due: 7, Payload: event.Bytes("record")})
		commit()
	}
	for round := range int64(3) {
		for handle := event.Position(1); handle <= entries; handle++ {
			apply(event.Draft{Kind: event.KindAsked, Cause: handle, Due: 10 + round})
		}
	}
	for handle := event.Position(1); handle <= entries; handle += 2 {
		for range 3 {
			apply(event.Draft{Kind: event.KindMessage, Cause: handle, Payload: event.Bytes("record")})
		}
	}
	apply(event.Draft{Kind: event.KindMessage, Cause: math.MaxUint64, Payload: event.Bytes("of nothing")})
	commit()
	check(t, table, m)
}

func TestNothingIsMissedWhileItGoesIntoTheStore(t *testing.T) {
	t.Parallel()
	table, _ := openYoung(t, nil, testLog, 5)
	defer table.Close()
	each := 4000
	if raceEnabled {
		each = 400
	}
	var committed atomic.Int64
	var applied sync.WaitGroup
	applied.Go(func() {
		for i := range each {
			at := event.Position(i + 1)
			// Times rise and fall, so that places in the order are everywhere.
			due := int64(i*7919) % 1000
			table.Apply(projection.Place{Index: event.Index(at), Position: at}, encode(event.Draft{Kind: event.KindDelayed, Due: due}))
			if err := table.Commit(pending.Place{Index: event.Index(at), Position: at + 1}); err != nil {
				t.Error(err)
				return
			}
			committed.Store(int64(at))
		}
	})
	complete := func(how string, want int64, visit func(see func(pending.Entry) bool) error) {
		t.Helper()
		seen := map[event.Position]bool{}
		if err := visit(func(e pending.Entry) bool { seen[e.Handle] = true; return true }); err != nil {
			t.Fatal(err)
		}
		for at := range event.Position(want) {
			if !seen[at+1] {
				t.Fatalf("%s: entry %d of %d is missing", how, at+1, want)
			}
		}
	}
	for committed.Load() < int64(each) && !t.Failed() {
		complete("due", committed.Load(), func(see func(pending.Entry) bool) error {
			_, err := table.Due(event.KindDelayed, 1000, see)
			return err
		})
		complete("before", committed.Load(), func(see func(pending.Entry) bool) error { return table.Before(math.MaxInt64, see) })
		complete("all", committed.Load(), table.All)
	}
	applied.Wait()
}

func BenchmarkWaitAndEnd(b *testing.B) {
	table, _ := open(b, nil, testLog)
	defer table.Close()
	at := event.Position(0)
	for b.Loop() {
		at++
		table.Apply(projection.Place{Index: event.Index(at), Position: at}, encode(event.Draft{Kind: event.KindDelayed, Due: int64(at)}))
		if at > 1000 {
			table.Apply(projection.Place{}, encode(event.Draft{Kind: event.KindMessage, Cause: at - 1000}))
		}
		if at%50 == 0 {
			if err := table.Commit(pending.Place{Index: event.Index(at), Position: at + 1}); err != nil {
				b.Fatal(fmt.Errorf("commit: %w", err))
			}
		}
	}
}

// TestTheSumOfAnEntryStaysAsItIs: tables keep sums, and replicas compare them.
func TestTheSumOfAnEntryStaysAsItIs(t *testing.T) {
	t.Parallel()
	e := pending.Entry{Handle: 1 << 40, Kind: event.KindHalf, Due: 1_700_000_000_000, Location: 1<<40 + 7, Bytes: 200, Asked: 3}
	if got, want := e.Sum(), uint64(0x3d343dbcff660b9); got != want {
		t.Errorf("the sum is %#x, want %#x", got, want)
	}
}
