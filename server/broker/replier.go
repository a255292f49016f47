package broker

import (
	"context"
	"sync"

	"github.com/apogeemq/apogee/server/remoting"
)

// replier answers sends. The log completes them one by one on its own
// goroutine; here they become one write per connection for all that have
// completed meanwhile. A few are answered at once, on the log's goroutine: at
// low load waking another one takes longer than the answers. Many are answered
// off the log's path.
type replier struct {
	sender *sender
	wake   chan struct{} // one element

	mu    sync.Mutex
	head  *sendRequest
	tail  *sendRequest
	count int

	// Of the round under way.
	rounds  sync.Mutex
	batch   remoting.Batch
	reply   remoting.Reply
	scratch []byte
}

// keepScratchBytes bounds the buffer for message ids that is kept.
const keepScratchBytes = 64 << 10

func newReplier(s *sender) *replier {
	return &replier{sender: s, wake: make(chan struct{}, 1)}
}

// inlineMax is how many sends are answered on the log's goroutine.
const inlineMax = 4

// add takes a completed send, which so many others follow at once. It doesn't
// block.
func (p *replier) add(r *sendRequest, following int) {
	p.mu.Lock()
	if p.head == nil {
		p.head = r
	} else {
		p.tail.next = r
	}
	p.tail = r
	p.count++
	few := p.count <= inlineMax
	p.mu.Unlock()
	if following > 0 {
		return
	}
	if few && p.rounds.TryLock() {
		p.round()
		p.rounds.Unlock()
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *replier) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
			p.lockedRound()
		case <-ctx.Done():
			p.lockedRound()
			return
		}
	}
}

func (p *replier) lockedRound() {
	p.rounds.Lock()
	defer p.rounds.Unlock()
	p.round()
}

// round answers all sends on the list, in log order.
func (p *replier) round() {
	p.mu.Lock()
	r := p.head
	p.head, p.tail, p.count = nil, nil, 0
	p.mu.Unlock()
	if r == nil {
		return
	}
	metrics := p.sender.broker.metrics
	now := p.sender.config.Clock()
	for r != nil {
		next := r.next
		p.reply.Reset()
		p.scratch = r.fill(&p.reply, p.scratch)
		p.batch.Send(r.replyTo, &p.reply)
		metrics.sent(r, sendCodes[r.proposal.Outcome], now)
		p.sender.finish(r)
		r = next
	}
	p.batch.Flush()
	if cap(p.scratch) > keepScratchBytes {
		p.scratch = nil
	}
}
