package replication

import (
	"slices"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// handedMax is how many batches Raft has that this node's disk hasn't: the next
// one is closed when the disk can begin to store it, so that it is as large as it
// may be.
const handedMax = 1

// attachToRaft connects the proposer to an engine whose log Raft appends to.
// wake is called when there is something for handOver.
func (p *Proposer) attachToRaft(e *engine.Engine, wake func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.engine, p.log = e, e.Log()
	p.seed = p.log.Seed()
	p.wake = wake
	p.refusal = engine.ErrNotLeader
}

// handOver closes the next batch for Raft; nil where nothing waits, or Raft has
// enough. It is called under the Group's handing lock.
func (p *Proposer) handOver() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	unstored := 0
	for i := len(p.inflight) - 1; i >= 0 && !p.inflight[i].stored; i-- {
		unstored++
	}
	if unstored >= handedMax {
		return nil
	}
	var b *batch
	switch {
	case len(p.urgent) > 0:
		b = p.urgent[0]
		p.urgent = append(p.urgent[:0], p.urgent[1:]...)
	case len(p.closed) > 0:
		b = p.closed[0]
		p.closed = append(p.closed[:0], p.closed[1:]...)
	case len(p.open.data) > 0:
		b = p.open
		p.open = p.takeSpareLocked()
	default:
		return nil
	}
	b.handed = true
	p.inflight = append(p.inflight, b)
	p.early += b.early
	return b
}

// stored notes that StoreLogs has come to its end with entries, and that this
// node's disk has frames up to through.
func (p *Proposer) stored(entries []*raft.Log, through event.Index) {
	p.mu.Lock()
	for _, e := range entries {
		if b := p.ofDataLocked(e.Data); b != nil {
			b.stored = !b.appended || b.ticket.Index <= through
		}
	}
	early := p.early
	p.mu.Unlock()
	if early > 0 {
		p.written(p.log.Marks().Written)
	}
	p.wake()
}

// reached notes that this node's disk has frames up to through.
func (p *Proposer) reached(through event.Index) {
	p.mu.Lock()
	next := false
	for _, b := range p.inflight {
		if b.appended && !b.stored && b.ticket.Index <= through {
			b.stored, next = true, true
		}
	}
	p.mu.Unlock()
	if next {
		p.wake()
	}
}

// proposed reports whether all entries are batches of the proposer's that are on
// their way.
func (p *Proposer) proposed(entries []*raft.Log) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		if e.Type != raft.LogCommand || p.ofDataLocked(e.Data) == nil {
			return false
		}
	}
	return true
}

// ofDataLocked is the batch that an entry was made of.
func (p *Proposer) ofDataLocked(data []byte) *batch {
	for i := len(p.inflight) - 1; i >= 0 && !p.inflight[i].stored; i-- {
		if b := p.inflight[i]; len(data) > 0 && len(b.data) == len(data) && &b.data[0] == &data[0] {
			return b
		}
	}
	return nil
}

// awaitsRaft reports whether Raft has a batch that it hasn't appended.
func (p *Proposer) awaitsRaft(b *batch) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.inflight, b) && !b.appended
}

// refused ends a batch that Raft has not taken. Nothing of it is stored, but its
// proposers were told that it would be, so to them the outcome is unknown.
func (p *Proposer) refused(b *batch) {
	p.completing.Lock()
	defer p.completing.Unlock()
	p.mu.Lock()
	i := slices.Index(p.inflight, b)
	found := i >= 0 && !b.appended
	if found {
		p.inflight = slices.Delete(p.inflight, i, i+1)
		p.early -= b.early
	}
	p.mu.Unlock()
	if found {
		p.doubt(b)
	}
}

// lead begins to accept proposals. Everything that was proposed before is
// applied, or gone.
func (p *Proposer) lead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = nil
	clear(p.next)
}

// lose refuses proposals from now on, and ends those under way: nobody can say
// whether they will be committed.
func (p *Proposer) lose() {
	p.completing.Lock()
	defer p.completing.Unlock()
	p.mu.Lock()
	p.refusal = engine.ErrNotLeader
	all := append(append(p.inflight, p.urgent...), p.closed...)
	if len(p.open.data) > 0 {
		all = append(all, p.open)
		p.open = p.takeSpareLocked()
	}
	p.inflight, p.urgent, p.closed, p.early = nil, nil, nil, 0
	p.mu.Unlock()
	for _, b := range all {
		p.doubt(b)
	}
	p.makeRoom()
}

// doubt completes what is left of a batch as unknown and forgets the batch.
func (p *Proposer) doubt(b *batch) {
	p.metrics.doubt.Add(len(b.parts) - b.done)
	b.complete(b.parts, engine.OutcomeUnknown, everyProposal)
	if b.handed {
		b.heap, b.data = nil, b.data[:len(b.data):len(b.data)]
		p.letGo(b)
		return
	}
	p.recycle(b)
}

// letGo releases the bytes of a batch whose memory Raft may still look at.
func (p *Proposer) letGo(b *batch) {
	p.mu.Lock()
	p.waiting -= len(b.data)
	p.mu.Unlock()
	p.makeRoom()
}

// makeRoom wakes up those who wait for room.
func (p *Proposer) makeRoom() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// placed notes where in the log entries were placed that may be batches of the
// proposer's: the last one has the ticket, the others stand before it. It runs
// within StoreLogs.
func (p *Proposer) placed(frames []commitlog.Batch, last commitlog.Ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(frames) - 1; i >= 0; i-- {
		if b := p.ofDataLocked(frames[i].Data); b != nil {
			b.ticket, b.appended = last, true
		}
		if i > 0 {
			last.Index--
			last.Position -= event.Position(len(frames[i-1].Data))
		}
	}
}
