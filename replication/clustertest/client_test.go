package clustertest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
)

// queuesOfMessages is how many queues clients write to.
const queuesOfMessages = 3

// sent is a proposal on its way.
type sent struct {
	ledger       *ledger
	first, count int
	done         chan engine.Outcome
}

// Complete implements engine.Completion.
func (s *sent) Complete(p *engine.Proposal) {
	if s.count > 0 {
		s.ledger.complete(s.first, s.count, p)
	}
	s.done <- p.Outcome
}

// answerTime is how long a client waits for an answer.
const answerTime = 5 * time.Second

// propose proposes to a node and waits for the outcome. It reports whether the
// proposal is committed.
func (c *Cluster) propose(l *life, s *sent, p *engine.Proposal) bool {
	s.ledger, s.done = c.ledger, make(chan engine.Outcome, 1)
	p.Completion = s
	if err := l.group.Propose(p); err != nil {
		c.ledger.refuse(s.first, s.count)
		return false
	}
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case o := <-s.done:
		return o == engine.OutcomeCommitted && p.Wait == engine.WaitCommitted
	case <-late.C:
		return false
	}
}

// send proposes messages to a node: all or none of them.
func (c *Cluster) send(n *Node, client int, q event.Queue, count, bytes int, wait engine.Wait) bool {
	l := n.living()
	if l == nil {
		return false
	}
	s := &sent{first: c.ledger.ask(client, q, count), count: count}
	p := &engine.Proposal{Wait: wait}
	for i := range count {
		p.Drafts = append(p.Drafts, event.Draft{
			Kind: event.KindMessage, Stream: event.StreamQueue, Topic: q.Topic, Queue: q.ID, Tag: int32(i), Payload: payload(s.first+i, bytes),
		})
	}
	return c.propose(l, s, p)
}

// mustSend has count messages of about that many bytes committed.
func (c *Cluster) mustSend(count, bytes int) {
	c.t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	late := time.Now().Add(patience)
	for client := range 8 {
		clients.Go(func() {
			for {
				mu.Lock()
				count--
				over := count < 0
				mu.Unlock()
				if over || c.ledger.failure() != nil {
					return
				}
				for c.ledger.failure() == nil {
					if time.Now().After(late) {
						c.ledger.fail(errors.New("messages are not confirmed in time"))
					}
					if n := c.leading(); n != nil && c.send(n, -1-client, event.Queue{Topic: messageTopic, ID: uint32(client % queuesOfMessages)}, 1, bytes, engine.WaitCommitted) {
						break
					}
					c.pause(2 * time.Millisecond)
				}
			}
		})
	}
	clients.Wait()
	if err := c.ledger.failure(); err != nil {
		c.fatalf("%v", err)
	}
}

// load has clients propose without end until the returned function is called.
func (c *Cluster) load(clients int) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	for i := range clients {
		rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
		running.Go(func() {
			for c.ledger.failure() == nil {
				select {
				case <-ended:
					return
				case <-time.After(time.Duration(rng.IntN(int(25 * time.Millisecond)))):
				}
				if n := c.someone(rng); n != nil {
					c.act(rng, n, i)
				}
			}
		})
	}
	return func() {
		close(ended)
		running.Wait()
	}
}

// someone is the leader, most of the time.
func (c *Cluster) someone(rng *rand.Rand) *Node {
	if all := c.all(); rng.IntN(10) == 0 {
		return all[rng.IntN(len(all))]
	}
	return c.leading()
}

// act proposes something: messages, or what else the log may hold.
func (c *Cluster) act(rng *rand.Rand, n *Node, client int) {
	if rng.IntN(6) == 0 {
		c.sideEvent(rng, n)
		return
	}
	count, bytes := 1, rng.IntN(700)
	if rng.IntN(4) == 0 {
		count += rng.IntN(3)
	}
	if rng.IntN(15) == 0 {
		bytes = rng.IntN(12 << 10)
	}
	wait := engine.WaitCommitted
	if rng.IntN(12) == 0 {
		wait = engine.WaitWritten
	}
	c.send(n, client, event.Queue{Topic: messageTopic, ID: rng.Uint32N(queuesOfMessages)}, count, bytes, wait)
}

// sideEvent proposes something that projections besides the queues fold.
func (c *Cluster) sideEvent(rng *rand.Rand, n *Node) {
	l := n.living()
	if l == nil {
		return
	}
	d := projectiontest.Drafts().Example(int(rng.Int32()))
	switch d.Kind {
	case event.KindMessage, event.KindTopic, event.KindTopicDeleted, event.KindOffsets, event.KindGroup, event.KindGroupDeleted, event.KindLocked, event.KindUnlocked:
		c.propose(l, &sent{}, &engine.Proposal{Drafts: []event.Draft{d}})
	}
}
