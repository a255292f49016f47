package replication

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// smallFilesBytes is what a full disk has left: less than a segment, and enough
// for the small files that a truncation needs.
const smallFilesBytes = 48 << 10

// fill leaves no room for another segment.
func (m *machine) fill() {
	m.disk.SetCapacity(m.capacity - m.free() + smallFilesBytes)
}

func (m *machine) free() int64 {
	m.disk.SetCapacity(m.capacity)
	free, err := m.disk.FreeBytes()
	if err != nil {
		m.t.Fatal(err)
	}
	return free
}

// empty gives the disk room again.
func (m *machine) empty() { m.disk.SetCapacity(m.capacity) }

// batch makes entries of 7000 bytes, nine to a segment.
func (m *machine) batch(first, last, term uint64) []*raft.Log {
	var entries []*raft.Log
	for i := first; i <= last; i++ {
		entries = append(entries, &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: m.Command(i*1000+term, 7000)})
	}
	return entries
}

// cutShort is a log of 5 entries of term 1 whose disk filled up in the middle
// of a batch of entries 6 to 45 of term 2.
type cutShort struct {
	*machine
	store *LogStore
	batch []*raft.Log
	last  uint64 // of the entries that were left behind
}

func newCutShort(t *testing.T) *cutShort {
	t.Helper()
	c := &cutShort{machine: newMachine(t, 1).(*machine)}
	c.open()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := c.store.StoreLogs(c.machine.batch(1, 5, 1)); err != nil {
		t.Fatal(err)
	}
	c.batch = c.machine.batch(6, 45, 2)
	c.fill()
	c.refuses(c.batch)
	c.last, _ = c.store.LastIndex()
	if c.last < 8 || c.last > 43 {
		t.Fatalf("a batch of entries 6 to 45 was cut short after entry %d: nothing is tested", c.last)
	}
	return c
}

func (c *cutShort) open() {
	c.t.Helper()
	s, err := c.Open()
	if err != nil {
		c.t.Fatalf("open: %v", err)
	}
	c.store = s.(*LogStore)
}

// refuses checks that the full disk refuses entries.
func (c *cutShort) refuses(entries []*raft.Log) {
	c.t.Helper()
	if err := c.store.StoreLogs(entries); !errors.Is(err, commitlog.ErrDiskFull) {
		c.t.Fatalf("store entries %d to %d on a full disk: %v", entries[0].Index, entries[len(entries)-1].Index, err)
	}
}

func (c *cutShort) put(entries []*raft.Log) {
	c.t.Helper()
	if err := c.store.StoreLogs(entries); err != nil {
		c.t.Fatalf("store entries %d to %d: %v", entries[0].Index, entries[len(entries)-1].Index, err)
	}
}

// holds checks that the log is entries 1 to 5 and then these: now, opened
// again, and after a power cut.
func (c *cutShort) holds(entries []*raft.Log) {
	c.t.Helper()
	want := append(c.machine.batch(1, 5, 1), entries...)
	for _, when := range []string{"now", "opened again", "after a power cut"} {
		switch when {
		case "opened again":
			if err := c.Close(); err != nil {
				c.t.Fatal(err)
			}
			c.open()
		case "after a power cut":
			c.Restart()
			c.open()
		}
		if err := equal(c.store, want); err != nil {
			c.t.Errorf("%s: %v", when, err)
		}
	}
}

// equal compares a whole log with entries from index 1 on.
func equal(s raft.LogStore, want []*raft.Log) error {
	if last, err := s.LastIndex(); err != nil || last != uint64(len(want)) {
		return fmt.Errorf("the log ends with %d, %w; want %d", last, err, len(want))
	}
	for _, e := range want {
		var got raft.Log
		if err := s.GetLog(e.Index, &got); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if got.Index != e.Index || got.Term != e.Term || string(got.Data) != string(e.Data) {
			return fmt.Errorf("entry %d of term %d has %d bytes that were stored of entry %d, term %d, with %d bytes, or others",
				got.Index, got.Term, len(got.Data), e.Index, e.Term, len(e.Data))
		}
	}
	return nil
}

