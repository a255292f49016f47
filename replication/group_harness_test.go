package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/replication/transport/porttest"
)

// groupPatience is how long something may take on a busy machine.
const groupPatience = 60 * time.Second

// trio is a group under test, of any number of nodes.
type trio struct {
	t     *testing.T
	root  string
	net   *faultNet
	nodes []*groupNode
	peers []Peer
	logs  *lines

	mu    sync.Mutex
	acked map[string]event.Offset
	count int
}

// groupNode is a node, up or down. Its disk outlives its lives.
type groupNode struct {
	trio    *trio
	peer    Peer
	disk    disk.Disk
	network *transport.Network
	group   *Group // nil while it is down
	adjust  func(*GroupOptions)
}

// lines keeps what nodes log, for a test that fails.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func newTrio(t *testing.T, count int) *trio {
	root := t.TempDir() // before the cleanup, so that it goes after it
	c := &trio{t: t, root: root, net: newFaultNet(), logs: &lines{}, acked: map[string]event.Offset{}}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.down()
		}
		if t.Failed() {
			c.logs.mu.Lock()
			defer c.logs.mu.Unlock()
			t.Logf("nodes said:\n%s", c.logs.text.String())
		}
	})
	for range count {
		c.add(nil)
	}
	return c
}

// add makes a node with an empty disk, which is down, and tells all nodes that
// start later.
func (c *trio) add(d disk.Disk) *groupNode {
	c.t.Helper()
	if d == nil {
		var err error
		if d, err = disk.Open(filepath.Join(c.root, fmt.Sprint(len(c.nodes)))); err != nil {
			c.t.Fatal(err)
		}
	}
	address := porttest.Address(c.t)
	n := &groupNode{trio: c, disk: d, peer: Peer{Name: fmt.Sprintf("n%d", len(c.nodes)), Address: address}}
	c.nodes, c.peers = append(c.nodes, n), append(c.peers, n.peer)
	return n
}

func (c *trio) listen(address string) net.Listener {
	c.t.Helper()
	var l net.Listener
	c.until("listen on "+address, func() bool {
		var err error
		l, err = net.Listen("tcp", address)
		return err == nil
	})
	return l
}

func (n *groupNode) options() GroupOptions {
	o := GroupOptions{
		Engine: engine.Options{
			Log: commitlog.Options{Disk: n.disk, SegmentBytes: 1 << 20, TailBytes: 512 << 10, HistoryBytes: 1 << 20,
				Fatal: func(err error) { fmt.Fprintln(n.trio.logs, n.peer.Name, "fatal:", err) }},
			RunBytes: 128 << 10,
		},
		Proposer: ProposerOptions{WaitingBytes: 4 << 20, WaitTime: time.Second, FlushTimeout: 5 * time.Second,
			Now: func() int64 { return time.Now().UnixMilli() }},
		Mark: commitlog.Durable, Name: "broker-a", Self: n.peer, Peers: n.trio.peers, Network: n.network,
		Times: Times{Heartbeat: 300 * time.Millisecond * groupPace, FlushStall: time.Second * groupPace},
		Log:   slog.New(slog.NewTextHandler(n.trio.logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.peer.Name),
	}
	o.Engine.Log.Log = o.Log
	if n.adjust != nil {
		n.adjust(&o)
	}
	return o
}

// up starts nodes, side by side: new ones wait for each other.
func (c *trio) up(nodes ...*groupNode) {
	c.t.Helper()
	var starting sync.WaitGroup
	failed := make([]error, len(nodes))
	for i, n := range nodes {
		n.network = transport.NewNetwork(transport.Options{Listener: c.listen(n.peer.Address), Dial: c.net.dialer(n.peer.Address),
			Secret: []byte("secret"), EntryBytesMax: 8 << 20})
		starting.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), groupPatience)
			defer cancel()
			n.group, _, failed[i] = OpenGroup(ctx, n.options())
		})
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		c.t.Fatal(err)
	}
}

// tryUp starts one node until the context ends.
func (c *trio) tryUp(ctx context.Context, n *groupNode) error {
	c.t.Helper()
	n.network = transport.NewNetwork(transport.Options{Listener: c.listen(n.peer.Address), Dial: c.net.dialer(n.peer.Address),
		Secret: []byte("secret"), EntryBytesMax: 8 << 20})
	var err error
	if n.group, _, err = OpenGroup(ctx, n.options()); err != nil {
		n.group = nil
		return errors.Join(err, n.network.Close())
	}
	return nil
}

