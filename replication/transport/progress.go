package transport

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Progress is what a leader knows of a peer in its term.
type Progress struct {
	Match       uint64    // the peer has stored the log up to this entry
	LastContact time.Time // when it answered last
	Behind      int64     // bytes of the log behind what was sent to it last
}

type progress struct {
	mu    sync.Mutex
	term  uint64
	peers map[raft.ServerID]*Progress
	next  map[raft.ServerID]time.Time // when more may be sent to one that is far behind
}

// Progress tells how far the peers are that this node has sent entries to in
// the last term in which it led.
func (t *Transport) Progress() map[raft.ServerID]Progress {
	p := &t.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[raft.ServerID]Progress, len(p.peers))
	for id, peer := range p.peers {
		all[id] = *peer
	}
	return all
}

// Match tells how far a peer is, as Progress does.
func (t *Transport) Match(id raft.ServerID) (match uint64, lastContact time.Time) {
	p := &t.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer := p.peers[id]; peer != nil {
		return peer.Match, peer.LastContact
	}
	return 0, time.Time{}
}

// Forget drops what is known of peers that are not among members.
func (t *Transport) Forget(member func(raft.ServerID) bool) {
	p := &t.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.peers, func(id raft.ServerID, _ *Progress) bool { return !member(id) })
	maps.DeleteFunc(p.next, func(id raft.ServerID, _ time.Time) bool { return !member(id) })
}

func (p *progress) ofLocked(id raft.ServerID) *Progress {
	peer := p.peers[id]
	if peer == nil {
		peer = &Progress{}
		p.peers[id] = peer
	}
	return peer
}

// answered notes a response.
func (p *progress) answered(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if args.Term > p.term {
		p.term = args.Term
		clear(p.peers)
	}
	if args.Term < p.term {
		return
	}
	peer := p.ofLocked(id)
	peer.LastContact = time.Now()
	if !resp.Success {
		return
	}
	match := args.PrevLogEntry
	if n := len(args.Entries); n > 0 {
		match = args.Entries[n-1].Index
	}
	peer.Match = max(peer.Match, match)
}

// sending notes how far behind an entry is that is being sent.
func (p *progress) sending(id raft.ServerID, behind int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ofLocked(id).Behind = behind
}

// throttle waits until so many bytes may be sent to a peer that is far behind.
func (p *progress) throttle(ctx context.Context, id raft.ServerID, bytes int, c *Config) {
	p.mu.Lock()
	if c.CatchUpBytes == 0 || p.ofLocked(id).Behind <= c.CatchUpBehind {
		p.mu.Unlock()
		return
	}
	if p.next == nil {
		p.next = make(map[raft.ServerID]time.Time)
	}
	now := time.Now()
	at := p.next[id]
	if at.Before(now) {
		at = now
	}
	p.next[id] = at.Add(time.Duration(float64(bytes) / float64(c.CatchUpBytes) * float64(time.Second)))
	p.mu.Unlock()
	if wait := at.Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