func TestABatchThatAFullDiskCutShortIsStoredOnce(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(c *cutShort){
		"when it is sent again": func(c *cutShort) {
			c.empty()
			c.put(c.batch)
		},
		"when it is sent in small parts": func(c *cutShort) {
			c.empty()
			for i := 0; i < len(c.batch); i += 3 {
				c.put(c.batch[i:min(i+3, len(c.batch))])
			}
		},
		"when the disk is still full at first": func(c *cutShort) {
			c.refuses(c.batch)
			c.refuses(c.batch[:c.last-3])
			c.put(c.batch[:2]) // is there already
			c.refuses(c.batch[2:])
			c.empty()
			c.put(c.batch[2:])
		},
		"when the rest follows a restart": func(c *cutShort) {
			if err := c.Close(); err != nil {
				c.t.Fatal(err)
			}
			c.open()
			if err := equal(c.store, append(c.machine.batch(1, 5, 1), c.batch[:c.last-5]...)); err != nil {
				c.t.Fatal(err)
			}
			c.refuses(c.batch[c.last-5:])
			c.empty()
			c.put(c.batch[c.last-5:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCutShort(t)
			send(c)
			c.holds(c.batch)
		})
	}
}

func TestWhatAFullDiskLeftBehindGivesWayToAnotherLeadersEntries(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]uint64{"at its first entry": 6, "in the middle": 8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCutShort(t)
			other := append(c.batch[:from-6:from-6], c.machine.batch(from, 12, 3)...)
			c.empty()
			c.put(other)
			c.holds(other)
		})
	}
	t.Run("after a restart", func(t *testing.T) {
		t.Parallel()
		c := newCutShort(t)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c.open()
		if err := c.store.DeleteRange(7, c.last); err != nil {
			t.Fatal(err)
		}
		rest := c.machine.batch(7, 9, 3)
		c.empty()
		c.put(rest)
		c.holds(append(c.batch[:1:1], rest...))
	})
	t.Run("when Raft deletes what is before it", func(t *testing.T) {
		t.Parallel()
		c := newCutShort(t)
		if err := c.store.DeleteRange(5, 5); err != nil { // Raft doesn't know of later ones
			t.Fatal(err)
		}
		if last, _ := c.store.LastIndex(); last != 4 {
			t.Errorf("the log ends with %d after everything from 5 on was deleted", last)
		}
	})
}

// TestRaftIsToldOfEntriesThatItDeletedInVain: it goes on counting on entries that
// it has deleted when those in their place were refused.
func TestRaftIsToldOfEntriesThatItDeletedInVain(t *testing.T) {
	t.Parallel()
	f := &follower{machine: newMachine(t, 1).(*machine)}
	if err := f.start(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var small []*raft.Log
	for i := range uint64(60) {
		small = append(small, &raft.Log{Index: i + 1, Term: 1, Type: raft.LogCommand, Data: f.Command(i, 60)})
	}
	if err := f.append(nil, small); err != nil {
		t.Fatal(err)
	}
	f.fill()
	large := append(small[:2:2], f.batch(3, 100, 2)...)
	for range 3 {
		if err := f.append(small[1], large[2:]); !errors.Is(err, commitlog.ErrDiskFull) {
			t.Fatalf("store 98 entries of 7000 bytes: %v", err)
		}
		if last, _ := f.store.LastIndex(); last < 4 || last >= 60 {
			t.Fatalf("the disk was full after entry %d: nothing is tested", last)
		}
	}
	f.empty()
	if err := f.append(small[1], large[2:]); err != nil {
		t.Error(err)
	}
	if err := equal(f.store, large); err != nil {
		t.Error(err)
	}
}

// TestEntriesOfABatchAreAppendedAsOne: the flusher, which looks at the log's end
// like anybody, then takes them in one write.
func TestEntriesOfABatchAreAppendedAsOne(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1).(*machine)
	m.opts.SegmentBytes, m.opts.TailBytes = 16<<20, 4<<20 // one segment: the next may begin inside a batch
	s, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 400 / seedShare, 64
	watch := watchBatches(m.log, each)
	for i := range uint64(rounds) {
		var batch []*raft.Log
		for j := range uint64(each) {
			batch = append(batch, &raft.Log{Index: i*each + j + 1, Term: 1, Type: raft.LogCommand, Data: m.Command(j, 300)})
		}
		if err := s.StoreLogs(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(watch(), m.Close()); err != nil {
		t.Error(err)
	}
}

// watchBatches looks at the log's end, from two goroutines, until the returned
// function is called. That tells whether the end was ever inside a batch.
func watchBatches(l *commitlog.Log, each event.Index) (stop func() error) {
	var over atomic.Bool
	var watching sync.WaitGroup
	var inside atomic.Uint64
	for range 2 {
		watching.Go(func() {
			for !over.Load() {
				if end, _, _ := l.End(); end%each != 0 {
					inside.Store(uint64(end))
				}
			}
		})
	}
	return func() error {
		over.Store(true)
		watching.Wait()
		if end := inside.Load(); end > 0 {
			return fmt.Errorf("the log ended with entry %d, in the middle of a batch of %d", end, each)
		}
		return nil
	}
}
