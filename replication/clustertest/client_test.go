package clustertest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// command is one batch of events with the number in the first payload.
func (c *Cluster) command(number uint64, bytes int) []byte {
	payload := make([]byte, max(bytes, 8))
	binary.LittleEndian.PutUint64(payload, number)
	d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(payload)}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, c.logID.Seed())
	return b
}

func number(e event.Event) uint64 {
	if p := e.Payload(); len(p) >= 8 {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// propose proposes a command to whoever leads and waits until it is committed,
// or for as long as a client would. It reports whether it is committed.
func (c *Cluster) propose(bytes int) bool {
	n := c.numbers.Add(1)
	committed := c.ledger.expect(n)
	leader := c.leader()
	late := time.NewTimer(300 * time.Millisecond)
	defer late.Stop()
	if leader != nil {
		c.mu.Lock()
		l := leader.life
		c.mu.Unlock()
		if l != nil {
			l.raft.Apply(c.command(n, bytes), 50*time.Millisecond)
		}
	}
	select {
	case <-committed:
		return true
	case <-late.C:
		return false
	}
}

// mustPropose has count commands of about that many bytes committed.
func (c *Cluster) mustPropose(count, bytes int) {
	c.t.Helper()
	for done := 0; done < count; {
		var committed sync.Map
		var some sync.WaitGroup
		for i := range min(count-done, 16) {
			some.Go(func() {
				if c.propose(bytes) {
					committed.Store(i, true)
				}
			})
		}
		some.Wait()
		committed.Range(func(any, any) bool { done++; return true })
		if err := c.ledger.failure(); err != nil {
			c.fatalf("%v", err)
		}
	}
}

// load proposes without end from several clients until the returned function
// is called, which tells how many commands were committed.
func (c *Cluster) load(clients int) (stop func() int) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := range clients {
		rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
		running.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				size := rng.IntN(700)
				if rng.IntN(15) == 0 {
					size = rng.IntN(12 << 10)
				}
				if c.propose(size) {
					mu.Lock()
					total++
					mu.Unlock()
				}
			}
		})
	}
	return func() int {
		close(ended)
		running.Wait()
		return total
	}
}

// settle waits until all nodes have applied all of the leader's log. Raft tells
// a state machine of commands only; so a command must come last.
func (c *Cluster) settle() {
	c.t.Helper()
	c.until("all nodes to be even", func() bool {
		leader := c.leader()
		if leader == nil {
			return false
		}
		end, term, _ := leader.life.log.End()
		if leader.life.fold.next() != end+1 {
			c.propose(20)
			return false
		}
		for _, n := range c.nodes {
			if e, t, _ := n.life.log.End(); e != end || t != term || n.life.fold.next() != end+1 {
				return false
			}
		}
		return true
	})
}

// check waits until the group is at rest and compares the nodes: everything
// that was ever applied is in every log that has not trimmed it, and the logs
// are equal, frame by frame.
func (c *Cluster) check() {
	c.t.Helper()
	c.settle()
	if err := c.ledger.failure(); err != nil {
		c.fatalf("%v", err)
	}
	shared := map[event.Index]commitlog.Header{}
	for _, n := range c.nodes {
		if err := c.compare(n, shared); err != nil {
			c.fatalf("%v", err)
		}
	}
}

func (c *Cluster) compare(n *Node, shared map[event.Index]commitlog.Header) error {
	l := n.life.log
	first, _ := l.First()
	end, _, _ := l.End()
	if last := c.ledger.lastIndex(); end < last {
		return fmt.Errorf("%s ends with frame %d; frames up to %d were applied", n.id, end, last)
	}
	return l.CursorFrom(first).Visit(end, func(f commitlog.Frame) error {
		if err := c.ledger.compare(string(n.id), &f); err != nil {
			return err
		}
		h := f.Header
		h.DurableWhenBuilt = 0 // the one local field
		if want, known := shared[f.Index]; known && want != h {
			return fmt.Errorf("%s has frame %+v, another node %+v", n.id, h, want)
		}
		shared[f.Index] = h
		return nil
	})
}
