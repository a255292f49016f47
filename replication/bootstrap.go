package replication

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// Peer is a node of a group as the configuration names it.
type Peer struct {
	Name    string // n0
	Address string // host:port of its Network
}

// identityName is the file with the random name that a node has chosen for its
// copy of a log that it doesn't have yet: the group knows it by that name from
// the first answer on.
const identityName = "identity"

// askPeriod is the time between two rounds of questions to peers, tellPeriod
// that between two lines about those who don't answer.
const (
	askPeriod  = 200 * time.Millisecond
	tellPeriod = 10 * time.Second
)

// founding finds out with which log a node with an empty folder begins.
//
// The group's log exists: then the node takes over its name and gets its frames
// from the others, once the group has it as a member. Nobody has a log: then the
// first of the peers makes one, with all of them as voters. It does so only when
// every single one has said that it has none, as a peer that is down might be
// the last to have the old one.
//
// A master founds its group alone, once every nameserver has said that it knows
// of no other; a slave never does.
type founding struct {
	disk    disk.Disk
	options *GroupOptions
	text    *slog.Logger
}

// creation is what commitlog.Open needs: nothing where there is a log.
func (f *founding) creation(ctx context.Context) (commitlog.Creation, error) {
	_, err := commitlog.ReadMeta(f.disk)
	if err == nil || !errors.Is(err, commitlog.ErrNotFound) {
		return commitlog.Creation{}, err
	}
	node, err := f.identity()
	if err != nil {
		return commitlog.Creation{}, err
	}
	mine := f.options.hello(node)
	mine.Joins = f.options.MasterSlave != nil
	answering := f.options.Network.Introduce(mine)
	defer answering.End()
	ask := time.NewTicker(askPeriod)
	defer ask.Stop()
	var told time.Time
	for {
		answers, silent := f.ask(ctx, mine)
		c, decided, err := f.decide(node, answers, silent)
		if decided || err != nil {
			return c, err
		}
		if time.Since(told) > tellPeriod && (len(silent) > 0 || !told.IsZero()) {
			told = time.Now()
			f.text.Info("waiting for the group: this node has no log yet", "group", f.options.Name, "noAnswerFrom", strings.Join(silent, ", "))
		}
		select {
		case <-f.forced():
			if c, decided, err := f.decide(node, answers, nil); decided || err != nil {
				return c, err
			}
		case <-ctx.Done():
			return commitlog.Creation{}, fmt.Errorf("join group %s: %w; no answer from %s", f.options.Name, ctx.Err(), strings.Join(silent, ", "))
		case <-ask.C:
		}
	}
}

// ask asks all others who they are.
func (f *founding) ask(ctx context.Context, mine transport.Hello) (answers []transport.Hello, silent []string) {
	for _, p := range f.options.Peers {
		if p == f.options.Self {
			continue
		}
		answers, silent = f.askOne(ctx, p, mine, answers, silent)
	}
	kind := f.options.MasterSlave
	if kind == nil {
		return answers, silent
	}
	addresses, latest, unheard := whom(ctx, kind, f.options.Self.Address, nil)
	silent = append(silent, unheard...)
	for _, a := range addresses {
		answers, silent = f.askOne(ctx, Peer{Name: "master", Address: a}, mine, answers, silent)
	}
	if latest > 0 && len(addresses) == 0 {
		silent = append(silent, fmt.Sprintf("the master of term %d that nameservers have heard of", latest))
	}
	return answers, silent
}

func (f *founding) askOne(ctx context.Context, p Peer, mine transport.Hello, answers []transport.Hello, silent []string) ([]transport.Hello, []string) {
	answer, err := f.options.Network.Ask(ctx, p.Address, mine)
	if err != nil {
		return answers, append(silent, fmt.Sprintf("%s (%s: %v)", p.Name, p.Address, err))
	}
	answer.Address = p.Address
	return append(answers, answer), silent
}

// forced fires when an administrator has a master begin a new log.
func (f *founding) forced() <-chan struct{} {
	if kind := f.options.MasterSlave; kind != nil && !kind.Slave {
		return kind.Forced
	}
	return nil
}

func (f *founding) decide(node [16]byte, answers []transport.Hello, silent []string) (c commitlog.Creation, decided bool, err error) {
	c.Meta.Node, c.Timestamp = node, f.options.Proposer.Now()
	group := sha256.Sum256([]byte(f.options.Name))
	copy(c.Meta.Group[:], group[:])
	for _, a := range answers {
		if a.Log != (event.LogID{}) && c.Meta.Log != (event.LogID{}) && a.Log != c.Meta.Log {
			return c, false, fmt.Errorf("join group %s: its peers have different logs, %x and %x; empty the folder of those that are wrong", f.options.Name, c.Meta.Log, a.Log)
		}
		if a.Log != (event.LogID{}) {
			c.Meta.Log = a.Log
		}
	}
	if c.Meta.Log != (event.LogID{}) {
		return c, true, nil
	}
	if !f.mayFound(silent) {
		return c, false, nil
	}
	servers := []raft.Server{voterAt(node, f.options.Self.Address)}
	if f.options.MasterSlave != nil {
		answers = nil
	}
	for _, a := range answers {
		servers = append(servers, voterAt(a.Node, a.Address))
	}
	c.Configuration = raft.EncodeConfiguration(raft.Configuration{Servers: servers})
	_, err = rand.Read(c.Meta.Log[:])
	f.text.Info("founding the group: no peer has a log", "group", f.options.Name, "peers", len(servers))
	return c, true, err
}

func (f *founding) mayFound(silent []string) bool {
	if kind := f.options.MasterSlave; kind != nil {
		return !kind.Slave && (len(silent) == 0 || kind.Force)
	}
	return len(silent) == 0 && f.options.Self == f.founder()
}

// founder is the peer that the settings name, else the one with the first name,
// whatever the order in which configurations list them.
func (f *founding) founder() Peer {
	for _, p := range f.options.Peers {
		if p.Name == f.options.Founder {
			return p
		}
	}
	return slices.MinFunc(f.options.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
}

func voterAt(node [16]byte, address string) raft.Server {
	return raft.Server{Suffrage: raft.Voter, ID: serverID(node), Address: raft.ServerAddress(address)}
}

// serverID is what Raft calls a node.
func serverID(node [16]byte) raft.ServerID { return raft.ServerID(hex.EncodeToString(node[:])) }

// identity is the node's name, chosen once.
func (f *founding) identity() (node [16]byte, err error) {
	b, err := disk.ReadWhole(f.disk, identityName, 64)
	if err == nil && len(b) == len(node) {
		copy(node[:], b)
		return node, nil
	}
	if err != nil && !errors.Is(err, disk.ErrNotFound) {
		return node, err
	}
	if _, err := rand.Read(node[:]); err != nil {
		return node, err
	}
	return node, disk.WriteWhole(f.disk, identityName, node[:])
}