// down ends a node in order.
func (n *groupNode) down() {
	if n.group == nil {
		return
	}
	if err := n.group.Close(); err != nil {
		fmt.Fprintln(n.trio.logs, n.peer.Name, "close:", err)
	}
	n.group = nil
	if err := n.network.Close(); err != nil {
		fmt.Fprintln(n.trio.logs, n.peer.Name, "close network:", err)
	}
}

// isolate cuts a node off from all others, or lets it back.
func (n *groupNode) isolate(cut bool) {
	for _, p := range n.trio.peers {
		if p != n.peer {
			n.trio.net.set(n.peer.Address, p.Address, cut)
		}
	}
}

// until waits for a condition.
func (c *trio) until(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(groupPatience)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			c.t.Fatalf("%s: not after %v", what, groupPatience)
		}
	}
}

// leader waits for a leader among nodes, all by default.
func (c *trio) leader(among ...*groupNode) *groupNode {
	c.t.Helper()
	if len(among) == 0 {
		among = c.nodes
	}
	var leader *groupNode
	c.until("a leader", func() bool {
		for _, n := range among {
			if n.group != nil && n.group.Role().Leads {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

func (c *trio) others(but ...*groupNode) []*groupNode {
	var all []*groupNode
next:
	for _, n := range c.nodes {
		for _, b := range but {
			if n == b {
				continue next
			}
		}
		all = append(all, n)
	}
	return all
}

// send proposes messages to a node and returns how many of them were committed.
func (c *trio) send(n *groupNode, count, bytes int) int {
	done := make(waiter, count)
	sent := 0
	bodies := map[*engine.Proposal]string{}
	var proposals []*engine.Proposal
	for range count {
		c.mu.Lock()
		c.count++
		body := fmt.Sprintf("%08d%s", c.count, strings.Repeat("x", bytes))
		c.mu.Unlock()
		p := &engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, body)}}
		p.Completion = sentTo{done, p}
		bodies[p] = body
		if n.group.Propose(p) == nil {
			sent++
			proposals = append(proposals, p)
		}
	}
	for range sent {
		<-done
	}
	committed := 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range proposals {
		switch p.Outcome {
		case engine.OutcomeCommitted:
			committed++
			c.acked[bodies[p]] = p.Offset
		case engine.OutcomeNoReplica: // a master's word alone: it may be gone with it
			committed++
		}
	}
	return committed
}

type sentTo struct {
	done waiter
	p    *engine.Proposal
}

func (s sentTo) Complete(p *engine.Proposal) { s.done <- *p }

// mustSend has messages committed by whoever leads.
func (c *trio) mustSend(count, bytes int) {
	c.t.Helper()
	for left := count; left > 0; {
		left -= c.send(c.leader(), min(left, 50), bytes)
	}
}

// check waits until nodes have applied the same and compares everything they
// know. Every acknowledged message must be there, where it was said to be.
func (c *trio) check(nodes ...*groupNode) {
	c.t.Helper()
	if len(nodes) == 0 {
		nodes = c.nodes
	}
	c.until("all nodes to be even", func() bool {
		end, _, _ := c.leader(nodes...).group.Engine().Log().End()
		for _, n := range nodes {
			if n.group.Engine().Marks().Applied != end {
				return false
			}
		}
		return true
	})
	var want string
	for _, n := range nodes {
		var b bytes.Buffer
		if err := n.group.Engine().Dump(&b); err != nil {
			c.t.Fatal(err)
		}
		if want == "" {
			want = b.String()
		}
		if b.String() != want {
			c.t.Fatalf("%s differs from %s:\n%.2000s\nand\n%.2000s", n.peer.Name, nodes[0].peer.Name, b.String(), want)
		}
	}
	c.checkAcknowledged(nodes[0])
}

func (c *trio) checkAcknowledged(n *groupNode) {
	c.t.Helper()
	e := n.group.Engine()
	q := event.Queue{Topic: 1}
	first, next := e.Bounds(q)
	there := map[event.Offset]string{}
	for at := first; at < next; {
		var err error
		at, err = e.ReadQueue(q, at, engine.ReadLimits{Count: 100, Bytes: 1 << 20, Scan: 100}, nil, func(m engine.Message) error {
			there[m.Offset] = string(m.Event.Payload())
			return nil
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for body, offset := range c.acked {
		if offset >= first && there[offset] != body {
			c.t.Fatalf("acknowledged message %.8s is not at offset %d: %.8s is", body, offset, there[offset])
		}
	}
}
