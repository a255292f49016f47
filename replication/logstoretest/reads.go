package logstoretest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// testConcurrentReads reads beside a writer that deletes a suffix now and
// then. A reader sees an entry of the one term or the other, or none.
func testConcurrentReads(b *bench) {
	const keep, most, rounds = 50, 90, 40
	b.put(b.commands(1, keep, 1, 600))
	var term atomic.Uint64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			for i := uint64(1 + r); ; i = i%most + 1 {
				select {
				case <-stop:
					return
				default:
				}
				if err := b.readOne(i, keep, term.Load()); err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	for round := range uint64(rounds) {
		term.Store(round + 2)
		b.put(b.commands(keep+1, most, round+2, 600))
		b.drop(keep+1, most)
	}
	close(stop)
	readers.Wait()
}

// readOne reads an entry while the term in which its like are stored is at
// least since.
func (b *bench) readOne(i, keep, since uint64) error {
	var got raft.Log
	err := b.store.GetLog(i, &got)
	switch {
	case i <= keep && err != nil:
		return fmt.Errorf("entry %d: %w", i, err)
	case errors.Is(err, raft.ErrLogNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("entry %d: %w", i, err)
	case i > keep && got.Term < since:
		return fmt.Errorf("entry %d of term %d was read after it was deleted in term %d", i, got.Term, since)
	}
	return difference(&got, commands(b.Machine, i, i, got.Term, 600)[0])
}

// testFarReads reads entries that have left memory, several runs at a time, as
// replicas do that catch up.
func testFarReads(b *bench) {
	const last = 600
	entries := b.commands(1, last, 1, 3000)
	b.put(entries)
	b.reopen()
	var runs sync.WaitGroup
	for r := range 6 {
		runs.Go(func() {
			for i := r * 40; i < last; i++ {
				if err := compare(b.store, entries[i]); err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	runs.Wait()
	for i := last - 1; i >= 0; i -= 7 {
		if err := compare(b.store, entries[i]); err != nil {
			b.t.Error(err)
		}
	}
}
