package clustertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
	"github.com/apogeemq/apogee/replication"
)

// watch looks at every node all the time until the returned function is called.
func (c *Cluster) watch() (stop func()) {
	ended, gone := make(chan struct{}), make(chan struct{})
	at := map[*life]event.Index{}
	go func() {
		defer close(gone)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			for _, n := range c.all() {
				if l := n.living(); l != nil {
					c.look(l, at)
				}
			}
		}
	}()
	return func() {
		close(ended)
		<-gone
	}
}

// look compares what a node has applied since the last look.
func (c *Cluster) look(l *life, at map[*life]event.Index) {
	e, name := l.group.Engine(), l.node.peer.Name
	if err := ordered(e.Marks()); err != nil {
		c.ledger.fail(fmt.Errorf("%s: %w", name, err))
	}
	if all := l.group.Differing(); len(all) > 0 {
		c.ledger.fail(fmt.Errorf("%s finds that the states of others differ: %+v", name, all))
	}
	through := e.Marks().Applied
	first, _ := e.Log().First()
	from := max(at[l], first-1)
	if from >= through {
		return
	}
	err := e.Log().CursorFrom(from+1).Visit(through, func(f commitlog.Frame) error {
		at[l] = f.Index
		return c.ledger.apply(name, &f)
	})
	// What is trimmed while it is read, or gone with its machine, comes again.
	if err != nil && !errors.Is(err, commitlog.ErrNotFound) && !l.ended() {
		c.ledger.fail(fmt.Errorf("read frames %d to %d of %s: %w", from+1, through, name, err))
	}
}

// ordered checks what holds between marks. They are read one after the other,
// while they move: those that may be ahead are read last.
func ordered(m engine.Marks) error {
	if m.Applied > m.Committed || m.Committed > m.Appended || m.Written > m.Appended || m.Durable > m.Written {
		return fmt.Errorf("the marks are out of order: %+v", m)
	}
	return nil
}

// members are the nodes that the leader names as the group's.
func (c *Cluster) members(leader *life) []*Node {
	all := leader.group.Members()
	var nodes []*Node
	for _, n := range c.all() {
		if slices.ContainsFunc(all, func(p replication.Peering) bool { return p.Address == n.peer.Address }) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// settle waits until all members have applied all of the leader's log, and
// returns them.
func (c *Cluster) settle() (members []*Node) {
	c.t.Helper()
	c.until("all nodes to be even", func() bool {
		n := c.leading()
		if n == nil {
			return false
		}
		leader := n.living()
		if leader == nil {
			return false
		}
		end, term, _ := leader.group.Engine().Log().End()
		members = c.members(leader)
		for _, n := range members {
			l := n.living()
			if l == nil || l.group.Engine().Marks().Applied != end {
				return false
			}
			if e, t, _ := l.group.Engine().Log().End(); e != end || t != term {
				return false
			}
		}
		return end >= c.ledger.end()
	})
	return members
}

// check waits until the group is at rest and compares the nodes: everything
// that was confirmed is there, no proposal waits, and all replicas have the same
// state, byte for byte.
func (c *Cluster) check() {
	c.t.Helper()
	members := c.settle()
	at := map[*life]event.Index{}
	var want []byte
	for _, n := range members {
		l := n.living()
		if l == nil {
			c.fatalf("%s is gone while the group is at rest", n.peer.Name)
		}
		c.look(l, at)
		c.waitsForNothing(n)
		if want == nil {
			c.mended("read "+n.peer.Name, func() error { return c.ledger.read(l.group.Engine()) })
		}
		var dump bytes.Buffer
		c.mended("dump "+n.peer.Name, func() error {
			dump.Reset()
			return l.group.Engine().Dump(&dump)
		})
		if want == nil {
			want = dump.Bytes()
		}
		if !bytes.Equal(dump.Bytes(), want) {
			c.fatalf("%s has another state than %s:\n%.3000s\nand\n%.3000s", n.peer.Name, members[0].peer.Name, dump.Bytes(), want)
		}
	}
	if err := errors.Join(c.ledger.failure(), c.ledger.missing()); err != nil {
		c.fatalf("%v", err)
	}
}

// mended does something again while it meets index files that a power cut has
// damaged: they are made again when somebody has noticed.
func (c *Cluster) mended(what string, do func() error) {
	c.t.Helper()
	c.until(what, func() bool {
		err := do()
		if err != nil && !errors.Is(err, indexfile.ErrDamaged) {
			c.fatalf("%s: %v", what, err)
		}
		return err == nil
	})
}
