package replication

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// pair is a master, n0, and its slaves, with something like a nameserver: it
// knows who leads.
type pair struct {
	*trio
	slow map[*groupNode]*faultdisk.Disk

	mu     sync.Mutex
	known  []KnownMaster
	silent []string
}

// newPair makes a master and so many slaves, all down. inSync slaves must have
// what is confirmed.
func newPair(t *testing.T, slaves, inSync int) *pair {
	p := &pair{trio: newTrio(t, 0), slow: map[*groupNode]*faultdisk.Disk{}}
	t.Cleanup(func() { // or a test that fails would wait for its nodes to end
		for n := range p.slow {
			p.release(n)
		}
	})
	for i := range slaves + 1 {
		inner, err := disk.Open(filepath.Join(p.root, string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		d := faultdisk.New(inner, nil, faultdisk.SystemClock{})
		n := p.add(d)
		p.slow[n] = d
		n.adjust = func(o *GroupOptions) {
			o.Peers = nil
			o.Proposer.FlushTimeout = 400 * time.Millisecond
			o.MasterSlave = &MasterSlave{
				InSync: inSync, ReplicaTimeout: 700 * time.Millisecond, Reach: time.Second, Slave: i > 0,
				Masters:   func(context.Context) ([]KnownMaster, []string) { return p.masters() },
				Divergent: func(name string) (disk.Disk, error) { return p.folder(n, name) },
			}
		}
	}
	return p
}

func (p *pair) masters() ([]KnownMaster, []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known, p.silent
}

// announce has the nameserver know a master, nobody where n is nil.
func (p *pair) announce(n *groupNode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = nil
	if n != nil {
		p.known = []KnownMaster{{Address: n.peer.Address}}
	}
}

func (p *pair) divergent(n *groupNode) string { return filepath.Join(p.root, "divergent-"+n.peer.Name) }

func (p *pair) folder(n *groupNode, name string) (disk.Disk, error) {
	path := filepath.Join(p.divergent(n), name)
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	return disk.Open(path)
}

// start brings up the master and its slaves, and waits until all slaves count.
func (p *pair) start() *groupNode {
	p.t.Helper()
	master := p.nodes[0]
	p.up(master)
	p.announce(master)
	p.up(p.nodes[1:]...)
	p.leader(master)
	p.allCount(master)
	return master
}

func (p *pair) allCount(master *groupNode) {
	p.t.Helper()
	p.until("all slaves to count", func() bool {
		counting, all := master.group.slaves.number()
		return all == len(p.nodes)-1 && counting == all
	})
}

// hang lets a node's disk sync no more.
func (p *pair) hang(n *groupNode) {
	p.t.Helper()
	rules, err := faultdisk.Parse("sync:*.seg:*=hang")
	if err != nil {
		p.t.Fatal(err)
	}
	p.slow[n].Set(rules)
}

func (p *pair) release(n *groupNode) {
	p.slow[n].Set(nil)
	p.slow[n].Release()
}

// propose has a node take a message and returns what became of it.
func (p *pair) propose(n *groupNode, body string) engine.Proposal {
	p.t.Helper()
	done := make(waiter, 1)
	if err := n.group.Propose(&engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, body)}, Completion: done}); err != nil {
		p.t.Fatal(err)
	}
	select {
	case got := <-done:
		return got
	case <-time.After(groupPatience):
		p.t.Fatal("the proposal is never answered")
		panic("unreachable")
	}
}

func (p *pair) wantOutcome(n *groupNode, body string, want engine.Outcome) engine.Proposal {
	p.t.Helper()
	got := p.propose(n, body)
	if got.Outcome != want {
		p.t.Fatalf("%s: outcome %d, want %d", body, got.Outcome, want)
	}
	return got
}

// has reports whether consumers of a node see a message.
func (p *pair) has(n *groupNode, body string) bool {
	p.t.Helper()
	e := n.group.Engine()
	q := event.Queue{Topic: 1}
	at, next := e.Bounds(q)
	found := false
	for at < next && !found {
		var err error
		at, err = e.ReadQueue(q, at, engine.ReadLimits{Count: 100, Bytes: 1 << 20, Scan: 100}, nil, func(m engine.Message) error {
			found = found || string(m.Event.Payload()) == body
			return nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return found
}
