package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// window is how many messages with entries are on their way to a peer: one that
// it stores, one that is there when it has. More would only make each smaller,
// and each costs the peer a sync.
const window = 2

// pipeline sends entries without waiting for the answers to those before.
type pipeline struct {
	transport *Transport
	id        raft.ServerID
	conn      *conn
	slots     chan struct{} // one element for each message on its way
	sent      chan *appendFuture
	answered  chan raft.AppendFuture
	work      context.Context
	stop      context.CancelFunc
	reading   sync.WaitGroup
}

// AppendEntriesPipeline implements raft.Transport.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if err := t.stalled(); err != nil {
		return nil, err
	}
	c, err := t.connect(target)
	if err != nil {
		return nil, err
	}
	p := &pipeline{
		transport: t, id: id, conn: c, slots: make(chan struct{}, window),
		sent: make(chan *appendFuture, window), answered: make(chan raft.AppendFuture, window),
	}
	p.work, p.stop = context.WithCancel(t.work)
	p.reading.Go(p.read)
	return p, nil
}

// AppendEntries implements raft.AppendPipeline. It waits while the window is
// full, and leaves in args the entries that it sent.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if err := p.transport.stalled(); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-p.work.Done():
		return nil, ErrClosed
	}
	f := &appendFuture{args: args, resp: resp, start: time.Now(), done: make(chan struct{})}
	p.conn.begin(kindAppend)
	if err := p.transport.appendRequest(p.conn, p.id, args); err != nil {
		<-p.slots
		return nil, fmt.Errorf("send entries to %s: %w", p.id, err)
	}
	if err := p.conn.send(f.start.Add(p.transport.config.EntriesTimeout)); err != nil {
		p.stop()
		return nil, fmt.Errorf("send entries to %s: %w", p.id, err)
	}
	p.sent <- f
	return f, nil
}

// read takes in the answers.
func (p *pipeline) read() {
	for {
		select {
		case f := <-p.sent:
			f.err = p.conn.response(kindAppend, time.Now().Add(p.transport.config.EntriesTimeout), f.resp)
			close(f.done)
			if f.err == nil {
				p.transport.answered(p.id, f.args, f.resp)
			}
			<-p.slots
			select {
			case p.answered <- f:
			case <-p.work.Done():
				return
			}
			if f.err != nil {
				p.stop()
				return
			}
		case <-p.work.Done():
			return
		}
	}
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answered }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.stop()
	p.transport.discard(p.conn)
	p.reading.Wait()
	return nil
}

// appendFuture is a message on its way.
type appendFuture struct {
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	start time.Time
	done  chan struct{}
	err   error
}

// Error waits for the answer.
func (f *appendFuture) Error() error {
	<-f.done
	return f.err
}

// Start implements raft.AppendFuture.
func (f *appendFuture) Start() time.Time { return f.start }

// Request implements raft.AppendFuture.
func (f *appendFuture) Request() *raft.AppendEntriesRequest { return f.args }

// Response implements raft.AppendFuture.
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.resp }
