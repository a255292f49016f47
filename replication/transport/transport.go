package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

const (
	// sendBytesMax bounds the data of entries that are sent together; a larger
	// one goes by itself.
	sendBytesMax = 1 << 20
	// idleConnectionsMax are kept for each peer: one for heartbeats, one for
	// entries, one for what is rare.
	idleConnectionsMax = 3
	// snapshotPause bounds how long no byte of a snapshot is taken.
	snapshotPause = 10 * time.Second
)

var (
	// ErrStalled: this node's log doesn't come back from its disk, so the node
	// doesn't claim to lead.
	ErrStalled = errors.New("the flush of this node's log hangs")
	// ErrClosed: the Transport was closed.
	ErrClosed = errors.New("the transport is closed")
)

// Entries is the log that data is sent from.
type Entries interface {
	// Lend shows the data of an entry until visit returns, with the bytes of the
	// log that lie behind it. It is raft.ErrLogNotFound where another entry, or
	// none, has that index.
	Lend(index, term uint64, visit func(data []byte, behind int64) error) error
	// TermAt is the term of an entry, 0 where there is none.
	TermAt(index event.Index) event.Term
	// Stored is how far this node's copy of the log counts.
	Stored() event.Index
}

// Config is what a group gives to its Transport.
type Config struct {
	// Self is what peers are told. It is complete: the log exists. Present adds
	// what changes; nil: nothing does.
	Self    Hello
	Present func(*Hello)
	// Entries lends the data of entries of type LogCommand that come without.
	Entries Entries
	// Stalled reports whether the flush of the log hangs; nil: never.
	Stalled func() bool
	// MayStand reports whether the node may ask for votes, MayVote whether it may
	// give its vote to somebody whose log ends with an entry; nil: always.
	MayStand func() bool
	MayVote  func(last Entry) bool
	// CopyFrame appends a frame of the log, whole, for a peer that has it damaged;
	// nil: there are none.
	CopyFrame func(index uint64, dst []byte) ([]byte, error)
	// Standing says where the node is; nil: nowhere.
	Standing func() Standing
	// State sums up the node's state after a frame, and waits for it until the
	// context ends; nil: it tells none.
	State func(context.Context, event.Index) (State, error)
	// RPCTimeout bounds requests that carry no entries, EntriesTimeout those
	// that do.
	RPCTimeout, EntriesTimeout time.Duration
	// Gone is told when the process of a peer has ended that was connected here;
	// nil: nobody is. It is called on a goroutine of its own.
	Gone func(Hello)
	// Joins is told who asks to be given the log, Answered which peer has
	// stored entries; nil: nobody is. They don't block.
	Joins    func(Hello)
	Answered func(raft.ServerID)
	// CatchUpBytes a second are sent at most to a peer that is more than
	// CatchUpBehind bytes behind; 0: no limit.
	CatchUpBytes, CatchUpBehind int64
}

// Transport is raft.Transport for one group.
type Transport struct {
	network *Network
	config  Config
	inbox   chan raft.RPC
	beat    atomic.Pointer[func(raft.RPC)]
	work    context.Context
	stop    context.CancelFunc

	progress progress

	mu   sync.Mutex
	idle map[raft.ServerAddress][]*conn
	busy map[*conn]struct{}
	met  map[[16]byte]Hello // by node
	gone map[[16]byte]bool  // being looked for
}

var (
	_ raft.Transport   = (*Transport)(nil)
	_ raft.WithPreVote = (*Transport)(nil)
	_ raft.WithClose   = (*Transport)(nil)
)

// Join makes a group of the Network's. Close ends it.
func (n *Network) Join(c Config) *Transport {
	t := &Transport{network: n, config: c, inbox: make(chan raft.RPC), idle: make(map[raft.ServerAddress][]*conn), busy: make(map[*conn]struct{}), met: make(map[[16]byte]Hello), gone: make(map[[16]byte]bool)}
	t.work, t.stop = context.WithCancel(n.work)
	t.progress.peers = make(map[raft.ServerID]*Progress)
	n.mu.Lock()
	n.groups[c.Self.Group] = t
	n.mu.Unlock()
	return t
}

// Close leaves the group: connections end, and Raft gets no more requests.
func (t *Transport) Close() error {
	t.stop()
	t.network.mu.Lock()
	if t.network.groups[t.config.Self.Group] == greeter(t) {
		delete(t.network.groups, t.config.Self.Group)
	}
	t.network.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.busy {
		_ = c.Close()
	}
	for _, idle := range t.idle {
		for _, c := range idle {
			_ = c.Close()
		}
	}
	clear(t.idle)
	return nil
}

