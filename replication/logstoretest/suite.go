package logstoretest

import (
	"testing"

	"github.com/hashicorp/raft"
)

// Run tests everything but power cuts.
func Run(t *testing.T, f Factory) {
	t.Parallel()
	for name, test := range map[string]func(*bench){
		"an empty log has no first and no last index":                 testEmpty,
		"entries of every type are read back unchanged":               testTypes,
		"entries outlive a restart":                                   testReopen,
		"an entry that doesn't continue the log is refused":           testGaps,
		"a refused batch leaves nothing behind":                       testRefusedBatch,
		"entries that the log can't keep as they are are refused":     testUnsupported,
		"a deleted suffix is gone and the log goes on there":          testSuffix,
		"a suffix is deleted across segments":                         testLongSuffix,
		"a deleted suffix stays gone after a power cut":               testSuffixIsDurable,
		"the whole log is deleted and goes on at the same index":      testWhole,
		"deleting a prefix is a hint":                                 testPrefix,
		"deleting what isn't there does nothing, in between an error": testOtherRanges,
		"a trimmed log knows the entry before its first":              testTrimmed,
		"a trimmed entry is gone from memory, too":                    testTrimmedInMemory,
		"the largest entry is stored and a larger one refused":        testLarge,
		"many entries are one write":                                  testOneWrite,
		"entries are read while others are stored and deleted":        testConcurrentReads,
		"a far run of entries is read from the disk in order":         testFarReads,
	} {
		t.Run(name, func(t *testing.T) { test(newBench(t, f)) })
	}
}

func testEmpty(b *bench) {
	b.bounds(0, 0)
	b.missing(0)
	b.missing(1)
	if !b.store.IsMonotonic() {
		b.t.Error("the store says that it can hold gaps")
	}
	b.drop(1, 10)
	b.reopen()
	b.bounds(0, 0)
}

func testTypes(b *bench) {
	entries := []*raft.Log{
		entry(1, 1, raft.LogConfiguration, raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "b"}}})),
		entry(2, 2, raft.LogNoop, nil),
		entry(3, 2, raft.LogCommand, b.Command(3, 10)),
		entry(4, 2, raft.LogBarrier, nil),
		entry(5, 7, raft.LogNoop, nil),
		entry(6, 7, raft.LogCommand, b.Command(6, 5000)),
	}
	for _, e := range entries[:3] {
		if err := b.store.StoreLog(e); err != nil {
			b.t.Fatal(err)
		}
	}
	b.put(entries[3:])
	b.bounds(1, 6)
	b.holds(entries)
	b.missing(0)
	b.missing(7)
	b.missing(1 << 62)
}

func testReopen(b *bench) {
	entries := b.commands(1, 300, 3, 1000)
	b.put(entries)
	b.reopen()
	b.bounds(1, 300)
	b.holds(entries)
	more := b.commands(301, 310, 4, 1000)
	b.put(more)
	b.holds(more)
}

func testGaps(b *bench) {
	refused := func(entries ...*raft.Log) {
		b.t.Helper()
		if err := b.store.StoreLogs(entries); err == nil {
			b.t.Errorf("entry %d was stored", entries[0].Index)
		}
	}
	refused(b.commands(2, 2, 1, 10)...)
	entries := b.commands(1, 10, 5, 10)
	b.put(entries)
	refused(b.commands(12, 12, 5, 10)...)
	refused(b.commands(10, 10, 5, 10)...)
	refused(b.commands(3, 3, 6, 10)...)
	refused(b.commands(11, 11, 4, 10)...)
	b.bounds(1, 10)
	b.holds(entries)
	b.put(nil)
	b.put(b.commands(11, 11, 5, 10))
}

func testRefusedBatch(b *bench) {
	b.put(b.commands(1, 5, 1, 10))
	batch := append(b.commands(6, 8, 1, 10), b.commands(10, 10, 1, 10)...)
	if err := b.store.StoreLogs(batch); err == nil {
		b.t.Error("a batch with a gap was stored")
	}
	batch = append(b.commands(6, 8, 1, 10), entry(9, 1, raft.LogCommand, make([]byte, b.CommandBytesMax()+1)))
	if err := b.store.StoreLogs(batch); err == nil {
		b.t.Error("a batch with an entry that is too large was stored")
	}
	b.bounds(1, 5)
	b.missing(6)
	b.put(b.commands(6, 9, 2, 10))
}

func testUnsupported(b *bench) {
	extended := entry(1, 1, raft.LogCommand, b.Command(1, 10))
	extended.Extensions = []byte("x")
	for what, e := range map[string]*raft.Log{
		"extensions":          extended,
		"a no-op with data":   entry(1, 1, raft.LogNoop, []byte("x")),
		"a barrier with data": entry(1, 1, raft.LogBarrier, []byte("x")),
		"a peer":              entry(1, 1, raft.LogAddPeerDeprecated, nil),
		"an unknown type":     entry(1, 1, 77, nil),
	} {
		if err := b.store.StoreLog(e); err == nil {
			b.t.Errorf("an entry with %s was stored", what)
		}
	}
	b.bounds(0, 0)
}

func testLarge(b *bench) {
	most := b.CommandBytesMax()
	entries := b.commands(1, 4, 1, most)
	for _, e := range entries {
		if len(e.Data) != most {
			b.t.Fatalf("the command has %d bytes, %d were asked for", len(e.Data), most)
		}
		if err := b.store.StoreLog(e); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := b.store.StoreLog(entry(5, 1, raft.LogCommand, b.Command(5, most+1))); err == nil {
		b.t.Error("a larger one was stored")
	}
	b.holds(entries)
	b.reopen()
	b.holds(entries)
}

func testOneWrite(b *bench) {
	const rounds, each = 20, 64
	b.put(b.commands(1, 1, 1, 100))
	several := 0
	for i := range uint64(rounds) {
		before := b.Writes()
		b.put(b.commands(2+i*each, 1+(i+1)*each, 1, 20))
		if b.Writes()-before > 1 {
			several++
		}
	}
	if several > rounds/4 {
		b.t.Errorf("%d of %d batches took more than one write; only one that fills a segment should", several, rounds)
	}
}
