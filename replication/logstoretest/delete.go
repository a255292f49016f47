package logstoretest

import (
	"github.com/hashicorp/raft"
)

func testSuffix(b *bench) {
	old := b.commands(1, 100, 2, 200)
	b.put(old)
	b.drop(61, 100)
	b.bounds(1, 60)
	for i := uint64(61); i <= 101; i++ {
		b.missing(i)
	}
	b.holds(old[:60])
	b.drop(60, 60)
	b.bounds(1, 59)
	fresh := b.commands(60, 90, 3, 300)
	b.put(fresh)
	b.holds(old[:59])
	b.holds(fresh)
	b.bounds(1, 90)
	b.missing(91)
}

// testLongSuffix stores about 3 MB, several segments of any store that is
// tested with small ones.
func testLongSuffix(b *bench) {
	old := b.commands(1, 600, 2, 5000)
	b.put(old)
	for _, from := range []uint64{550, 333, 2} {
		b.drop(from, old[len(old)-1].Index)
		old = old[:from-1]
		b.bounds(1, from-1)
		b.missing(from)
		fresh := b.commands(from, from+300, 1000-from, 700)
		b.put(fresh)
		old = append(old, fresh...)
		b.holds(old)
		b.reopen()
		b.bounds(1, from+300)
		b.holds(old)
	}
}

func testSuffixIsDurable(b *bench) {
	entries := b.commands(1, 300, 2, 2000)
	b.put(entries)
	for _, from := range []uint64{299, 120, 5} {
		b.drop(from, entries[len(entries)-1].Index)
		entries = entries[:from-1]
		b.Restart()
		b.open()
		b.bounds(1, from-1)
		b.holds(entries)
	}
}

func testWhole(b *bench) {
	b.put(b.commands(1, 100, 2, 3000))
	b.drop(1, 100)
	b.bounds(0, 0)
	b.missing(1)
	fresh := b.commands(1, 20, 3, 100)
	b.put(fresh)
	b.bounds(1, 20)
	b.holds(fresh)
	b.Restart()
	b.open()
	b.bounds(1, 20)
	b.holds(fresh)
	b.drop(1, 20)
	b.Restart()
	b.open()
	b.bounds(0, 0)
}

func testPrefix(b *bench) {
	entries := b.commands(1, 100, 2, 3000)
	b.put(entries)
	b.drop(1, 60)
	first, err := b.store.FirstIndex()
	if err != nil || first > 61 {
		b.t.Errorf("first index %d, %v after entries up to 60 were deleted", first, err)
	}
	b.holds(entries[60:])
	b.put(b.commands(101, 102, 2, 10))
	if last, _ := b.store.LastIndex(); last != 102 {
		b.t.Errorf("last index %d", last)
	}
}

func testOtherRanges(b *bench) {
	entries := b.commands(1, 100, 2, 100)
	b.put(entries)
	b.drop(101, 200)
	b.drop(50, 49)
	b.bounds(1, 100)
	if err := b.store.DeleteRange(40, 60); err == nil {
		b.t.Error("a gap was made")
	}
	b.bounds(1, 100)
	b.holds(entries)
	b.drop(90, 1000)
	b.bounds(1, 89)
}

// testTrimmedInMemory trims what is still in memory, if the store has one.
func testTrimmedInMemory(b *bench) {
	entries := b.commands(1, 60, 2, 3000)
	b.put(entries)
	if err := b.Trim(40); err != nil {
		b.t.Fatal(err)
	}
	first, err := b.store.FirstIndex()
	if err != nil || first < 3 || first > 41 {
		b.t.Fatalf("first index %d, %v after a trim through 40", first, err)
	}
	for i := uint64(1); i < first-1; i++ {
		b.missing(i)
	}
	b.stub(first-1, 2)
	b.holds(entries[first-1:])
}

// testTrimmed trims again and again, and in between does what Raft does with
// the beginning of a log.
func testTrimmed(b *bench) {
	entries := b.commands(1, 400, 2, 3000)
	b.put(entries)
	var before uint64
	for _, through := range []uint64{100, 250, 250, 399} {
		if err := b.Trim(through); err != nil {
			b.t.Fatalf("trim through %d: %v", through, err)
		}
		first := b.trimmedTo(before, through)
		b.holds(entries[first-1:])
		b.stub(first-1, 2)
		b.reopen()
		b.bounds(first, 400)
		b.stub(first-1, 2)
		before = first
	}
	b.drop(1, 50)
	b.drop(before, 400)
	b.bounds(0, 0)
	b.stub(before-1, 2)
	fresh := b.commands(before, before+5, 3, 100)
	b.put(fresh)
	b.bounds(before, before+5)
	b.holds(fresh)
	b.stub(before-1, 2)
}

// trimmedTo returns the first index after a Trim, which must have done
// something and not too much.
func (b *bench) trimmedTo(before, through uint64) uint64 {
	b.t.Helper()
	first, err := b.store.FirstIndex()
	if err != nil || first < before || first <= 1 || first > through+1 {
		b.t.Fatalf("first index %d, %v after a trim through %d; it was %d", first, err, through, before)
	}
	if last, _ := b.store.LastIndex(); last != 400 {
		b.t.Errorf("last index %d after a trim", last)
	}
	return first
}

// stub checks what is left of the entry before the first, and that nothing is
// left of those before.
func (b *bench) stub(index, term uint64) {
	b.t.Helper()
	var got raft.Log
	if err := b.store.GetLog(index, &got); err != nil || got.Index != index || got.Term != term {
		b.t.Errorf("the entry before the first is %+v, %v; want index %d, term %d", got, err, index, term)
	}
	last, _ := b.store.LastIndex()
	if got.Index = max(last, index) + 1; b.store.StoreLog(&got) == nil {
		b.t.Errorf("what is left of entry %d was stored like an entry; a replica that is sent it while the log is trimmed loses one", index)
	}
	if index > 1 {
		b.missing(index - 1)
	}
	b.missing(0)
}