// Consumer implements raft.Transport.
func (t *Transport) Consumer() <-chan raft.RPC { return t.inbox }

// LocalAddr implements raft.Transport.
func (t *Transport) LocalAddr() raft.ServerAddress {
	return raft.ServerAddress(t.config.Self.Address)
}

// EncodePeer implements raft.Transport.
func (t *Transport) EncodePeer(_ raft.ServerID, address raft.ServerAddress) []byte {
	return []byte(address)
}

// DecodePeer implements raft.Transport.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport.
func (t *Transport) SetHeartbeatHandler(handle func(raft.RPC)) { t.beat.Store(&handle) }

// take returns a connection to a peer: one that is idle, or a new one.
func (t *Transport) take(address raft.ServerAddress) (c *conn, used bool, err error) {
	t.mu.Lock()
	if idle := t.idle[address]; len(idle) > 0 {
		c = idle[len(idle)-1]
		t.idle[address] = idle[:len(idle)-1]
		t.busy[c] = struct{}{}
		t.mu.Unlock()
		return c, true, nil
	}
	t.mu.Unlock()
	c, err = t.connect(address)
	return c, false, err
}

func (t *Transport) connect(address raft.ServerAddress) (*conn, error) {
	c, theirs, err := t.network.dial(t.work, string(address), t.self())
	if err != nil {
		return nil, err
	}
	if theirs.Log != t.config.Self.Log {
		return nil, errors.Join(fmt.Errorf("connect to %s: the log there is another one", address), c.Close())
	}
	t.meet(theirs)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work.Err() != nil {
		return nil, errors.Join(ErrClosed, c.Close())
	}
	t.busy[c] = struct{}{}
	return c, nil
}

// metMax bounds the nodes that are remembered.
const metMax = 256

func (t *Transport) meet(peer Hello) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.met) >= metMax {
		clear(t.met)
	}
	t.met[peer.Node] = peer
}

// Met is what a node has last said of itself.
func (t *Transport) Met(node [16]byte) (Hello, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, found := t.met[node]
	return h, found
}

// release keeps a connection that is good for the next request.
func (t *Transport) release(address raft.ServerAddress, c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.busy, c)
	if t.work.Err() != nil || len(t.idle[address]) >= idleConnectionsMax {
		_ = c.Close()
		return
	}
	t.idle[address] = append(t.idle[address], c)
}

func (t *Transport) discard(c *conn) {
	t.mu.Lock()
	delete(t.busy, c)
	t.mu.Unlock()
	_ = c.Close()
}

// call sends a request and waits for its response. A connection that was idle
// may have ended meanwhile; then a new one is tried.
func (t *Transport) call(address raft.ServerAddress, k kind, timeout time.Duration, build func(*conn) error, response any) error {
	for {
		c, used, err := t.take(address)
		if err != nil {
			return err
		}
		err = t.exchange(c, k, timeout, build, response)
		var remote *RemoteError
		if err == nil || errors.As(err, &remote) {
			t.release(address, c)
			return err
		}
		t.discard(c)
		if !used || t.work.Err() != nil || errors.Is(err, raft.ErrLogNotFound) {
			return fmt.Errorf("call %s: %w", address, err)
		}
	}
}

func (t *Transport) exchange(c *conn, k kind, timeout time.Duration, build func(*conn) error, response any) error {
	deadline := time.Now().Add(timeout)
	c.begin(k)
	if err := build(c); err != nil {
		return err
	}
	if err := c.send(deadline); err != nil {
		return err
	}
	return c.response(k, deadline, response)
}

// response reads the response to a request.
func (c *conn) response(k kind, deadline time.Time, response any) error {
	body, err := c.receive(deadline)
	if err != nil {
		return err
	}
	d := &decoder{left: body}
	if got := kind(d.uint8()); got != k|kindResponse {
		d.fail("a response of kind %#x to a request of kind %#x", byte(got), byte(k))
	}
	return decodeResponse(d, response)
}

func (t *Transport) stalled() error {
	if t.config.Stalled != nil && t.config.Stalled() {
		return ErrStalled
	}
	return nil
}

// errBehind is the answer to those who ask for a vote, too.
var errBehind = errors.New("this node takes no part in elections until it has caught up")

func (t *Transport) mayStand() error {
	if t.config.MayStand != nil && !t.config.MayStand() {
		return errBehind
	}
	return nil
}

