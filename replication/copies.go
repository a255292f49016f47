package replication

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// fetchTime bounds the repair of one place from one peer.
const fetchTime = 30 * time.Second

// copies are the logs of the other nodes, from which damaged frames are
// fetched. They are asked while this node's log is being opened, too.
type copies struct {
	options *GroupOptions
	raft    atomic.Pointer[raft.Raft] // nil before it runs
	work    context.Context           // until the group is closed
	stop    context.CancelFunc
}

func newCopies(o *GroupOptions) *copies {
	c := &copies{options: o}
	c.work, c.stop = context.WithCancel(context.Background())
	return c
}

// peerCopy is the log of one peer.
type peerCopy struct {
	work    context.Context
	network *transport.Network
	hello   transport.Hello
	peer    Peer
}

var _ commitlog.Copy = peerCopy{}

// list names all other nodes that this one knows.
func (c *copies) list() []commitlog.Copy {
	meta, err := commitlog.ReadMeta(c.options.Engine.Log.Disk)
	if err != nil {
		return nil
	}
	hello := c.options.hello(meta.Node)
	hello.Log = meta.Log
	var all []commitlog.Copy
	for _, p := range c.peers(serverID(meta.Node)) {
		all = append(all, peerCopy{c.work, c.options.Network, hello, p})
	}
	return all
}

// peers are those of the settings and those that the group has as members.
func (c *copies) peers(self raft.ServerID) []Peer {
	known := map[string]bool{c.options.Self.Address: true}
	var all []Peer
	add := func(p Peer) {
		if !known[p.Address] {
			known[p.Address] = true
			all = append(all, p)
		}
	}
	for _, p := range c.options.Peers {
		add(p)
	}
	if r := c.raft.Load(); r != nil {
		for _, s := range r.GetConfiguration().Configuration().Servers {
			if s.ID != self {
				add(Peer{Name: string(s.Address), Address: string(s.Address)})
			}
		}
	}
	return all
}

// Name implements commitlog.Copy.
func (p peerCopy) Name() string { return fmt.Sprintf("%s (%s)", p.peer.Name, p.peer.Address) }

// Frames implements commitlog.Copy.
func (p peerCopy) Frames(first, last event.Index, take func([]byte) error) error {
	ctx, cancel := context.WithTimeout(p.work, fetchTime)
	defer cancel()
	return p.network.Frames(ctx, p.peer.Address, p.hello, uint64(first), uint64(last), take)
}

// copyFrame lends a frame to a peer as it is on this disk: the two would wait for
// each other if it were repaired first. It is repaired afterwards, so that the
// peer gets it when it asks again.
func (g *Group) copyFrame(index uint64, dst []byte) ([]byte, error) {
	dst, err := g.engine.CopyFrame(event.Index(index), dst)
	if errors.Is(err, commitlog.ErrCorrupt) {
		select {
		case g.unread <- event.Index(index):
		default:
		}
	}
	return dst, err
}

// repairUnread reads what copyFrame could not, which repairs it.
func (g *Group) repairUnread() {
	for {
		select {
		case <-g.copies.work.Done():
			return
		case index := <-g.unread:
			err := g.engine.Log().NewReader().Frame(index, func(commitlog.Frame) error { return nil })
			if err != nil {
				g.text.Warn("a frame that a peer has asked for can't be read", "group", g.options.Name, "frame", index, "cause", err)
			}
		}
	}
}

// repairAtStart waits until all can be read that Raft reads when it starts, which
// ends the process where it can't: entries behind what the projections have,
// those of events without their data. What was found to be damaged otherwise is
// repaired meanwhile.
func (g *Group) repairAtStart(ctx context.Context, logs raft.LogStore, damaged []commitlog.Damaged) error {
	l := g.engine.Log()
	for _, d := range damaged {
		g.running.Go(func() {
			_ = untilRepaired(g.copies.work, func() error {
				return l.CursorFrom(d.First).Visit(d.Last, func(commitlog.Frame) error { return nil })
			})
		})
	}
	end, _, _ := l.End()
	first, _ := l.First()
	next := max(g.engine.Marks().Applied+1, first)
	return untilRepaired(ctx, func() error {
		for ; next <= end; next++ {
			var entry raft.Log
			if err := logs.GetLog(uint64(next), &entry); err != nil {
				return err
			}
		}
		return nil
	})
}

// untilRepaired reads until all can be read: what is damaged is then repaired.
func untilRepaired(ctx context.Context, read func() error) error {
	again := time.NewTicker(repairPeriod)
	defer again.Stop()
	for {
		err := read()
		if err == nil || !errors.Is(err, commitlog.ErrCorrupt) {
			return nil // or trimmed, or truncated
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("repair the log from another node of the group: %w: %w", ctx.Err(), err)
		case <-again.C:
		}
	}
}

// repairPeriod is the time between two attempts to repair what was found at the
// start.
const repairPeriod = 500 * time.Millisecond
