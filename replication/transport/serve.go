package transport

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

// idleTime ends a connection on which nothing comes. Peers heartbeat several
// times a second; other connections are made again when they are needed.
const idleTime = time.Minute

// greet implements greeter.
func (t *Transport) greet(peer Hello) (Hello, error) {
	if peer.Log != t.config.Self.Log && peer.Log != (event.LogID{}) {
		return Hello{}, fmt.Errorf("group %q has the log %x here, not %x: the node at %s was in another group of that name; empty its folder to let it join",
			peer.Group, t.config.Self.Log, peer.Log, peer.Address)
	}
	if peer.Joins && t.config.Joins != nil {
		t.config.Joins(peer)
	}
	return t.self(), nil
}

// serve implements greeter.
func (t *Transport) serve(c *conn, peer Hello) {
	if peer.Log != t.config.Self.Log {
		return // it only wanted to know who is here
	}
	t.meet(peer)
	answer := make(chan raft.RPCResponse, 1)
	for t.work.Err() == nil {
		body, err := c.receive(time.Now().Add(idleTime))
		if err != nil {
			t.lookFor(peer)
			return
		}
		k := kind(body[0])
		if k == kindTermAt || k == kindFrames || k == kindStanding || k == kindState {
			if t.tell(c, k, body[1:]) != nil {
				return
			}
			continue
		}
		rpc, err := t.decodeRequest(c, k, body[1:])
		if err != nil {
			t.network.options.Log.Warn("replication: a message was not understood", "peer", peer.Name, "address", c.RemoteAddr(), "cause", err)
			return
		}
		if !t.answer(c, k, rpc, answer) {
			return
		}
	}
}

// decodeRequest makes a request for Raft.
func (t *Transport) decodeRequest(c *conn, k kind, body []byte) (rpc raft.RPC, err error) {
	d := &decoder{left: body}
	switch k {
	case kindAppend, kindHeartbeat:
		rpc.Command = decodeAppend(d)
	case kindVote:
		rpc.Command = decodeVote(d)
	case kindPreVote:
		rpc.Command = decodePreVote(d)
	case kindTimeoutNow:
		rpc.Command = &raft.TimeoutNowRequest{RPCHeader: decodeHeader(d)}
	case kindSnapshot:
		r := decodeSnapshot(d)
		rpc.Command, rpc.Reader = r, io.LimitReader(&patientReader{c}, r.Size)
	default:
		d.fail("kind %#x is unknown", byte(k))
	}
	return rpc, d.end()
}

// answer has Raft handle a request and sends the response. It reports whether
// the connection is still good.
func (t *Transport) answer(c *conn, k kind, rpc raft.RPC, answer chan raft.RPCResponse) bool {
	rpc.RespChan = answer
	var response raft.RPCResponse
	if err := t.admit(rpc.Command); err != nil {
		response.Error = err
	} else if handled := t.handle(k, rpc); !handled {
		return false
	} else {
		select {
		case response = <-answer:
		case <-t.work.Done():
			return false
		}
	}
	if response.Error == nil {
		response.Error = t.mayConfirm(rpc.Command, response.Response)
	}
	c.begin(k | kindResponse)
	c.out = appendResponse(c.out, response.Response, response.Error)
	return c.send(time.Now().Add(t.config.EntriesTimeout)) == nil
}

// errUnstored: the peer asks again.
var errUnstored = errors.New("the entries are not on the disk here yet")

// mayConfirm keeps a node from confirming what its disk doesn't have yet. Raft
// answers when entries are stored; but those that it has proposed itself, when it
// led, it believes to be.
func (t *Transport) mayConfirm(request, response any) error {
	r, entries := request.(*raft.AppendEntriesRequest)
	if !entries || t.config.Entries == nil || !response.(*raft.AppendEntriesResponse).Success {
		return nil
	}
	last := r.PrevLogEntry
	if n := len(r.Entries); n > 0 {
		last = r.Entries[n-1].Index
	}
	if last > uint64(t.config.Entries.Stored()) {
		return errUnstored
	}
	return nil
}

// admit keeps a node out of elections that must not take part.
func (t *Transport) admit(request any) error {
	var candidate Entry
	switch r := request.(type) {
	case *raft.RequestVoteRequest:
		candidate = Entry{Index: r.LastLogIndex, Term: r.LastLogTerm}
	case *raft.RequestPreVoteRequest:
		candidate = Entry{Index: r.LastLogIndex, Term: r.LastLogTerm}
	case *raft.TimeoutNowRequest:
		return t.mayStand()
	default:
		return nil
	}
	if t.config.MayVote != nil && !t.config.MayVote(candidate) {
		return errBehind
	}
	return nil
}

func (t *Transport) handle(k kind, rpc raft.RPC) bool {
	if k == kindHeartbeat {
		if beat := t.beat.Load(); beat != nil && isHeartbeat(rpc.Command.(*raft.AppendEntriesRequest)) {
			(*beat)(rpc)
			return true
		}
	}
	select {
	case t.inbox <- rpc:
		return true
	case <-t.work.Done():
		return false
	}
}

// patientReader gives each read its own time.
type patientReader struct{ c *conn }

func (r *patientReader) Read(b []byte) (int, error) {
	if err := r.c.SetReadDeadline(time.Now().Add(snapshotPause)); err != nil {
		return 0, err
	}
	return r.c.Read(b)
}
