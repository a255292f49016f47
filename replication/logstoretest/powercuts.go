package logstoretest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"
)

// RunPowerCuts stores and deletes entries by seed on machines that lose power
// again and again. replay is the command that runs one seed alone.
func RunPowerCuts(t *testing.T, f Factory, seeds []uint64, replay func(seed uint64) string) {
	t.Parallel()
	const workers = 4
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for i := w; i < len(seeds); i += workers {
				l := &life{Machine: f(t, seeds[i]), t: t, rng: rand.New(rand.NewPCG(seeds[i], 11)), term: 1}
				if err := l.live(); err != nil {
					t.Fatalf("seed %d: %v\nreplay: %s\n%s", seeds[i], err, replay(seeds[i]), l.Replay())
				}
			}
		})
	}
}

// life is one machine over several power cuts.
type life struct {
	Machine
	t     *testing.T
	rng   *rand.Rand
	store Store
	term  uint64
	next  uint64 // numbers commands

	// first and entries are what the log holds for sure; doing is what was
	// under way when the power went, and may be done as far as it says.
	first   uint64
	entries []*raft.Log
	doing   attempt
}

// attempt is an operation that has not returned.
type attempt struct {
	stored  []*raft.Log // any number of them may be there
	deleted uint64      // everything from here on may be gone; 0 for nothing
	trimmed uint64      // everything up to here may be gone
}

func (l *life) live() error {
	l.first = 1
	for range 4 {
		l.CutAfter(1 + l.rng.Uint64N(400))
		if err := l.run(); err != nil {
			return err
		}
		l.Restart()
	}
	var err error
	if l.store, err = l.Open(); err != nil {
		return fmt.Errorf("open after the last cut: %w", err)
	}
	if err := l.check(); err != nil {
		return err
	}
	return l.Close()
}

// run works until the power is gone. An error of the store is one of the suite
// only while there is power.
func (l *life) run() error {
	var err error
	if l.store, err = l.Open(); err == nil {
		err = l.check()
	}
	for n := 0; err == nil && n < 60; n++ {
		err = l.work()
	}
	if !l.Lost() {
		return err
	}
	return nil
}

func (l *life) work() error {
	last := l.last()
	switch p := l.rng.IntN(20); {
	case p < 12 || last < l.first:
		return l.storeSome()
	case p < 16:
		return l.deleteFrom(last - l.rng.Uint64N(min(20, last-l.first+1)))
	case p < 17:
		return l.deleteFrom(l.first + l.rng.Uint64N(last-l.first+1))
	case p < 18:
		return l.deleteFrom(l.first)
	default:
		return l.trim(l.first + l.rng.Uint64N(last-l.first+1))
	}
}

func (l *life) last() uint64 { return l.first + uint64(len(l.entries)) - 1 }

func (l *life) storeSome() error {
	l.term += l.rng.Uint64N(2)
	from := l.last() + 1
	var batch []*raft.Log
	for i := range 1 + l.rng.Uint64N(30) {
		l.next++
		size := 30 + l.rng.IntN(900)
		if l.rng.IntN(12) == 0 {
			size = l.rng.IntN(l.CommandBytesMax())
		}
		e := entry(from+i, l.term, raft.LogCommand, nil)
		if e.Data = l.Command(l.next, size); l.rng.IntN(6) == 0 {
			e.Type, e.Data = raft.LogNoop, nil
		}
		batch = append(batch, e)
	}
	l.doing = attempt{stored: batch}
	if err := l.store.StoreLogs(batch); err != nil {
		return fmt.Errorf("store entries from %d: %w", from, err)
	}
	l.doing = attempt{}
	l.entries = append(l.entries, batch...)
	return nil
}

func (l *life) deleteFrom(from uint64) error {
	l.term++
	l.doing = attempt{deleted: from}
	if err := l.store.DeleteRange(from, l.last()); err != nil {
		return fmt.Errorf("delete from %d: %w", from, err)
	}
	l.doing = attempt{}
	l.entries = l.entries[:from-l.first]
	return l.verify()
}

func (l *life) trim(through uint64) error {
	l.doing = attempt{trimmed: through}
	if err := l.Trim(through); err != nil {
		return fmt.Errorf("trim through %d: %w", through, err)
	}
	first, err := l.store.FirstIndex()
	switch {
	case err != nil:
		return err
	case first == 0 && through == l.last():
		// The newest segment had no entry yet, so the log is empty now.
		l.entries, l.first = nil, through+1
		return l.verify()
	case first < l.first || first > max(through+1, l.first):
		return fmt.Errorf("first index %d after a trim through %d, it was %d", first, through, l.first)
	}
	l.entries, l.first = l.entries[first-l.first:], first
	return nil
}

// check compares the log after a restart with what must and what may be there,
// and takes it as what is there for sure.
func (l *life) check() error {
	last, err := l.store.LastIndex()
	if err != nil {
		return err
	}
	first, err := l.store.FirstIndex()
	if err != nil {
		return err
	}
	switch d := l.doing; {
	case last == 0 && (d.deleted == l.first || len(l.entries) == 0):
		l.entries = nil
	case last == 0 && d.trimmed == l.last():
		l.entries, l.first = nil, d.trimmed+1
	case last == 0:
		return fmt.Errorf("the log is empty, entries %d to %d are missing", l.first, l.last())
	case d.deleted > 0 && last == d.deleted-1 && last >= l.first:
		l.entries = l.entries[:d.deleted-l.first]
	case last > l.last() && last <= l.last()+uint64(len(d.stored)):
		l.entries = append(l.entries, d.stored[:last-l.last()]...)
	case last != l.last():
		return fmt.Errorf("the log ends with %d, entries up to %d were acknowledged, %d stored, from %d on being deleted",
			last, l.last(), len(d.stored), d.deleted)
	}
	if last > 0 && first != l.first && (first < l.first || first > l.doing.trimmed+1) {
		return fmt.Errorf("the log begins with %d, it began with %d and was being trimmed through %d", first, l.first, l.doing.trimmed)
	}
	if last > 0 && first > l.last() {
		return fmt.Errorf("the log has entries %d to %d, it had %d to %d", first, last, l.first, l.last())
	}
	if last > 0 {
		l.entries, l.first = l.entries[first-l.first:], first
	}
	l.doing = attempt{}
	return l.verify()
}

// verify reads the whole log.
func (l *life) verify() error {
	for _, e := range l.entries {
		if err := compare(l.store, e); err != nil {
			return err
		}
	}
	for _, index := range []uint64{0, l.last() + 1, l.last() + 40} {
		var got raft.Log
		if err := l.store.GetLog(index, &got); err != raft.ErrLogNotFound && (index == 0 || index != l.first-1) {
			return fmt.Errorf("entry %d: %w; want raft.ErrLogNotFound", index, err)
		}
	}
	return nil
}
