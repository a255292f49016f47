package transport

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// goneTime bounds the look for a peer whose connection has ended.
const goneTime = time.Second

// lookFor finds out whether the process of a peer has ended, as one of its
// connections has: then nobody listens at its address any more. A machine that
// is gone doesn't answer at all; Raft's timeouts are for that.
func (t *Transport) lookFor(peer Hello) {
	if t.config.Gone == nil || t.work.Err() != nil {
		return
	}
	t.mu.Lock()
	again := t.gone[peer.Node]
	t.gone[peer.Node] = true
	t.mu.Unlock()
	if again {
		return
	}
	t.network.running.Go(func() {
		defer func() {
			t.mu.Lock()
			delete(t.gone, peer.Node)
			t.mu.Unlock()
		}()
		ctx, cancel := context.WithTimeout(t.work, goneTime)
		defer cancel()
		c, err := t.network.options.Dial(ctx, peer.Address)
		if err == nil {
			_ = c.Close()
			return
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			t.config.Gone(peer)
		}
	})
}

// StandForElection has this node's own Raft begin an election now, as if the
// leader had handed its place over: the others vote although they may not have
// noticed yet that it is gone.
func (t *Transport) StandForElection(self raft.ServerID) error {
	if err := t.mayStand(); err != nil {
		return err
	}
	_, err := t.hand(&raft.TimeoutNowRequest{RPCHeader: t.header(self)})
	return err
}

// Configure has this node's own Raft store a configuration behind the last entry
// of its log, as a leader of that term would. It is how a node is made the only
// voter whose master is gone: an administrator stands in for the majority.
func (t *Transport) Configure(self raft.ServerID, term, lastIndex, lastTerm uint64, c raft.Configuration) error {
	request := &raft.AppendEntriesRequest{
		RPCHeader: t.header(self), Term: term, PrevLogEntry: lastIndex, PrevLogTerm: lastTerm, LeaderCommitIndex: lastIndex + 1,
		Entries: []*raft.Log{{Index: lastIndex + 1, Term: term, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c), AppendedAt: time.Now()}},
	}
	response, err := t.hand(request)
	if err != nil {
		return err
	}
	if r, ok := response.(*raft.AppendEntriesResponse); !ok || !r.Success {
		return errors.New("store the new configuration: the log has changed meanwhile, or can't be written; look whether the master is alive, and try again")
	}
	return nil
}

func (t *Transport) header(self raft.ServerID) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(self), Addr: []byte(t.config.Self.Address)}
}

// hand gives this node's own Raft a request as if it had come from a peer.
func (t *Transport) hand(request any) (any, error) {
	answer := make(chan raft.RPCResponse, 1)
	select {
	case t.inbox <- raft.RPC{Command: request, RespChan: answer}:
	case <-t.work.Done():
		return nil, ErrClosed
	}
	select {
	case r := <-answer:
		return r.Response, r.Error
	case <-t.work.Done():
		return nil, ErrClosed
	}
}
