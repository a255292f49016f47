package replication

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
)

// follower does with its log store what Raft does in a follower, and remembers
// what Raft remembers: what it last stored with success. A StoreLogs that fails
// after a DeleteRange leaves that memory behind the times.
type follower struct {
	*machine
	store          raft.LogStore
	last, lastTerm uint64
}

func (f *follower) start() error {
	s, err := f.Open()
	if err != nil {
		return err
	}
	f.store = s
	if f.last, err = s.LastIndex(); err != nil || f.last == 0 {
		return err
	}
	var e raft.Log
	err = s.GetLog(f.last, &e)
	f.lastTerm = e.Term
	return err
}

// errBehind asks the leader for earlier entries.
var errBehind = errors.New("the entry before is another one")

func (f *follower) precedes(e *raft.Log) error {
	term := f.lastTerm
	if e.Index != f.last {
		var there raft.Log
		if err := f.store.GetLog(e.Index, &there); err != nil {
			return errBehind
		}
		term = there.Term
	}
	if term != e.Term {
		return errBehind
	}
	return nil
}

// append takes entries that follow before, nil at the beginning.
func (f *follower) append(before *raft.Log, entries []*raft.Log) error {
	if before != nil {
		if err := f.precedes(before); err != nil {
			return err
		}
	}
	for len(entries) > 0 && entries[0].Index <= f.last {
		var there raft.Log
		if err := f.store.GetLog(entries[0].Index, &there); err != nil {
			return fmt.Errorf("Raft is stuck: it asked for entry %d: %w", entries[0].Index, err)
		}
		if there.Term != entries[0].Term {
			if err := f.store.DeleteRange(entries[0].Index, f.last); err != nil {
				return err
			}
			break
		}
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	if err := f.store.StoreLogs(entries); err != nil {
		return err
	}
	f.last, f.lastTerm = entries[len(entries)-1].Index, entries[len(entries)-1].Term
	return nil
}

// leadership is the log of whoever leads, which sends it to one follower.
type leadership struct {
	*follower
	rng   *rand.Rand
	log   []*raft.Log // entry i is at i-1
	term  uint64
	next  int // the first entry to send
	acked int // entries that the follower has acknowledged
	full  bool
}

// change goes on with the log, or lets another leader replace its end.
func (l *leadership) change() {
	from := uint64(len(l.log) + 1)
	if l.rng.IntN(3) == 0 && from > 2 {
		from -= l.rng.Uint64N(min(from-2, 40) + 1)
		l.term++
	}
	l.log = l.log[: from-1 : from-1]
	bytes := []int{60, 7000, 14000}[l.rng.IntN(3)]
	for i, to := from, from+l.rng.Uint64N(30); i <= to; i++ {
		l.log = append(l.log, &raft.Log{Index: i, Term: l.term, Type: raft.LogCommand, Data: l.Command(i*1000+l.term, bytes)})
	}
	l.acked = min(l.acked, int(from-1))
	l.next = min(l.next, len(l.log))
}

// send sends entries until the follower has some more or the disk is full.
func (l *leadership) send() error {
	for {
		var before *raft.Log
		if l.next > 0 {
			before = l.log[l.next-1]
		}
		to := min(l.next+1+l.rng.IntN(25), len(l.log))
		err := l.append(before, l.log[l.next:to])
		switch {
		case errors.Is(err, errBehind):
			l.next--
			continue
		case errors.Is(err, commitlog.ErrDiskFull) && l.full:
			l.next = max(l.next-1, 0)
			return nil
		case err == nil:
			l.acked, l.next = max(l.acked, to), to
		}
		return err
	}
}

// step does one thing by chance.
func (l *leadership) step() error {
	switch p := l.rng.IntN(20); {
	case p < 5:
		l.change()
	case p < 8 && !l.full:
		l.fill()
		l.full = true
	case p < 8:
		l.empty()
		l.full = false
	case p < 10:
		if p == 8 {
			if err := l.Close(); err != nil {
				return err
			}
		} else {
			l.Restart()
		}
		return l.restarted()
	}
	return l.send()
}

// restarted checks that what was acknowledged is there.
func (l *leadership) restarted() error {
	if err := l.start(); err != nil {
		return err
	}
	if l.last < uint64(l.acked) {
		return fmt.Errorf("the log ends with %d after a restart, %d were acknowledged", l.last, l.acked)
	}
	for _, e := range l.log[:l.acked] {
		var got raft.Log
		if err := l.store.GetLog(e.Index, &got); err != nil || got.Term != e.Term || string(got.Data) != string(e.Data) {
			return fmt.Errorf("entry %d of term %d is of term %d after a restart, or has other data: %w", e.Index, e.Term, got.Term, err)
		}
	}
	return nil
}

func (l *leadership) run() error {
	if err := l.start(); err != nil {
		return err
	}
	l.change()
	for range 120 {
		if err := l.step(); err != nil {
			return err
		}
	}
	l.empty()
	l.full = false
	for l.acked < len(l.log) {
		if err := l.send(); err != nil {
			return err
		}
	}
	return equal(l.store, l.log)
}

func TestAFollowerWhoseDiskFillsUpAgainAndAgainEndsWithTheLeadersLog(t *testing.T) {
	t.Parallel()
	seeds := seedList()
	for _, seed := range seeds[:(len(seeds)+5)/6] {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, seed).(*machine)
			l := &leadership{follower: &follower{machine: m}, rng: rand.New(rand.NewPCG(seed, 3)), term: 1}
			err := l.run()
			if m.log != nil {
				err = errors.Join(err, m.Close())
			}
			if err != nil {
				t.Fatalf("%v\nreplay: %s\n%s", err, replay("TestAFollowerWhoseDiskFillsUp")(seed), m.Replay())
			}
		})
	}
}