// AppendEntries implements raft.Transport. It may send fewer entries than args
// has, and leaves in args those that it sent.
func (t *Transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := t.stalled(); err != nil {
		return err
	}
	k, timeout := kindAppend, t.config.EntriesTimeout
	if isHeartbeat(args) {
		k, timeout = kindHeartbeat, t.config.RPCTimeout
	}
	all := args.Entries
	err := t.call(target, k, timeout, func(c *conn) error {
		args.Entries = all
		return t.appendRequest(c, id, args)
	}, resp)
	if err == nil {
		t.answered(id, args, resp)
	}
	return err
}

func (t *Transport) answered(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) {
	t.progress.answered(id, args, resp)
	if t.config.Answered != nil && len(args.Entries) > 0 {
		t.config.Answered(id)
	}
}

// self is what peers are told now.
func (t *Transport) self() Hello {
	h := t.config.Self
	if t.config.Present != nil {
		t.config.Present(&h)
	}
	return h
}

// appendRequest puts a request with as many of its entries as may go at once
// into the frame.
func (t *Transport) appendRequest(c *conn, id raft.ServerID, args *raft.AppendEntriesRequest) error {
	head := *args
	if t.config.Entries != nil {
		// Raft counts a leader's copy before it is stored.
		head.LeaderCommitIndex = min(head.LeaderCommitIndex, uint64(t.config.Entries.Stored()))
	}
	c.out = appendAppendHead(c.out, &head)
	countAt := len(c.out)
	c.out = binary.LittleEndian.AppendUint32(c.out, 0)
	n, before := 0, len(c.out)
	for n < min(len(args.Entries), entriesMax) {
		at := len(c.out)
		if err := t.appendEntry(c, id, args.Entries[n]); err != nil {
			if n == 0 {
				return err
			}
			c.out = c.out[:at]
			break
		}
		if n > 0 && len(c.out)-before > sendBytesMax {
			c.out = c.out[:at]
			break
		}
		n++
	}
	args.Entries = args.Entries[:n]
	binary.LittleEndian.PutUint32(c.out[countAt:], uint32(n))
	if n > 0 {
		t.progress.throttle(t.work, id, len(c.out)-before, &t.config)
	}
	return nil
}

func (t *Transport) appendEntry(c *conn, id raft.ServerID, e *raft.Log) error {
	if e.Type != raft.LogCommand || len(e.Data) > 0 || t.config.Entries == nil {
		c.out = append(appendEntryHead(c.out, e, len(e.Data)), e.Data...)
		return nil
	}
	return t.config.Entries.Lend(e.Index, e.Term, func(data []byte, behind int64) error {
		c.out = append(appendEntryHead(c.out, e, len(data)), data...)
		t.progress.sending(id, behind)
		return nil
	})
}

// RequestVote implements raft.Transport.
func (t *Transport) RequestVote(_ raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := errors.Join(t.stalled(), t.mayStand()); err != nil {
		return err
	}
	return t.call(target, kindVote, t.config.RPCTimeout, func(c *conn) error {
		c.out = appendVote(c.out, args)
		return nil
	}, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *Transport) RequestPreVote(_ raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := errors.Join(t.stalled(), t.mayStand()); err != nil {
		return err
	}
	return t.call(target, kindPreVote, t.config.RPCTimeout, func(c *conn) error {
		c.out = appendPreVote(c.out, args)
		return nil
	}, resp)
}

// TimeoutNow implements raft.Transport.
func (t *Transport) TimeoutNow(_ raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.call(target, kindTimeoutNow, t.config.RPCTimeout, func(c *conn) error {
		c.out = appendHeader(c.out, args.RPCHeader)
		return nil
	}, resp)
}

// InstallSnapshot implements raft.Transport. It has a connection of its own.
func (t *Transport) InstallSnapshot(_ raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.stalled(); err != nil {
		return err
	}
	c, err := t.connect(target)
	if err != nil {
		return err
	}
	defer t.discard(c)
	c.begin(kindSnapshot)
	c.out = appendSnapshot(c.out, args)
	if err := c.send(time.Now().Add(snapshotPause)); err != nil {
		return err
	}
	if _, err := io.Copy(&patientWriter{c}, io.LimitReader(data, args.Size)); err != nil {
		return fmt.Errorf("send a snapshot to %s: %w", target, err)
	}
	// The receiver restores it before it answers.
	return c.response(kindSnapshot, time.Now().Add(restoreTime), resp)
}

// restoreTime bounds what a receiver takes to install a snapshot that it has.
const restoreTime = 5 * time.Minute

// patientWriter gives each write its own time.
type patientWriter struct{ c *conn }

func (w *patientWriter) Write(b []byte) (int, error) {
	if err := w.c.SetWriteDeadline(time.Now().Add(snapshotPause)); err != nil {
		return 0, err
	}
	return w.c.Write(b)
}
