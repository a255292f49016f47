package logstoretest

import (
	"testing"

	"github.com/hashicorp/raft"
)

// Store is what the suite tests.
type Store interface {
	raft.LogStore
	raft.MonotonicLogStore
}

// Machine is a computer with one log store on a disk that can lose power.
type Machine interface {
	// Open opens the store, which is empty at first.
	Open() (Store, error)
	// Close closes the store.
	Close() error
	// CutAfter cuts the power in the n-th step of the disk from now.
	CutAfter(steps uint64)
	// Lost reports whether the power is gone.
	Lost() bool
	// Restart gives up the open store as a power cut does. The next Open sees
	// what the cut has left.
	Restart()
	// Command is the data of a LogCommand that the store accepts: of about that
	// many bytes, different for each number.
	Command(number uint64, bytes int) []byte
	// CommandBytesMax is the longest data that the store accepts.
	CommandBytesMax() int
	// Trim drops entries from the beginning, up to through at most, as retention
	// does. The newest entries stay.
	Trim(through uint64) error
	// Writes is the number of writes of log data so far.
	Writes() int
	// Replay tells how the disk got where it is.
	Replay() string
}

// Factory makes a machine with an empty disk. Everything that chance decides
// there comes from the seed.
type Factory func(t *testing.T, seed uint64) Machine

// bench is a machine under test with its open store.
type bench struct {
	Machine
	t     *testing.T
	store Store
}

func newBench(t *testing.T, f Factory) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{Machine: f(t, 1), t: t}
	b.open()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.store, err = b.Open(); err != nil {
		b.t.Fatalf("open: %v", err)
	}
}

func (b *bench) reopen() {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Fatalf("close: %v", err)
	}
	b.open()
}

// commands makes entries first to last of a term, of about that many bytes.
func (b *bench) commands(first, last, term uint64, bytes int) []*raft.Log {
	return commands(b.Machine, first, last, term, bytes)
}

func commands(m Machine, first, last, term uint64, bytes int) []*raft.Log {
	var entries []*raft.Log
	for i := first; i <= last; i++ {
		entries = append(entries, entry(i, term, raft.LogCommand, m.Command(i*1000+term, bytes)))
	}
	return entries
}

func (b *bench) put(entries []*raft.Log) {
	b.t.Helper()
	if err := b.store.StoreLogs(entries); err != nil {
		b.t.Fatalf("store entries %d to %d: %v", entries[0].Index, entries[len(entries)-1].Index, err)
	}
}

func (b *bench) drop(first, last uint64) {
	b.t.Helper()
	if err := b.store.DeleteRange(first, last); err != nil {
		b.t.Fatalf("delete entries %d to %d: %v", first, last, err)
	}
}

// bounds checks first and last index.
func (b *bench) bounds(first, last uint64) {
	b.t.Helper()
	f, err := b.store.FirstIndex()
	if err != nil || f != first {
		b.t.Errorf("first index %d, %v; want %d", f, err, first)
	}
	l, err := b.store.LastIndex()
	if err != nil || l != last {
		b.t.Errorf("last index %d, %v; want %d", l, err, last)
	}
}

// missing checks that an entry isn't there.
func (b *bench) missing(index uint64) {
	b.t.Helper()
	var got raft.Log
	if err := b.store.GetLog(index, &got); err != raft.ErrLogNotFound {
		b.t.Errorf("entry %d: %v, want raft.ErrLogNotFound itself", index, err)
	}
}

// holds checks that entries are there as they were stored.
func (b *bench) holds(entries []*raft.Log) {
	b.t.Helper()
	for _, want := range entries {
		if err := compare(b.store, want); err != nil {
			b.t.Error(err)
		}
	}
}
