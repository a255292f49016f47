package broker

import (
	"context"
	"sync"

	"github.com/apogeemq/apogee/server/remoting"
)

// replier answers sends. The log completes them one by one on its own
// goroutine; here they become one write per connection for all that have
// completed meanwhile, off the log's path.
type replier struct {
	sender *sender
	wake   chan struct{} // one element

	mu   sync.Mutex
	head *sendRequest
	tail *sendRequest

	// Of the replier's goroutine.
	batch   remoting.Batch
	reply   remoting.Reply
	scratch []byte
}

// keepScratchBytes bounds the buffer for message ids that is kept.
const keepScratchBytes = 64 << 10

func newReplier(s *sender) *replier {
	return &replier{sender: s, wake: make(chan struct{}, 1)}
}

// add takes a completed send. It doesn't block.
func (p *replier) add(r *sendRequest) {
	p.mu.Lock()
	first := p.head == nil
	if first {
		p.head = r
	} else {
		p.tail.next = r
	}
	p.tail = r
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *replier) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
			p.round()
		case <-ctx.Done():
			p.round()
			return
		}
	}
}

// round answers all sends on the list, in log order.
func (p *replier) round() {
	p.mu.Lock()
	r := p.head
	p.head, p.tail = nil, nil
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
		metrics.sent(r, p.reply.Code, now)
		p.sender.finish(r)
		r = next
	}
	p.batch.Flush()
	if cap(p.scratch) > keepScratchBytes {
		p.scratch = nil
	}
}
