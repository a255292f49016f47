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
func (t *Transport) StandForElection(self raft.ServerID) {
	answer := make(chan raft.RPCResponse, 1)
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(self), Addr: []byte(t.config.Self.Address)}
	select {
	case t.inbox <- raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: header}, RespChan: answer}:
	case <-t.work.Done():
	}
}
